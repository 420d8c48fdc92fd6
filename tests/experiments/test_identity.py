"""A run's id says its question: a file of weights counts by its content, not by where it lies."""

import json

import pytest

from medseg import project, registry
from medseg.experiments.identity import as_before, question, readable_weights, run_id, weights_files
from medseg.experiments.params import read_schema

#: Had this id before there were budgets.
KNOWN = project.root() / "tests" / "fixtures" / "before" / "smp-unet-resnet18-64-s1-88c3253f"


def _id(**parameters):
    return run_id("polyp", "2_train_torch", {"architecture": "unet", "seed": 1, **parameters}, "0" * 64)


def test_the_content_of_a_weights_file_decides_and_its_place_does_not(tmp_path):
    here, there, other = tmp_path / "a.pth", tmp_path / "there" / "b.pth", tmp_path / "c.pth"
    there.parent.mkdir()
    for file, content in ((here, b"one"), (there, b"one"), (other, b"two")):
        file.write_bytes(content)
    assert _id(weights=str(here)) == _id(weights=str(there))
    assert _id(weights=str(here)) != _id(weights=str(other))
    before = _id(weights=str(here))
    here.write_bytes(b"changed")
    assert _id(weights=str(here)) != before


def test_names_of_weights_are_no_files():
    assert weights_files({"weights": "imagenet", "resnet_weights": "none", "vit_weights": ""}) == {}
    assert question({"weights": "imagenet", "data": "x", "device": "cpu"}) == {"weights": "imagenet"}


def test_what_is_kept_of_a_run_is_no_part_of_its_question():
    assert _id(keep_last=True, checkpoint_minutes=0.0) == _id(keep_last=False, checkpoint_minutes=5.0) == _id()


def test_files_that_are_gone_still_count_as_they_were(tmp_path):
    file = tmp_path / "a.pth"
    file.write_bytes(b"one")
    parameters = {"vit_weights": str(file), "seed": 1}
    files = weights_files(parameters)
    before = run_id("gastric", "2_train", parameters, "0" * 64)
    file.unlink()
    assert run_id("gastric", "2_train", parameters, "0" * 64, files) == before
    assert run_id("gastric", "2_train", parameters, "0" * 64) != before


def test_a_person_reads_a_name_and_no_path(tmp_path):
    file = tmp_path / "mobilenet.pth"
    file.write_bytes(b"one")
    parameters = {"weights": str(file)}
    record = {"parameters": parameters, "weights_files": weights_files(parameters)}
    assert readable_weights(record) == {"weights": "mobilenet.pth (7692c3ad)"}
    assert readable_weights({"parameters": parameters}) == {"weights": "mobilenet.pth"}
    assert readable_weights({"parameters": {"weights": "imagenet"}}) == {}


def test_the_slug_shows_what_tells_gastric_networks_apart():
    parameters = {"architecture": "transunet", "size": "tiny", "variant": "plain", "resolution": 96, "seed": 2}
    assert run_id("gastric", "2_train", parameters, "0" * 64).startswith("transunet-tiny-plain-96-s2-")


def test_parameters_that_came_later_do_not_orphan_finished_runs():
    assert _id(max_minutes=0.0, max_steps=0) == _id() == _id(max_minutes=0)
    assert len({_id(), _id(max_minutes=1.0), _id(max_steps=1), _id(max_steps=2)}) == 4
    record = json.loads((KNOWN / "run.json").read_text("utf-8"))
    asked = {**record["parameters"], "max_minutes": 0.0, "max_steps": 0}
    assert run_id(record["study"], record["stage"], asked, record["dataset"]["fingerprint"]) == KNOWN.name


TRAININGS = [(study.name, training.stage) for study in registry.every() for training in study.trainings]


@pytest.mark.parametrize(("study", "stage"), TRAININGS)
def test_parameters_that_came_later_leave_finished_runs_their_ids(study, stage):
    now = read_schema(project.root() / "notebooks" / study / f"{stage}.ipynb").complete({}, "x")
    later = {name for name, value in as_before(now).items() if name in now and now[name] == value}
    assert "label_smoothing" in later
    before = {name: value for name, value in now.items() if name not in later}
    assert run_id(study, stage, before, "f") == run_id(study, stage, now, "f")
    for name in later:
        assert run_id(study, stage, {**now, name: "other"}, "f") != run_id(study, stage, now, "f")
