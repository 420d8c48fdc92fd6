"""What cannot work is refused before anything starts, without building a network."""

import io
import json
import os
import subprocess
import sys

import keras
import pytest

from medseg import tf_shared
from medseg.errors import MedsegError
from medseg.experiments import preflight
from medseg.keras import check as checking
from medseg.keras import transunet


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": "nowhere"}, "No prepared dataset at nowhere"),
        ({"size": "small"}, "no size 'small'. Choose one of: base, tiny"),
        ({"variant": "r50"}, "no variant 'r50'. Choose one of: hybrid, plain"),
        ({"resolution": 100}, "no multiple of 16.*Take 96 or 112"),
        ({"resolution": 0}, "resolution is 0, expected 1 or more"),
        ({"augmentation": "flip_left"}, "no augmentation 'flip_left'. Did you mean 'flip_left_right'"),
        ({"augmentation": "none + crop"}, "no augmentation 'none'"),
        ({"tta": ["flip", "1.5"]}, "tta holds '1.5'.*may hold 'flip' alone"),
        ({"thresholds": "best"}, "thresholds is 'best'"),
        ({"postprocess": "smooth"}, "postprocess 'smooth'"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"restart_epochs": 0}, "restart_epochs is 0, expected 1 or more"),
        ({"restart_factor": 0}, "restart_factor is 0, expected 1 or more"),
        ({"warmup": -1}, "warmup is -1, expected 0 or more"),
        ({"learning_rate": 0.0}, "expected more than 0"),
        ({"norm_momentum": 1.0}, "less than 1"),
        ({"dice_weight": -0.5}, "dice_weight is -0.5"),
        ({"cross_entropy_weight": 0.0, "dice_weight": 0.0}, "both 0"),
        ({"resnet_weights": "imagenet"}, "has no ResNet50V2"),
        ({"vit_weights": "absent.npz"}, "there is none at absent.npz"),
        ({"seed": -1}, "seed is -1, expected a whole number from 0 to 4294967295"),
        ({"precision": "fp16"}, "of no use on a CPU"),
        ({"device": "cuda"}, "not available here"),
        ({"device": "mps"}, "not available in Keras"),
        ({"devices": 2}, "devices is 2, but there is 1 of the kind cpu"),
        ({"devices": 2, "compile": True}, "compile is for the steps of one device only"),
        ({"devices": 8}, "8 devices share every batch"),
    ],
)
def test_what_cannot_work_is_refused(parameters, changes, expected, monkeypatch):
    monkeypatch.setattr(transunet, "build_transunet", None)
    checking.check(parameters)
    with pytest.raises(MedsegError, match=expected):
        checking.check({**parameters, **changes})


def test_a_sweep_gets_one_message_per_run(parameters, monkeypatch, capsys):
    asked = [parameters, {**parameters, "size": "small"}]
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
    preflight.answer(checking.check)
    well, wrong = json.loads(capsys.readouterr().out)
    assert well == ["", ""]
    assert "Choose one of: base, tiny" in wrong[0]


def test_the_switches_of_the_old_keras_do_not_reach_this_one():
    code = "import os, medseg.keras; assert 'TF_USE_LEGACY_KERAS' not in os.environ; print(os.environ['KERAS_BACKEND'])"
    clean = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS")}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "tensorflow", done.stderr


def test_what_is_shared_uses_the_keras_of_this_room():
    assert tf_shared.keras is keras
