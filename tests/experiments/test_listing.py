"""Choosing among runs, and what a program reads of them."""

import json

import pytest
from synthetic_runs import bare_run

from medseg import atomic
from medseg.errors import MedsegError
from medseg.experiments import listing
from medseg.experiments.runs import all_runs


@pytest.fixture
def three(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path))
    good = bare_run(tmp_path / "polyp" / "good", {"A": [0.5, 0.7], "B": [1.0]}, backbone="resnet34", learning_rate=1e-4)
    poor = bare_run(tmp_path / "polyp" / "poor", {"A": [0.1, 0.2]}, backbone="resnet18", parts=["cbam"], resolution=96)
    poor.update(status="failed", error="first line\nlast line")
    cut = bare_run(tmp_path / "polyp" / "cut", {"A": [0.1]}, backbone="resnet18")
    (cut.folder / "run.json").write_text("{")
    return good, poor, cut


def test_a_program_gets_state_parameters_and_means_of_every_run(three):
    good, poor, cut = (json.loads(json.dumps(listing.described(run))) for run in three)
    assert good["state"] == "evaluated"
    assert good["error"] is None
    assert good["dice"] == {"A": 0.6, "B": 1.0}
    assert good["parameters"]["backbone"] == "resnet34"
    assert good["data"]["fingerprint"] == "ab" * 32
    assert poor["state"] == "failed"
    assert poor["error"] == "first line\nlast line"
    assert poor["dice"] == {}
    assert cut["state"] == "unreadable"
    assert "not valid JSON" in cut["error"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"where": ["backbone=resnet34"]}, ["good"]),
        ({"where": ["learning_rate=0.0001"]}, ["good"]),
        ({"where": ["learning_rate=1e-4", "backbone=resnet18"]}, []),
        ({"where": ['parts=["cbam"]']}, ["poor"]),
        ({"where": ["resolution=96.0"]}, ["poor"]),
        ({"states": listing.FAILED}, ["cut", "poor"]),
        ({}, ["cut", "good", "poor"]),
    ],
)
def test_runs_are_chosen_by_state_and_parameters(three, conditions, expected):
    assert sorted(run.id for run in listing.chosen(all_runs(), **conditions)) == expected


def test_runs_are_chosen_by_sweep(three, monkeypatch, tmp_path):
    monkeypatch.setattr(listing.sweep, "record_file", lambda name: tmp_path / f"{name}.json")
    atomic.write_json(tmp_path / "mine.json", {"run_ids": ["poor", "gone"]})
    assert [run.id for run in listing.chosen(all_runs(), of_sweep="mine")] == ["poor"]


@pytest.mark.parametrize(
    ("where", "message"),
    [("bakbone=x", "No run has a parameter 'bakbone'. They have: backbone, "), ("backbone", "not of the form")],
)
def test_a_condition_that_cannot_be_meant_is_refused(three, where, message):
    with pytest.raises(MedsegError, match=message):
        listing.chosen(all_runs(), where=[where])


def test_a_file_with_two_names_takes_its_place_once(three):
    run = three[0]
    before = listing.size(run)
    run.checkpoints.mkdir()
    (run.checkpoints / "best.ckpt").write_bytes(bytes(1000))
    (run.checkpoints / "epoch-0001.ckpt").hardlink_to(run.checkpoints / "best.ckpt")
    assert listing.size(run) == before + 1000
    assert listing.size(run, "checkpoints") == 1000
