"""Going on from what was trained: more epochs of the same training, and a run's weights as the start of another."""

import numpy as np
import pytest
import torch
from torch_trainings import run_of, trained

from medseg import project
from medseg.errors import MedsegError
from medseg.pytorch.check import check
from medseg.pytorch.models import build
from medseg.pytorch.weights import trained_weights

FIGURES = ["epoch", "loss", "dice", "iou", "learning_rate"]


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_more_epochs_go_on_from_the_shorter_training_and_equal_one_from_the_start(
    parameters, discs, tmp_path, monkeypatch, schedule
):
    parameters |= {"schedule": schedule, "restart_epochs": 3, "restart_factor": 1}
    for epochs in (2, 3):
        shorter, before = trained(parameters | {"max_epochs": epochs}, discs)
    run, longer = trained(parameters | {"max_epochs": 6}, discs)
    assert run.record["continues"] == shorter.id
    assert list(longer["seconds"][:6]) == list(before["seconds"])  # these epochs were not trained again
    assert run.record["selection"]["epochs_trained"] == 6
    assert shorter.record["selection"]["epochs_trained"] == 3
    assert len(shorter.history()) == 6
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "anew"))
    anew, whole = trained(parameters | {"max_epochs": 6}, discs)
    assert "continues" not in anew.record
    np.testing.assert_allclose(longer[FIGURES], whole[FIGURES], atol=1e-4)
    assert anew.record["selection"]["best_epoch"] == run.record["selection"]["best_epoch"]


def test_a_run_whose_last_checkpoint_was_not_kept_is_named_and_all_is_trained(parameters, discs, capsys):
    shorter, _ = trained(parameters | {"max_epochs": 1, "keep_last": False}, discs)
    run, history = trained(parameters | {"max_epochs": 2}, discs)
    assert "continues" not in run.record
    assert history["epoch"].max() == 2
    assert f"The run {shorter.id} is the beginning of this training, but its last checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes",
    [{"schedule": "polynomial"}, {"validation_interval": 2}, {"seed": 9}, {"loss": "bce"}],
    ids=str,
)
def test_another_training_or_one_that_looks_at_its_end_begins_anew(parameters, discs, changes):
    base = parameters if {"seed", "loss"} & set(changes) else parameters | changes
    trained(base | {"max_epochs": 2}, discs)
    run, history = trained(parameters | changes | {"max_epochs": 3}, discs)
    assert "continues" not in run.record
    assert history["epoch"].max() == 3


def test_a_training_that_stopped_early_is_not_gone_on_from(parameters, discs):
    parameters |= {"patience": 1, "learning_rate": 1e-12}
    shorter, _ = trained(parameters | {"max_epochs": 30}, discs)
    assert shorter.record["selection"]["stopped_early"]
    run, _ = trained(parameters | {"max_epochs": 31}, discs)
    assert "continues" not in run.record


def test_a_run_gives_its_best_weights_as_a_start(parameters, discs):
    first, _ = trained(parameters | {"max_epochs": 2}, discs)
    given = parameters | {"weights": f"run:{first.id}", "loss": "bce"}
    check(given)
    model = build(given, 1)
    assert model.weights == f"run {first.id}"
    saved, own = trained_weights(first), model.network.state_dict()
    assert all(torch.equal(own[key], saved[key]) for key in saved)
    second, _ = trained(given | {"max_epochs": 1}, discs)
    assert second.record["model"]["weights"] == f"run {first.id}"
    more = build(given, 3)  # other classes: all but what ends in them
    assert more.weights == f"run {first.id}, but for network.head"
    other = more.network.state_dict()
    assert sum(not torch.equal(other[key], saved[key]) for key in saved if other[key].shape == saved[key].shape) == 0


def test_a_run_that_does_not_fit_or_is_not_there_is_named(parameters, discs):
    with pytest.raises(MedsegError, match="0 runs match the weights 'run:gone'"):
        check(parameters | {"weights": "run:gone"})
    first, _ = trained(parameters | {"max_epochs": 1}, discs)
    with pytest.raises(MedsegError, match="of the weights of the run .* fit this network"):
        build(
            parameters
            | {"architecture": "smp-unet", "backbone": "resnet18", "width": 1.0, "weights": f"run:{first.id}"},
            1,
        )
    unfinished = run_of(parameters | {"max_epochs": 99}, discs)
    unfinished.folder.mkdir(parents=True)
    unfinished.update(study="polyp", status="running")
    with pytest.raises(MedsegError, match="has no best.ckpt"):
        check(parameters | {"weights": f"run:{unfinished.id}"})
