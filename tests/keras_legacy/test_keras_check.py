"""What cannot work is refused before anything starts, without building a network."""

import io
import json

import pytest
import tf_keras

from medseg import tf_shared
from medseg.errors import MedsegError
from medseg.experiments import preflight
from medseg.keras_legacy import check as checking
from medseg.keras_legacy import unet


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backbone": "resnet19"}, "resnet1"),
        ({"weights": "none.h5"}, "there is none at none.h5"),
        ({"weights": "imagnet"}, "neither 'none' nor 'imagenet'"),
        ({"loss": "bce+dcie"}, r"bce\+dice"),
        ({"schedule": "warm"}, "no schedule 'warm'.*plateau, constant, cosine"),
        ({"augmentation": "wrap"}, "warp"),
        ({"resolution": 0}, "resolution is 0, expected 1 or more"),
        ({"resolution": 100}, "no multiple of 32.*Take 96 or 128"),
        ({"resolution": 16}, "Take 32"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"restart_epochs": 0}, "restart_epochs is 0, expected 1 or more"),
        ({"restart_factor": 0}, "restart_factor is 0, expected 1 or more"),
        ({"learning_rate": 0.0}, "expected more than 0"),
        ({"norm_momentum": 1.0}, "less than 1"),
        ({"fold": 1}, "not divided into folds"),
        ({"tta": ["2"]}, "tta holds '2'.*may hold 'flip' alone"),
        ({"thresholds": "best"}, "thresholds is 'best'"),
        ({"postprocess": "smooth"}, "postprocess 'smooth'"),
        ({"seed": -1}, "seed is -1, expected a whole number from 0 to 4294967295"),
        ({"precision": "fp16"}, "of no use on a CPU"),
        ({"device": "cuda"}, "not available here"),
        ({"device": "mps"}, "not available in Keras"),
    ],
)
def test_what_cannot_work_is_refused(parameters, changes, expected, monkeypatch):
    monkeypatch.setattr(unet, "Unet", None)
    checking.check(parameters)
    with pytest.raises(MedsegError, match=expected):
        checking.check({**parameters, **changes})


def test_a_sweep_gets_one_message_per_run(parameters, monkeypatch, capsys):
    asked = [parameters, {**parameters, "resolution": 33}]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked)))
    preflight.answer(checking.check)
    fine, refused = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert fine == ["", ""]
    assert "multiple of 32" in refused[0]


def test_what_is_shared_uses_the_keras_of_this_room():
    assert tf_shared.keras is tf_keras
