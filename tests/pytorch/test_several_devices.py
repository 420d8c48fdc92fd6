"""Processes that share every batch train what one process trains."""

import numpy as np
import pytest
import torch
from torch_trainings import trained

from medseg.errors import MedsegError
from medseg.pytorch import device as devices
from medseg.pytorch import several_devices
from medseg.pytorch.check import check
from medseg.pytorch.data import EpochSampler
from medseg.pytorch.several_devices import PartOfBatches

# Small steps: rounding grows by every step, by how much depends on the processor, and the sums of two processes are
# rounded otherwise.
WITHOUT_BATCH_NORM = {
    "architecture": "smp-unet", "backbone": "tu-test_convnext", "norm": "group", "width": 1.0, "batch_size": 7,
    "max_epochs": 2, "optimizer": "sgd", "learning_rate": 0.0005, "loss": "bce+dice",
}  # fmt: skip


@pytest.mark.parametrize(("items", "batch_size", "count"), [(24, 7, 2), (10, 4, 3), (9, 8, 4), (5, 5, 1)])
def test_the_parts_of_a_batch_are_the_batch_and_their_weights_make_its_mean(items, batch_size, count):
    values = np.random.default_rng(0).normal(size=items)
    parts = [
        PartOfBatches(EpochSampler(items, 1), batch_size, drop_last=False, rank=rank, count=count)
        for rank in range(count)
    ]
    (whole,) = [PartOfBatches(EpochSampler(items, 1), batch_size, drop_last=False, rank=0, count=1)]
    assert {len(part) for part in parts} == {len(whole)}
    for number, (batch, *shared) in enumerate(zip(whole, *parts, strict=True)):
        weights = [part.weight(number) for part in parts]
        counted = [key for part, weight in zip(shared, weights, strict=True) for key in part if weight]
        assert sorted(counted) == sorted(batch)
        means = [np.mean([values[key[1]] for key in part]) for part in shared]
        mean = np.mean([values[key[1]] for key in batch])
        assert np.mean(np.multiply(weights, means)) == pytest.approx(mean, abs=1e-12)


def test_two_processes_train_as_one_does(parameters, discs):
    given = {**parameters, **WITHOUT_BATCH_NORM, "gradient_clip": 1.0, "warmup_epochs": 1}
    still, _ = trained({**given, "learning_rate": 1e-12}, discs)
    alone, one = trained(given, discs)
    run, two = trained({**given, "devices": 2}, discs)
    assert two["split"].tolist() == one["split"].tolist()
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-5)
    np.testing.assert_allclose(two["learning_rate"], one["learning_rate"], rtol=1e-9)
    np.testing.assert_allclose(two[["dice", "iou"]], one[["dice", "iou"]], rtol=1e-2)
    begin, own, other = (_weights(r) for r in (still, run, alone))
    # Where the steps led: the same place but for rounding, 4e-5 of the way on one processor.
    assert float((own - other).norm() / (other - begin).norm()) < 2e-3
    assert run.record["device"]["count"] == 2
    assert run.record["peak_memory_mb"]["host"] > 100
    assert sorted(file.name for file in run.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


def _weights(run):
    """All weights of the latest epoch, one after the other, float64."""
    state = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["state_dict"]
    return torch.cat([state[name].double().ravel() for name in sorted(state) if state[name].is_floating_point()])


def refuse(words):
    if several_devices.place()[0] == 1:
        raise MedsegError(words)
    torch.distributed.init_process_group("gloo", rank=0, world_size=2)  # waits for the other


def test_a_fault_in_one_process_ends_all_in_the_same_words():
    with pytest.raises(MedsegError, match="^no such picture$"):
        several_devices.launch(devices.choose("cpu", count=2), refuse, "no such picture")


def test_devices_that_are_not_there_or_get_nothing_are_refused(parameters):
    with pytest.raises(MedsegError, match="devices is 999, but there is"):
        check({**parameters, "devices": 999})
    with pytest.raises(MedsegError, match="devices is 0, expected 1 or more"):
        check({**parameters, "devices": 0})
    with pytest.raises(MedsegError, match="batch_size is 1, but 2 devices share every batch"):
        check({**parameters, "devices": 2, "batch_size": 1})
