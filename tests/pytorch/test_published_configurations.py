"""Every published network of the hand-bone study builds, takes a training step and gives maps of 29 bones."""

import time

import numpy as np
import pytest
import torch

from medseg.evaluation.predictors import FittedPredictor
from medseg.pytorch import device as devices
from medseg.pytorch.epoch_sums import EpochSums
from medseg.pytorch.inference import TrainedNetwork
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import build_model
from medseg.pytorch.optimisation import Optimisation
from medseg.pytorch.task import OverlappingTask
from medseg.studies.handbone.bones import CLASSES

PUBLISHED = [
    ("smp-unet", "efficientnet-b0"),
    ("smp-upernet", "efficientnet-b7"),
    ("smp-unetplusplus", "tu-res2net50_26w_4s"),
    ("smp-unetplusplus", "efficientnet-b7"),
    ("smp-unetplusplus", "tu-efficientnetv2_rw_m"),
    ("smp-unetplusplus", "tu-hrnet_w64"),
    ("smp-unetplusplus", "tu-hrnet_w40"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "backbone"), PUBLISHED)
def test_a_published_network_takes_a_step_and_predicts(architecture, backbone, record_property):
    started = time.monotonic()
    torch.manual_seed(0)
    model = build_model(
        architecture, backbone, num_classes=len(CLASSES), upsampling="bilinear", auxiliary=["sex", "side"]
    )
    task = OverlappingTask(
        model,
        build_loss("bce+dice"),
        Optimisation(2e-4, 1e-6, "cosine", backbone_learning_rate=1e-4),
        classes=len(CLASSES),
        seed=1,
    ).train()
    optimizer = task.configure_optimizers()
    rng = np.random.default_rng(0)
    batch = (
        torch.from_numpy(rng.integers(0, 256, (2, 1, 64, 64), np.uint8)),
        torch.from_numpy(rng.integers(0, 2 ** len(CLASSES), (2, 64, 64), np.int32)),
        torch.tensor([[0, 1], [1, -1]]),
    )
    sums = EpochSums(torch.device("cpu"))
    before = [parameter.detach().clone() for parameter in model.network.parameters()]
    loss = task.step(batch, sums)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    with_gradient = [parameter.grad is not None for parameter in model.network.parameters()]
    assert np.mean(with_gradient) > 0.98, "no part is left out of the training"
    moved = [not torch.equal(old, new) for old, new in zip(before, model.network.parameters(), strict=True)]
    assert np.mean(moved) > 0.7, "offsets behind a factor that starts at 0 have no gradient in the first step"
    assert 0 <= sums.results()["dice"] <= 1

    maps = FittedPredictor(TrainedNetwork(model, devices.Device("cpu", "CPU", "fp32")), 64)(
        rng.integers(0, 256, (150, 130), dtype=np.uint8)
    )
    assert len(maps) == 29
    assert maps[28].shape == (150, 130)
    assert all(np.isfinite(m).all() for m in maps)
    seconds = time.monotonic() - started
    record_property("seconds", round(seconds, 1))
    print(f"{architecture} / {backbone}: {model.parameters_total / 1e6:.1f} million parameters, {seconds:.1f} s")
