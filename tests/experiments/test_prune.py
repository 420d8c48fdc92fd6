"""What is removed of finished runs, and what never is."""

import pytest
from synthetic_runs import bare_run

from medseg import atomic
from medseg.errors import MedsegError
from medseg.experiments import outcome, prune
from medseg.experiments.runs import all_runs


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Five runs with checkpoints of 100, 100 and 300 bytes; two are of other data, one of these not scored."""
    monkeypatch.setenv("MEDSEG_RUNS", str(tmp_path))
    made = {}
    for name, dice in {"first": 0.9, "second": 0.8, "third": 0.7, "other": 0.1, "unscored": 0.9}.items():
        run = bare_run(tmp_path / "polyp" / name, {"A": [dice, dice], "B": [0.5]})
        if name in ("other", "unscored"):
            run.update(dataset={**run.record["dataset"], "fingerprint": "cd" * 32})
        run.checkpoints.mkdir()
        (run.checkpoints / "best.ckpt").write_bytes(bytes(100))
        (run.checkpoints / "epoch-0002.ckpt").hardlink_to(run.checkpoints / "best.ckpt")
        (run.checkpoints / "epoch-0001.ckpt").write_bytes(bytes(100))
        (run.checkpoints / "last.ckpt").write_bytes(bytes(300))
        made[name] = run
    record = {key: value for key, value in made["unscored"].record.items() if key != "evaluation"}
    atomic.write_json(made["unscored"].folder / "run.json", record)
    return made


def left(run):
    return sorted(path.name for path in run.checkpoints.glob("*"))


def test_the_best_of_each_data_keep_what_predicts_and_all_keep_their_figures(runs):
    planned = prune.plan(all_runs(), keep=1)
    assert {one.run.id: (one.kept, one.bytes) for one in planned} == {
        "first": (True, 400), "other": (True, 400), "second": (False, 500), "third": (False, 500),
    }  # fmt: skip
    for one in planned:
        prune.remove(one)
    assert left(runs["first"]) == left(runs["other"]) == ["best.ckpt"]
    assert left(runs["second"]) == left(runs["third"]) == []
    assert left(runs["unscored"]) == ["best.ckpt", "epoch-0001.ckpt", "epoch-0002.ckpt", "last.ckpt"]
    assert runs["third"].evaluated
    assert not runs["third"].damaged
    assert len(runs["third"].cases()) == 3
    assert "pruned" in runs["third"].record
    assert "pruned" not in runs["first"].record
    assert prune.plan(all_runs(), keep=1) == []


def test_another_fold_is_no_competitor(runs):
    runs["third"].update(parameters={"fold": 2})
    assert {one.run.id for one in prune.plan(all_runs(), keep=1) if one.kept} == {"first", "third", "other"}


def test_whole_folders_go_on_request(runs):
    for one in prune.plan(all_runs("polyp"), keep=2, whole=True):
        prune.remove(one)
    assert sorted(run.id for run in all_runs()) == ["first", "other", "second", "unscored"]


def test_a_run_that_is_being_computed_is_left(runs):
    (one,) = [one for one in prune.plan(all_runs(), keep=2) if one.run.id == "third"]
    with runs["third"].lock().acquire(timeout=0), pytest.raises(MedsegError, match="nothing of it was removed"):
        prune.remove(one)
    assert "best.ckpt" in left(runs["third"])


def test_whoever_asks_for_a_pruned_checkpoint_is_told_so(runs):
    (one,) = [one for one in prune.plan(all_runs(), keep=2) if one.run.id == "third"]
    prune.remove(one)
    error = outcome.unusable(runs["third"].checkpoints / "best.ckpt", FileNotFoundError("no such file"))
    assert "'medseg runs prune' removed it, 2" in str(error)
