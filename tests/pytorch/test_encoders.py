"""Encoders of smp and timm, each under a decoder: trained one step, or refused before anything starts."""

import numpy as np
import pytest
import torch

from medseg.errors import MedsegError
from medseg.pytorch.check import check
from medseg.pytorch.dry_step import try_step
from medseg.pytorch.epoch_sums import EpochSums
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import build, build_model
from medseg.pytorch.optimisation import Optimisation
from medseg.pytorch.task import SegmentationTask

UNET = (
    "resnet18", "resnet34", "resnet50", "resnext50_32x4d", "se_resnet50", "densenet121", "vgg16_bn", "inceptionv4",
    "inceptionresnetv2", "xception", "mobilenet_v2", "mobileone_s0", "efficientnet-b0", "timm-efficientnet-b0",
    "timm-skresnet18", "dpn68", "mit_b0", "mit_b2", "tu-res2net50_26w_4s", "tu-regnety_008", "tu-gernet_s",
    "tu-convnext_tiny", "tu-convnextv2_atto", "tu-pvt_v2_b0", "tu-pvt_v2_b2", "tu-swin_tiny_patch4_window7_224",
    "tu-swinv2_tiny_window8_256", "tu-maxvit_tiny_tf_224", "tu-hrnet_w18", "tu-efficientnetv2_rw_s",
    "tu-tf_efficientnetv2_s", "tu-mobilenetv3_large_100", "tu-mobilenetv4_conv_small", "tu-edgenext_small",
    "tu-coatnet_0_rw_224", "tu-fastvit_t8", "tu-sam2_hiera_tiny", "tu-hiera_tiny_224", "tu-regnetz_b16", "tu-nfnet_l0",
    "tu-resnest26d", "tu-cspresnet50", "tu-efficientformerv2_s0", "tu-focalnet_tiny_srf", "tu-repvit_m1",
    "tu-inception_next_tiny",
)  # fmt: skip
OTHERS = (
    ("smp-dpt", "tu-vit_small_patch16_224"), ("smp-dpt", "tu-vit_small_patch16_dinov3"),
    ("smp-dpt", "tu-vit_small_patch14_dinov2"), ("smp-segformer", "mit_b2"), ("smp-upernet", "tu-convnext_tiny"),
    ("smp-upernet", "tu-sam2_hiera_tiny"), ("smp-fpn", "tu-pvt_v2_b2"),
)  # fmt: skip
REFUSED = {"tu-vit_small_patch14_dinov2"}


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "backbone"), [*(("smp-unet", name) for name in UNET), *OTHERS])
def test_an_encoder_trains_a_step_or_is_refused_before_the_start(parameters, architecture, backbone):
    given = {**parameters, "architecture": architecture, "backbone": backbone, "width": 1.0, "resolution": 96}
    if backbone in REFUSED:
        with pytest.raises(MedsegError, match="do not fit one another"):
            check(given)
        return
    assert "M parameters" in check(given)
    torch.manual_seed(0)
    model = build(given, 1)
    task = SegmentationTask(model, build_loss("bce+dice"), Optimisation(1e-3, 0.0, "constant"), seed=1).train()
    optimizer = task.configure_optimizers()
    before = [parameter.detach().clone() for parameter in model.network.parameters()]
    batch = (
        torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8),
        torch.randint(0, 2, (2, 1, 96, 96), dtype=torch.uint8),
    )
    loss = task.step(batch, EpochSums(torch.device("cpu")))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    reached = [parameter.grad is not None for parameter in model.network.parameters()]
    assert np.mean(reached) > 0.95
    # Where the last normalisation of every block begins at 0, what lies before it gets a gradient of 0 at first.
    moved = [not torch.equal(a, b) for a, b in zip(before, model.network.parameters(), strict=True)]
    assert any(moved[: len(moved) // 4]), "the encoder stands still"
    assert np.mean(moved) > 0.25


def test_a_step_without_memory_keeps_what_a_real_one_keeps():
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model = build_model("smp-linknet", "tu-test_resnet")
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = model.network.train()(torch.zeros(2, 3, 64, 64))
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
    real = sum(size for place, size in kept.items() if place not in weights)
    needs = try_step(build_model("smp-linknet", "tu-test_resnet"), "x", resolution=64, batch_size=2, classes=1)
    assert needs.parameters == model.parameters_total
    assert needs.memory - 16 * needs.parameters == real
    double = try_step(build_model("smp-linknet", "tu-test_resnet"), "x", resolution=64, batch_size=4, classes=1)
    assert double.memory - 16 * needs.parameters == pytest.approx(2 * real, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "smp-dpt", "backbone": "tu-vit_tiny_patch16_224", "batch_size": 0}, "batch_size is 0"),
        (
            {"architecture": "smp-dpt", "backbone": "tu-vit_small_patch14_dinov2"},
            "do not fit one another there. Take another resolution, or another backbone; under smp-dpt one with",
        ),
        ({"backbone": "tu-swinv2_tiny_window8_256", "tta": ["1.5"]}, "is made for pictures of one size"),
        ({"architecture": "smp-deeplabv3", "batch_size": 1}, "needs two pictures a batch"),
    ],
)
def test_what_would_fail_after_the_start_is_refused_before_it(parameters, changes, message):
    given = {"architecture": "smp-unet", "backbone": "resnet18", "width": 1.0, "resolution": 64, "batch_size": 4}
    with pytest.raises(MedsegError, match=message):
        check({**parameters, **given, **changes})


@pytest.mark.parametrize("backbone", ["tu-swinv2_tiny_window8_256", "mit_b0"])
def test_encoders_made_for_one_size_take_the_resolution_and_others_are_built_somehow(parameters, backbone):
    given = {**parameters, "architecture": "smp-unet", "backbone": backbone, "width": 1.0, "resolution": 64}
    assert check(given)
    model = build(given, 1)
    assert model.network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)
