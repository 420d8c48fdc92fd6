"""Networks by name: what can be asked for, what comes back, what is refused."""

import pytest
import torch

from medseg.errors import MedsegError
from medseg.pytorch.backbones import IMAGENET, Normalisation
from medseg.pytorch.models import ARCHITECTURES, PARTS, available_backbones, build_model

SMALLEST = {"unet": "none", "smp-dpt": "tu-vit_tiny_patch16_224"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_any_size(architecture):
    torch.manual_seed(0)
    width = 1 if architecture.startswith("smp-") else 0.125
    built = build_model(architecture, SMALLEST.get(architecture, "resnet18"), num_classes=3, width=width)
    network = built.network.eval()
    with torch.no_grad():
        for size in ((33, 47), (1, 5)):
            logits = network(torch.randn(1, 3, *size))
            assert logits.shape == (1, 3, *size)
            assert logits.dtype == torch.float32
            assert torch.isfinite(logits).all()
    assert built.weights == "random"
    assert built.parameters_total == built.parameters_trainable == sum(p.numel() for p in network.parameters())


def test_own_unet_has_the_parts_and_the_width_asked_for():
    names = {part: build_model("unet", "none", parts=[part], width=0.125) for part in PARTS}
    totals = {part: built.parameters_total for part, built in names.items()}
    plain = build_model("unet", "none", parts=(), width=0.125)
    assert len({plain.parameters_total, *totals.values()}) == 5
    every = build_model("unet", "none", width=0.125)
    assert every.parameters_total - plain.parameters_total == sum(t - plain.parameters_total for t in totals.values())
    assert every.network.network.head.in_channels == 8
    assert build_model("unet", "none").network.network.head.in_channels == 64
    assert (every.stride, every.normalisation) == (16, IMAGENET)


def test_frozen_parameters_are_not_counted_as_trainable():
    built = build_model("dilated-resnet-unet", "resnet18", width=0.125)
    built.network.network.encoder.requires_grad_(False)
    encoder = sum(p.numel() for p in built.network.network.encoder.parameters())
    assert built.parameters_trainable == built.parameters_total - encoder


def test_names_are_known_in_any_case():
    built = build_model("SMP-UnetPlusPlus", "ResNet18")
    assert type(built.network.network).__name__ == "UnetPlusPlus"
    assert build_model("unet", "none", parts=["CBAM"], width=0.125).network.network.contracting[0][1]
    assert built.stride == 32


def test_timm_encoders_may_carry_a_tag():
    built = build_model("smp-fpn", "tu-resnet18.a1_in1k")
    assert built.normalisation == IMAGENET
    assert built.weights == "random"


def test_normalisation_is_the_encoders_own():
    assert build_model("smp-unet", "inceptionv4").normalisation == Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_encoders_of_one_size_refuse_another():
    network = build_model("smp-unet", "tu-swin_tiny_patch4_window7_224").network.eval()
    with pytest.raises(MedsegError, match="224 x 224 pixels alone, not 256 x 256"):
        network(torch.zeros(1, 3, 256, 256))


def test_backbones_are_listed():
    assert available_backbones("unet") == ["none"]
    assert available_backbones("Dilated-ResNet-UNet") == ["resnet18", "resnet34", "resnet50", "resnet101"]
    smp_names = available_backbones("smp-upernet")
    assert {"efficientnet-b7", "tu-hrnet_w64", "tu-res2net50_26w_4s"} <= set(smp_names)
    assert all(name.startswith("tu-") for name in available_backbones("smp-dpt"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architecture": "unett"}, ["no architecture called 'unett'", "Nearest: unet", "medseg.pytorch.models.ARCH"]),
        ({"architecture": "smp-unet3"}, ["'smp-unet3'", "smp-unet"]),
        ({"backbone": "resnet18"}, ["'unet'", "no backbone", "'none' instead of 'resnet18'", "'smp-unet'"]),
        (
            {"architecture": "smp-fpn", "backbone": "resnet-50"},
            ["no backbone for 'smp-fpn' called 'resnet-50'", "resnet50", "available_backbones('smp-fpn')"],
        ),
        ({"architecture": "smp-fpn", "backbone": "tu-resnet5"}, ["'tu-resnet5'", "tu-resnet50"]),
        ({"architecture": "smp-fpn", "backbone": "tu-resnet18.nosuch"}, ["'tu-resnet18.nosuch'", "nosuch"]),
        ({"architecture": "smp-fpn", "backbone": "none"}, ["no backbone for 'smp-fpn' called 'none'"]),
        ({"architecture": "dilated-resnet-unet", "backbone": "resnet152"}, ["'resnet152'", "resnet50"]),
        ({"architecture": "smp-linknet", "backbone": "mit_b0"}, ["'smp-linknet' cannot be built on 'mit_b0'"]),
        ({"architecture": "smp-dpt", "backbone": "resnet18"}, ["no backbone for 'smp-dpt'", "tu-resnet18"]),
        ({"parts": ["residual", "aspp2"]}, ["no part of 'unet' called 'aspp2'", "Nearest: aspp"]),
        ({"architecture": "smp-fpn", "backbone": "resnet18", "parts": ["cbam"]}, ["Parts", "'unet' only", "'smp-fpn'"]),
        ({"architecture": "smp-fpn", "backbone": "resnet18", "width": 0.5}, ["'smp-fpn'", "width at 1 instead of 0.5"]),
        ({"width": 0}, ["Width must be above 0"]),
        ({"width": float("inf")}, ["Width must be above 0"]),
        ({"num_classes": 0}, ["num_classes at least 1"]),
        ({"weights": "imagenet"}, ["no pretrained weights for 'unet'", "'none' instead of 'imagenet'"]),
        (
            {"architecture": "smp-fpn", "backbone": "dpn92", "weights": "imagenet"},
            ["'imagenet' for 'dpn92'", "(imagenet+5k)"],
        ),
        (
            {"architecture": "smp-fpn", "backbone": "tu-gcvit_tiny", "weights": "imagenet"},
            ["no weights", "'tu-gcvit_tiny'", "path of a file"],
        ),
    ],
)
def test_wrong_requests_are_refused_in_words(options, words):
    with pytest.raises(MedsegError) as caught:
        build_model(**{"architecture": "unet", "backbone": "none", **options})
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
