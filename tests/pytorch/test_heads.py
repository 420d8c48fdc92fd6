"""Group normalisation, upsampling of logits, and heads that tell facts about the patient."""

import pytest
import torch
from torch import nn

from medseg.errors import MedsegError
from medseg.pytorch.heads import groups_of, set_upsampling
from medseg.pytorch.models import build_model

SMALL = "tu-test_resnet"


def norms(module):
    kinds = (nn.BatchNorm2d, nn.GroupNorm)
    return {kind.__name__ for kind in kinds if any(isinstance(m, kind) for m in module.modules())}


@pytest.mark.parametrize("architecture", ["smp-unet", "smp-unetplusplus", "smp-upernet", "smp-deeplabv3plus"])
def test_group_norm_goes_into_decoder_and_head_and_never_into_an_encoder(architecture):
    plain = build_model(architecture, "resnet18", num_classes=3).network.network
    grouped = build_model(architecture, "resnet18", num_classes=3, norm="group").network.network
    assert norms(plain.decoder) == {"BatchNorm2d"}
    assert norms(grouped.decoder) | norms(grouped.segmentation_head) == {"GroupNorm"}
    assert norms(grouped.encoder) == {"BatchNorm2d"}
    # Both have a factor and an offset for every channel, so that only the statistics are others.
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in grouped.parameters())


def test_group_norm_leaves_the_contracting_path_of_the_own_networks_alone():
    own = build_model("unet", "none", width=0.125, norm="group").network.network
    assert norms(own.contracting) == {"BatchNorm2d"}
    assert norms(own.expanding) == norms(own.bottom) == {"GroupNorm"}
    dilated = build_model("dilated-resnet-unet", "resnet18", width=0.125, norm="group").network.network
    assert norms(dilated.encoder) == {"BatchNorm2d"}
    assert norms(dilated.head) == norms(dilated.normalise) == {"GroupNorm"}


@pytest.mark.parametrize(
    ("channels", "groups"), [(256, 32), (32, 32), (16, 16), (48, 24), (29, 29), (37, 1), (224, 32)]
)
def test_groups_are_32_or_the_largest_divisor_below(channels, groups):
    assert groups_of(channels) == groups


def test_a_group_normalised_decoder_trains_on_a_batch_of_one():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 64, 64)
    logits = build_model("smp-upernet", SMALL, num_classes=3, norm="group").network.train()(images)
    assert torch.isfinite(logits).all()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        build_model("smp-upernet", SMALL, num_classes=3).network.train()(images)


def last_upsampling(network):
    [layer] = [m for m in network.network.segmentation_head.modules() if isinstance(m, nn.Upsample)]
    return layer


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_the_last_upsampling_keeps_pixel_centres_in_their_places(mode):
    layer = last_upsampling(build_model("smp-upernet", SMALL, upsampling=mode).network)
    ramp = torch.arange(16.0).repeat(1, 1, 16, 1)
    inner = layer(ramp)[0, 0, 20, 12:-12]
    # Fine pixel j has its centre at (j + 0.5) / 4 - 0.5 of the coarse grid; smp aligns the corners instead.
    # (PyTorch's bicubic, with a = -0.75, does not follow a ramp to the last digit.)
    torch.testing.assert_close(inner, (torch.arange(12.0, 52) + 0.5) / 4 - 0.5, atol=0.05, rtol=0)
    smp_own = last_upsampling(build_model("smp-upernet", SMALL).network)
    assert (smp_own(ramp)[0, 0, 20, 12:-12] - inner).abs().max() > 0.2


def test_bicubic_logits_differ_from_bilinear_ones_only_where_a_network_upsamples():
    images = torch.randn(1, 3, 64, 64)

    def logits(architecture, mode):
        torch.manual_seed(0)
        with torch.inference_mode():
            return build_model(architecture, SMALL, num_classes=2, upsampling=mode).network.eval()(images)

    assert not torch.allclose(logits("smp-fpn", "bilinear"), logits("smp-fpn", "bicubic"))
    assert torch.equal(logits("smp-unet", "bilinear"), logits("smp-unet", "bicubic"))


def test_auxiliary_heads_tell_facts_only_when_asked():
    torch.manual_seed(0)
    built = build_model("smp-unet", SMALL, num_classes=3, auxiliary=["sex", "side"])
    network, images = built.network.eval(), torch.randn(2, 3, 50, 70)
    alone = network(images)
    logits, facts = network(images, auxiliary=True)
    assert torch.equal(alone, logits)
    assert logits.shape == (2, 3, 50, 70)
    assert list(facts) == ["sex", "side"]
    assert {f.shape for f in facts.values()} == {(2,)}
    assert {f.dtype for f in facts.values()} == {torch.float32}
    facts["side"].sum().backward()
    first = next(built.encoder.parameters())
    assert first.grad.abs().sum() > 0, "the encoder learns from the facts"
    plain = build_model("smp-unet", SMALL, num_classes=3)
    channels = built.encoder.out_channels[-1]
    assert built.parameters_total == plain.parameters_total + 2 * (channels + 1)


def test_a_fact_is_the_linear_layer_of_the_pooled_last_feature():
    built = build_model("smp-unet", SMALL, auxiliary=["side"])
    network, images = built.network.eval(), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        pooled = built.encoder(images)[-1].mean((2, 3))
        _, facts = network(images, auxiliary=True)
        torch.testing.assert_close(facts["side"], network.auxiliary["side"](pooled)[:, 0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "batsch"}, ["no norm called 'batsch'", "batch"]),
        ({"architecture": "smp-fpn", "norm": "group"}, ["'smp-fpn' has no batch normalisation", "norm to 'batch'"]),
        ({"upsampling": "cubic"}, ["no upsampling called 'cubic'", "bicubic"]),
        ({"auxiliary": ["age"]}, ["no auxiliary fact called 'age'"]),
        ({"architecture": "unet", "backbone": "none", "auxiliary": ["sex"]}, ["architecture of smp", "not 'unet'"]),
        (
            {"architecture": "smp-dpt", "backbone": "tu-vit_tiny_patch16_224", "auxiliary": ["sex"]},
            ["other than smp-dpt"],
        ),
    ],
)
def test_wrong_options_are_refused_in_words(options, words):
    with pytest.raises(MedsegError) as caught:
        build_model(**{"architecture": "smp-unet", "backbone": SMALL, **options})
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_an_upsampling_that_cannot_be_changed_is_refused():
    network = nn.Module()
    network.segmentation_head = nn.Module()
    set_upsampling(network, "bilinear", "smp-dpt")
    with pytest.raises(MedsegError, match="'smp-dpt' has a bilinear upsampling of its own"):
        set_upsampling(network, "bicubic", "smp-dpt")
