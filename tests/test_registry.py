"""Studies are found by their folders, and what they say of themselves is true."""

import importlib.util
import pkgutil

import pytest

from medseg import project, registry
from medseg.errors import MedsegError


def test_every_folder_is_a_study_and_has_notebooks():
    folders = {path.parent.name for path in (project.root() / "lib" / "medseg" / "studies").glob("*/study.py")}
    assert set(registry.names()) == folders == {path.name for path in (project.root() / "notebooks").iterdir()}


@pytest.mark.parametrize("name", registry.names())
def test_what_a_study_names_is_there(name):
    study = registry.find(name)
    notebooks = project.root() / "notebooks" / name
    assert study.name == name
    assert {path.stem for path in notebooks.glob("2_*.ipynb")} == {training.stage for training in study.trainings}
    assert all((notebooks / f"{stage}.ipynb").is_file() for stage in ("1_preprocess", "3_evaluate", "4_results"))
    for training in study.trainings:
        for module in (training.checker, training.predictor):
            assert importlib.util.find_spec(module), module
    assert study.demo
    assert all((notebooks / "sweeps" / f"{sweep}.yaml").is_file() for sweep in study.demo)
    assert callable(pkgutil.resolve_name(study.prepare))
    assert callable(pkgutil.resolve_name(study.sample))


def test_what_is_not_there_is_said():
    with pytest.raises(MedsegError, match="no study 'teeth'. There are: gastric, handbone, polyp"):
        registry.find("teeth")
    with pytest.raises(MedsegError, match="no training notebook '2_trian'. It has: 2_train_torch, 2_train_keras"):
        registry.find("polyp").training("2_trian")
