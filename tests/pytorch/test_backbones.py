"""Normalisation of encoders, and padding to their stride."""

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from medseg.errors import MedsegError
from medseg.pytorch.backbones import IMAGENET, PaddedNetwork, from_preprocessing, normalisation_of

# smp's encoders and the same networks in timm, which keeps its normalisation in the package.
TWINS = {
    "resnet50": "resnet50",
    "vgg16": "vgg16",
    "densenet121": "densenet121",
    "efficientnet-b0": "efficientnet_b0",
    "senet154": "legacy_senet154",
    "mobileone_s0": "mobileone_s0",
    "timm-skresnet18": "skresnet18",
    "inceptionresnetv2": "inception_resnet_v2",
    "inceptionv4": "inception_v4",
    "xception": "legacy_xception",
    "dpn68": "dpn68",
    "dpn92": "dpn92",
    "timm-tf_efficientnet_lite0": "tf_efficientnet_lite0",
}


@pytest.mark.parametrize(("encoder", "twin"), TWINS.items())
def test_normalisation_is_the_encoders_own(encoder, twin):
    assert encoder in smp.encoders.get_encoder_names()
    config, normalisation = timm.models.get_pretrained_cfg(twin), normalisation_of(encoder)
    assert normalisation.mean == pytest.approx(config.mean)
    assert normalisation.std == pytest.approx(config.std)
    assert normalisation_of(f"tu-{twin}") == normalisation


def test_untrained_encoders_have_imagenets():
    assert not timm.models.is_model_pretrained("resnet10t_untrained")
    assert normalisation_of("tu-resnet10t_untrained") == IMAGENET


def parameters(**changes) -> dict:
    own = {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "input_range": [0, 1], "input_space": "RGB"}
    return {**own, **changes}


def test_values_for_a_range_up_to_255_are_brought_to_1():
    image = torch.rand(3)
    normalisation = from_preprocessing("e", parameters(mean=[102, 127.5, 153], std=[1, 51, 255], input_range=[0, 255]))
    expected = (image * 255 - torch.tensor([102, 127.5, 153])) / torch.tensor([1, 51, 255])
    torch.testing.assert_close((image - torch.tensor(normalisation.mean)) / torch.tensor(normalisation.std), expected)
    assert from_preprocessing("e", parameters()).mean == (0.4, 0.5, 0.6)


@pytest.mark.parametrize("changes", [{"input_space": "BGR"}, {"input_range": [-1, 1]}])
def test_other_colour_spaces_and_ranges_are_refused(changes):
    with pytest.raises(MedsegError, match=r"Encoder 'e' wants (BGR|RGB) images from (0|-1) to 1; medseg feeds RGB"):
        from_preprocessing("e", parameters(**changes))


class Probe(nn.Module):
    """Gives back its input, and remembers it."""

    def forward(self, images):
        self.seen = images
        return images


@pytest.mark.parametrize(
    ("size", "minimum", "padded"),
    [((64, 32), 1, (64, 32)), ((33, 31), 1, (64, 32)), ((1, 1), 1, (32, 32)), ((40, 200), 128, (128, 224))],
)
def test_images_are_padded_by_repeating_their_edge_and_logits_cut_back(size, minimum, padded):
    probe, images = Probe(), torch.rand(2, 3, *size)
    logits = PaddedNetwork(probe, stride=32, minimum=minimum)(images)
    assert torch.equal(logits, images), "nothing is shifted"
    assert probe.seen.shape[2:] == padded
    height, width = size
    for part, edge in (
        (probe.seen[:, :, height:, :width], images[:, :, -1:]),
        (probe.seen[:, :, :height, width:], images[:, :, :, -1:]),
    ):
        assert torch.equal(part, edge.expand_as(part))
    if size == padded:
        assert probe.seen is images


def test_logits_are_float32_under_autocast():
    network = PaddedNetwork(nn.Conv2d(3, 1, 1), stride=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.rand(1, 3, 9, 9)).dtype == torch.float32


def test_encoders_of_one_size_say_so():
    network = PaddedNetwork(nn.Identity(), stride=32, fixed_size=(224, 224))
    assert network(torch.rand(1, 3, 224, 224)).shape == (1, 3, 224, 224)
    with pytest.raises(MedsegError, match="224 x 224 pixels alone, not 224 x 256"):
        network(torch.rand(1, 3, 224, 256))
