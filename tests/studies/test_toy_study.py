"""A fourth study, made of one folder of modules and one of notebooks: prepared, trained, evaluated and reported.

What stands here as text is the least that a person who adds a study has to write. Its "network" is one grey level.
"""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import toy_cells

from medseg import cli, project, registry, studies
from medseg.experiments import runs

MODULES = {
    "__init__": '"""Bright discs."""\n',
    "study": """
from medseg.registry import Study, Training

STUDY = Study(
    name="toy",
    label="binary",
    trainings=(Training("2_train", "NumPy", "medseg.studies.toy.check", "medseg.studies.toy.level"),),
    prepare="medseg.studies.toy.prepare:prepare",
)
""",
    "prepare": """
from pathlib import Path

from medseg.datasets import index

def prepare(source, out):
    with index.writing(out, study="toy", name="discs", classes=["disc"], protocol="by number") as draft:
        for number, picture in enumerate(sorted(Path(source).glob("*.png"))):
            mask = picture.parent / "masks" / picture.name
            if not mask.is_file():
                draft.reject(picture.name, "no mask")
                continue
            split = ("train", "validation", "test")[number % 3]
            for kind, file in (("images", picture), ("labels", mask)):
                draft.write_file(f"{kind}/{picture.name}", file.read_bytes())
            draft.rows.append({
                "case_id": picture.stem, "image": f"images/{picture.name}", "label": f"labels/{picture.name}",
                "group": picture.stem, "split": split, "fold": -1, "test_set": "discs" if split == "test" else "",
            })
    return index.load(out)
""",
    "level": """
import numpy as np

from medseg import atomic
from medseg.experiments.history import History

def train(run, parameters):
    history = History(run, parameters["max_epochs"], "dice")
    for epoch in range(1, parameters["max_epochs"] + 1):
        for split in ("train", "validation"):
            history.add(epoch, split, {"loss": 1 / epoch, "dice": 1 - 1 / epoch, "iou": 1 - 1 / epoch}, 0.1, 0.1)
    history.write()
    atomic.write_json(run.checkpoints / "best.json", parameters["level"])
    run.finish(best={"epoch": parameters["max_epochs"]})

def load_predictor(run, device):
    level = float((run.checkpoints / "best.json").read_text("utf-8"))
    return lambda pictures: [(p.mean(axis=2) > level).astype(np.float32) for p in pictures]
""",
    "check": """
from medseg.errors import MedsegError
from medseg.experiments import preflight

def check(parameters):
    if not 0 <= parameters["level"] <= 255:
        raise MedsegError(f"level: found {parameters['level']}, expected 0 to 255.")

if __name__ == "__main__":
    preflight.answer(check)
""",
}
#: The parameters cell of each notebook, then its other cells.
NOTEBOOKS = {
    "1_preprocess": (
        "source: str = ''  # folder of pictures\nout: str = 'data/toy'  # dataset to write",
        "from medseg.studies.toy.prepare import prepare",
        "prepare(source, out)",
    ),
    "2_train": (
        "data: str = 'data/toy'  # dataset\nlevel: int = 128  # a pixel is disc above it\n"
        "max_epochs: int = 2  # lines of the history\nseed: int = 1  # of nothing",
        *toy_cells.TRAIN,
    ),
    "3_evaluate": toy_cells.EVALUATE,
    "4_results": toy_cells.RESULTS,
}
SWEEP = """
study: toy
title: Which level finds the discs?
train: 2_train
data: data/toy
grid: {level: [100, 230]}
"""
#: What an installed study would not need: every process of the test has to know the temporary project.
START = """
from pathlib import Path
from medseg import project, studies
project.root = lambda: Path({root!r})
studies.__path__.append({folder!r})
"""


@pytest.fixture
def toy(tmp_path, monkeypatch, write_notebook):
    """A project with the study, in a temporary folder; its root."""
    folder = tmp_path / "studies"
    for name, source in MODULES.items():
        (folder / "toy").mkdir(parents=True, exist_ok=True)
        (folder / "toy" / f"{name}.py").write_text(source, "utf-8")
    for name, (parameters, *cells) in NOTEBOOKS.items():
        write_notebook(tmp_path / "notebooks" / "toy" / f"{name}.ipynb", parameters, *cells)
    sweeps = tmp_path / "notebooks" / "toy" / "sweeps"
    sweeps.mkdir()
    (sweeps / "levels.yaml").write_text(SWEEP, "utf-8")
    start = tmp_path / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(START.format(root=str(tmp_path), folder=str(folder)), "utf-8")
    library = str(Path(project.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(start), library]))
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(folder)])
    monkeypatch.setattr(project, "root", lambda: tmp_path)
    monkeypatch.delenv(project.RUNS_VARIABLE, raising=False)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("medseg.studies.toy")]:
        del sys.modules[name]
    vars(studies).pop("toy", None)


def _draw(folder: Path) -> None:
    """Twelve pictures of a bright disc, and one without a mask."""
    (folder / "masks").mkdir(parents=True)
    for number in range(12):
        mask = np.zeros((40, 48), np.uint8)
        cv2.circle(mask, (20 + number, 20), 6 + number % 4, 255, -1)
        picture = np.where(mask > 0, 170, 60).astype(np.uint8)
        picture[:4] = 240  # brighter than any disc
        cv2.imwrite(str(folder / f"{number:02}.png"), cv2.merge([picture] * 3))
        cv2.imwrite(str(folder / "masks" / f"{number:02}.png"), mask)
    cv2.imwrite(str(folder / "99.png"), np.zeros((40, 48, 3), np.uint8))


def _medseg(*arguments: str) -> None:
    cli.app(list(arguments), standalone_mode=False)


def test_a_study_of_two_folders_goes_all_the_way(toy, capsys):
    _draw(toy / "pictures")
    assert "toy" in registry.names()

    _medseg("prepare", "toy", "--source", str(toy / "pictures"))
    assert (toy / "data" / "toy" / "rejected.csv").read_text("utf-8").splitlines()[1:] == ["99.png,no mask"]
    assert (toy / "reports" / "prepared" / "toy" / "toy.html").is_file()

    _medseg("sweep", str(toy / "notebooks" / "toy" / "sweeps" / "levels.yaml"))
    found = {run.record["parameters"]["level"]: run for run in runs.all_runs("toy")}
    assert all(run.evaluated for run in found.values())
    assert found[100].cases()["dice"].between(0.3, 0.99).all()  # the discs, and the bright edge
    assert found[230].cases()["dice"].eq(0).all()  # the bright edge alone
    assert {"hd95", "surface_dice"} <= set(found[100].cases())
    page = (toy / "reports" / "toy-levels.html").read_text("utf-8")
    assert "Which level finds the discs?" in page
    assert "level 100" in page
    assert "toy-levels.html" in (toy / "reports" / "index.html").read_text("utf-8")
