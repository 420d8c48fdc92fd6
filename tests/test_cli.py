"""The command line: help, messages without tracebacks, the plan of a sweep."""

import json
import shutil
import sys

import pytest
from typer.testing import CliRunner

from medseg import project
from medseg.cli import app, main

COMMANDS = (
    "sample", "prepare", "sweep", "report", "keep", "runs", "params", "predict", "export", "ensemble", "demo", "diff",
)  # fmt: skip


@pytest.fixture
def medseg(tmp_path, monkeypatch, capsys):
    """Run the command as the console script does; returns exit code, output and errors."""
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "runs"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["medseg", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command):
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert f"Example: medseg {command}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("sweep", "nothing.yaml"), "Error: No sweep file"),
        (("sample", "teeth"), "Error: There is no study 'teeth'. There are: gastric, handbone, polyp."),
        (("report", "polyp"), "Error: No finished run of polyp to report on."),
        (("report", "polyp", "--sweep", "x"), "Error: No sweep 'x' was started here. Started: none."),
    ],
)
def test_a_fault_is_one_message(medseg, arguments, expected):
    code, out, errors = medseg(*arguments)
    assert code == 1
    assert errors.startswith(expected)
    assert "Traceback" not in errors + out


def test_a_refused_preparation_says_why_and_leaves_nothing(medseg, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, errors = medseg("prepare", "polyp", "--source", str(tmp_path / "empty"), "--out", str(tmp_path / "out"))
    assert code == 1
    assert errors.startswith("Error: ")
    assert str(tmp_path / "empty") in errors
    assert "Traceback" not in errors + out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("protocl=pranet", "unknown key 'protocl'. Did you mean 'protocol'?"),
        ("allow_empty=paris", "allow_empty: found 'paris'"),
        ("seed", "found 'seed', expected NAME=VALUE"),
        ("seed=one", "seed: found 'one'"),
    ],
)
def test_a_wrong_setting_of_a_preparation_is_refused_before_it_starts(medseg, tmp_path, setting, expected):
    where = ("--source", str(tmp_path), "--out", str(tmp_path / "out"))
    code, _, errors = medseg("prepare", "polyp", *where, "--set", setting)
    assert code == 1
    assert expected in errors


def test_one_damaged_run_stops_neither_list_nor_report(medseg, tmp_path):
    """Its record, then its executed notebook; the report over the rest is made, and says why it is not in it."""
    shutil.copytree(project.root() / "tests/fixtures/runs/polyp", tmp_path / "runs" / "polyp")
    bad, other, *_ = sorted((tmp_path / "runs" / "polyp").iterdir())
    (bad / "run.json").write_text('{"status": ')
    (other / "3_evaluate.ipynb").write_text('{"cells": [{"cell_')
    code, out, errors = medseg("runs", "polyp")
    assert (code, errors) == (0, "")
    assert f"polyp/{bad.name}  unreadable: {bad / 'run.json'} is not valid JSON" in out
    assert out.count("finished, evaluated") == 4
    code, out, errors = medseg("report", "polyp")
    assert (code, errors) == (0, "")
    page = (tmp_path / "polyp.html").read_text("utf-8")
    assert f"{bad / 'run.json'} is not valid JSON" in page
    assert "3_evaluate.ipynb cannot be read as a notebook" in (other / "3_evaluate.html").read_text("utf-8")
    code, out, errors = medseg("view", bad.name)
    assert code == 1
    assert errors.startswith(f"Error: The run {bad.name} cannot be used: ")


def test_runs_are_listed_for_a_program_compared_and_pruned(medseg, tmp_path):
    shutil.copytree(project.root() / "tests/fixtures/runs/polyp", tmp_path / "runs" / "polyp")
    code, out, _ = medseg("runs", "polyp", "--json", "--where", "architecture=unet", "--where", "backbone=none")
    (unet,) = json.loads(out)
    assert code == 0
    assert unet["state"] == "evaluated"
    assert set(unet["dice"]) == {"ClinicDB", "ETIS"}
    code, out, _ = medseg("diff", unet["run_id"], "smp-unet")
    assert code == 0
    assert "unet  ->  smp-unet" in out
    assert "8 groups" in out
    best = tmp_path / "runs" / "polyp" / unet["run_id"] / "checkpoints" / "best.ckpt"
    best.parent.mkdir()
    best.write_bytes(bytes(2_000_000))
    code, out, _ = medseg("runs", "prune", "polyp", "--keep", "0", "--yes")
    assert code == 0
    assert f"{unet['run_id']}  best.ckpt: 2.0 MB" in out
    assert not best.exists()
    code, out, _ = medseg("runs", "polyp")
    assert "finished, evaluated, pruned" in out


def test_no_runs_yet(medseg):
    code, out, errors = medseg("runs")
    assert (code, errors) == (0, "")
    assert "no runs yet" in out


def test_an_ensemble_is_combined_and_scored_beside_its_members(medseg, tmp_path, polygon_dataset):
    """Two of three submissions are right about the bone a; only one is about b, so that the vote loses it."""
    from medseg.datasets.frames import read_polygons
    from medseg.datasets.polygons import rasterise
    from medseg.masks import rle, submission

    paths = []
    for number, right in enumerate(({"a", "b"}, {"a"}, set())):
        rows = []
        for _, case in polygon_dataset.split("test").iterrows():
            masks = rasterise(read_polygons(polygon_dataset, case)[1], 3)
            for name, mask in zip("abc", masks, strict=True):
                rows.append((case["image_name"], name, rle.encode(mask) if name in right else ""))
        paths.append(tmp_path / f"{number}.csv")
        submission.write(paths[-1], rows)
    out = tmp_path / "all.csv"
    code, shown, errors = medseg(
        "ensemble", *map(str, paths), "--out", str(out), "--data", str(polygon_dataset.folder),
    )  # fmt: skip
    assert (code, errors) == (0, "")
    scores = [line.split()[2] for line in shown.splitlines() if line.startswith("average Dice")]
    assert scores == ["0.8000", "0.4000", "0.0000", "0.4000"]  # of five bones: a and b twice, c once


def test_a_prediction_takes_several_runs_or_all_folds_of_one(medseg, tmp_path, monkeypatch, polygon_dataset):
    """A new picture is seen by all networks; runs given twice count once."""
    import cv2
    import numpy as np
    import pandas as pd

    from medseg.evaluation import common
    from medseg.experiments import runs

    def trained(**question):
        run = runs.prepare_run("handbone", "2_train", question, polygon_dataset)
        with runs.training(run, "handbone", "2_train", question, polygon_dataset):
            run.write_table("history.csv", pd.DataFrame({"epoch": [1], "split": ["train"], "loss": [0.5]}))
            run.finish()
        return run

    folds = [trained(architecture="u", seed=1, fold=fold) for fold in range(3)]
    other = trained(architecture="v", seed=1, fold=0)
    loaded = []
    monkeypatch.setattr(common, "load_predictor", lambda run, device: (
        loaded.append(run.id) or (lambda picture: np.ones((3, *picture.shape), np.float32))
    ))  # fmt: skip
    (tmp_path / "new").mkdir()
    cv2.imwrite(str(tmp_path / "new" / "hand.png"), np.full((4, 4), 9, np.uint8))
    options = ("--pictures", str(tmp_path / "new"), "--out", str(tmp_path / "out"))
    code, shown, errors = medseg("predict", folds[1].id, folds[2].id, "--all-folds", *options)
    assert (code, errors) == (0, "")
    assert "1 pictures predicted by the mean of 3 networks" in shown
    assert loaded == [run.id for run in folds]
    code, shown, errors = medseg("predict", folds[1].id, other.id, *options)
    assert "out holds predictions with runs [" in errors
    code, shown, errors = medseg("predict", folds[1].id, other.id, *options[:-1], str(tmp_path / "other"))
    assert "mean of 2 networks" in shown
    assert "no finished other fold" in medseg("predict", other.id, "--all-folds", *options)[2]


@pytest.mark.parametrize(("threshold", "expected"), [("0.3", "1 4"), ("0.5", "1 2"), ("0.7", "")])
def test_the_mean_of_an_ensemble_takes_a_threshold(medseg, tmp_path, threshold, expected):
    files = [tmp_path / f"{name}.csv" for name in "abc"]
    for file, code in zip(files, ("1 4", "1 2", ""), strict=True):
        file.write_text(f"image_name,class,rle\nhand.png,bone,{code}\n")
    out = tmp_path / "all.csv"
    options = ("--rule", "mean", "--threshold", threshold, "--height", "2", "--width", "4", "--out", str(out))
    assert medseg("ensemble", *map(str, files), *options)[0] == 0
    assert out.read_text().splitlines()[1] == f"hand.png,bone,{expected}"


def test_finished_runs_are_kept(medseg, tmp_path):
    kept = tmp_path / "elsewhere" / "scores"
    assert medseg("keep", "polyp", "--out", str(kept))[0] == 1
    shutil.copytree(project.root() / "tests/fixtures/runs/polyp", tmp_path / "runs" / "polyp")
    code, out, errors = medseg("keep", "polyp", "--out", str(kept))
    assert (code, errors) == (0, "")
    assert "5 runs kept" in out
    shutil.rmtree(tmp_path / "runs")
    assert medseg("report", "--runs", str(tmp_path))[2].startswith("Error: There is no run in ")
    assert "name it" in medseg("report", "--runs", str(kept), "--fill", "some.md")[2]
