"""From pictures of one class to probabilities at their own sizes, seen in one way or in several."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_trainings import trained

from medseg.errors import MedsegError
from medseg.evaluation.predictors import StretchedPredictor
from medseg.evaluation.views import views
from medseg.pytorch import device as devices
from medseg.pytorch.backbones import Normalisation
from medseg.pytorch.inference import TrainedNetwork, load_predictor
from medseg.pytorch.models import BuiltModel


class Ramp(nn.Module):
    """Its logits rise from -3 at the left border to 3 at the right one, whatever it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        return torch.linspace(-3, 3, images.shape[-1]).expand(len(images), 1, *images.shape[2:])


def predictor(names):
    network = Ramp()
    built = BuiltModel(network, Normalisation((0.0,) * 3, (1.0,) * 3), "random", 1)
    return StretchedPredictor(TrainedNetwork(built, devices.Device("cpu", "CPU", "fp32")), 32, views(names)), network


def test_what_a_mirrored_view_says_is_mirrored_back():
    pictures = [np.zeros((40, 48, 3), np.uint8), np.zeros((20, 64, 3), np.uint8)]
    plain = predictor([])[0](pictures)
    assert [probability.shape for probability in plain] == [(40, 48), (20, 64)]
    assert (np.diff(plain[0], axis=1) >= 0).all()
    for probability in predictor(["flip"])[0](pictures):  # of the ramp and its mirror image
        np.testing.assert_allclose(probability, 0.5, atol=1e-6)


def test_views_are_seen_at_their_sizes():
    predict, network = predictor(["flip", "1.5"])
    predict([np.zeros((40, 48, 3), np.uint8)] * 2)
    assert network.seen == [(2, 3, 32, 32)] * 2 + [(2, 3, 48, 48)] * 2


def test_a_run_says_in_which_views_it_sees(parameters, discs):
    parameters |= {"max_epochs": 1, "tta": ["flip", "1.5"]}
    run, _ = trained(parameters, discs)
    assert len(load_predictor(run, "cpu")._views) == 4
    assert len(load_predictor(run, "cpu", tta=[])._views) == 1
    with pytest.raises(MedsegError, match="tta holds 'mirror'"):
        load_predictor(run, "cpu", tta=["mirror"])
