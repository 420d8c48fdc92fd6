"""The network of a run of PyTorch alone: its multiply-accumulates by hand, its parameters, and what it is shown."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from medseg.evaluation import cost
from medseg.evaluation.predictors import FittedPredictor, StretchedPredictor
from medseg.experiments.runs import Run
from medseg.pytorch import device as devices
from medseg.pytorch.backbones import Normalisation
from medseg.pytorch.cost import macs
from medseg.pytorch.inference import TrainedNetwork
from medseg.pytorch.models import BuiltModel, build_model

ATTENTION = 10 * 16 * 48 + 2 * 10 * 10 * 16 + 10 * 16 * 16  # 10 tokens of 16: in, scores and their sum, out


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, tokens):
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


class Products(nn.Module):
    def forward(self, tokens):
        heads = tokens.view(1, 10, 4, 4).transpose(1, 2)
        attended = nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return attended, torch.einsum("bij,bkj->bik", tokens, tokens)


def of(network, *shape):
    network = network.eval()
    return macs(lambda: network(torch.zeros(shape)))


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (nn.Conv2d(8, 12, 3, padding=1), (1, 8, 10, 10), 100 * 12 * 8 * 9),
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), (1, 8, 10, 10), 100 * 12 * 2 * 9),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, 10, 10), 100 * 8 * 9),
        (nn.ConvTranspose2d(8, 12, 2, stride=2), (1, 8, 10, 10), 100 * 8 * 12 * 4),
        (nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4), (1, 8, 10, 10), 100 * 8 * 3 * 4),
        (nn.Linear(8, 12), (1, 5, 8), 5 * 8 * 12),
        (Attending(), (1, 10, 16), ATTENTION),
        (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (1, 10, 16), ATTENTION + 2 * 10 * 16 * 32),
        (Products(), (1, 10, 16), 2 * 10 * 10 * 16 + 10 * 10 * 16),
        (nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Upsample(scale_factor=2)), (1, 8, 10, 10), 0),
    ],
)
def test_multiply_accumulates_are_those_counted_by_hand(network, shape, expected):
    assert of(network, *shape) == expected


def test_attention_on_an_apple_gpu_counts_as_elsewhere():
    heads = torch.zeros(1, 4, 10, 4, device="meta")
    attend = torch.ops.aten._scaled_dot_product_attention_math_for_mps
    assert macs(lambda: attend(heads, heads, heads)) == 2 * 10 * 10 * 16


def test_known_networks_cost_what_is_known_of_them():
    assert of(torchvision.models.resnet50(), 1, 3, 224, 224) == pytest.approx(4.09e9, rel=0.001)
    assert of(torchvision.models.mobilenet_v2(), 1, 3, 224, 224) == pytest.approx(0.30e9, rel=0.01)
    transformer = timm.create_model("vit_tiny_patch16_224")  # 1.3 in DeiT's paper, the products of attention included
    assert of(transformer, 1, 3, 224, 224) == pytest.approx(1.254e9, rel=0.001)


class Seeing(nn.Module):
    """One weight; its logits are what it is shown."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.zeros(3)), []
        self.register_buffer("running_mean", torch.zeros(7))

    def forward(self, images):
        self.seen.append(images.clone())
        return images


@pytest.mark.parametrize(("predictor", "shape"), [(StretchedPredictor, (16, 16, 3)), (FittedPredictor, (16, 16, 1))])
def test_a_network_is_shown_what_its_predictor_shows_it(predictor, shape):
    network = Seeing()
    built = BuiltModel(network, Normalisation((0.5,) * 3, (1.0,) * 3), "random", 1)
    predict = predictor(TrainedNetwork(built, devices.Device("cpu", "CPU", "fp32")), 16)
    bare = predict.bare()
    assert (bare.shape, bare.resolution, bare.parameters) == (shape, 16, 3)
    assert bare.threads == torch.get_num_threads()
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    bare.through(picture[None])
    predict([picture] if predictor is StretchedPredictor else picture[..., 0])
    torch.testing.assert_close(*network.seen)
    assert network.seen[0].is_contiguous() == network.seen[1].is_contiguous()  # it decides how fast convolutions are


def test_a_real_network_is_measured(tmp_path):
    built = build_model("smp-unet", "resnet18")
    predict = StretchedPredictor(TrainedNetwork(built, devices.choose("cpu")), 64)
    found = cost.measure(Run(tmp_path / "run"), predict)
    assert found["parameters"] == built.parameters_total
    assert found["macs"] == of(built.network, 1, 3, 64, 64)
    assert found["latency"]["ms"] > 0
    assert found["throughput"]["pictures_per_second"] > 0
    assert found["device"]["kind"] == "cpu"
