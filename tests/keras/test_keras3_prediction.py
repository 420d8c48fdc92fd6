"""A trained run as a predictor: any picture, its own size, the checkpoint that was asked for."""

import numpy as np
import pytest
from small_network import CPU
from small_trainings import check_lower_precision

from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.experiments import runs
from medseg.keras import checkpoint
from medseg.keras.inference import load_predictor
from medseg.keras.losses import build_loss
from medseg.keras.models import build_model
from medseg.keras.steps import Steps
from medseg.tf_shared import npz

NAMES = ("size", "variant", "encoder_trainable", "resolution", "norm_momentum")


@pytest.fixture
def run(tmp_path, parameters):
    """A run with three checkpoints of three different networks."""
    run = runs.Run(tmp_path / "runs/gastric/a-run")
    parameters |= {"encoder_trainable": False, "variant": "plain"}
    classes = [f"phase-{phase}" for phase in range(1, 5)]
    run.update(study="gastric", stage="2_train", status="finished", parameters=parameters, dataset={"classes": classes})
    return run


def test_weights_that_are_kept_in_half_the_precision_predict_nearly_the_same(run, parameters):
    network = build_model(CPU, **{name: parameters[name] for name in NAMES}, seed=4).network
    checkpoint.save_frozen(network, run.checkpoints)
    checkpoint.save_weights(network, run.checkpoints / checkpoint.FILES["best_loss"])
    pictures = [np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)]
    for file in ("best_loss.npz", checkpoint.FROZEN):
        check_lower_precision(run.checkpoints / file, npz.lower_precision, lambda: load_predictor(run, "cpu")(pictures))


def test_each_checkpoint_predicts_at_the_picture_s_own_size(run, parameters):
    network = build_model(CPU, **{name: parameters[name] for name in NAMES}, seed=4).network
    steps = Steps(network, build_loss(), 0.1)
    checkpoint.save_frozen(network, run.checkpoints)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((32, 32, 3), (50, 71, 3))]
    expected = {}
    for scale, (name, file) in enumerate(checkpoint.FILES.items(), 1):
        network.get_layer("classes").kernel.assign(network.get_layer("classes").kernel * scale)
        if name == "latest":
            checkpoint.save_last(network, steps.optimizer, {"epoch": 1}, run.checkpoints / file)
        else:
            checkpoint.save_weights(network, run.checkpoints / file)
        small = np.stack([resize_image(picture, 32) for picture in pictures])
        logits = np.asarray(network(small / np.float32(255), training=False))
        expected[name] = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for name in checkpoint.FILES:
        maps = load_predictor(run, "cpu", name)(pictures)
        assert [probability.shape for probability in maps] == [(5, 32, 32), (5, 50, 71)]
        assert all(probability.dtype == np.float32 for probability in maps)
        np.testing.assert_allclose(np.moveaxis(maps[0], 0, -1), expected[name][0], atol=1e-5)
        np.testing.assert_allclose(maps[1].sum(0), 1, atol=1e-5)
    assert np.abs(expected["best_loss"] - expected["latest"]).max() > 1e-3


def test_a_checkpoint_that_is_missing_or_unknown_is_named(run):
    with pytest.raises(MedsegError, match="no checkpoint 'best'. Choose one of: best_loss, best_iou, latest"):
        load_predictor(run, "cpu", "best")
    with pytest.raises(MedsegError, match="best_iou.npz cannot be used.*no other weights take its place"):
        load_predictor(run, "cpu", "best_iou")


def test_a_mirrored_copy_is_averaged_with_the_picture_as_it_is(run, parameters):
    network = build_model(CPU, **{name: parameters[name] for name in NAMES}, seed=4).network
    checkpoint.save_frozen(network, run.checkpoints)
    checkpoint.save_weights(network, run.checkpoints / checkpoint.FILES["best_loss"])
    picture = np.random.default_rng(0).integers(0, 256, (40, 53, 3), dtype=np.uint8)
    alone = load_predictor(run, "cpu")
    expected = (alone([picture])[0] + alone([picture[:, ::-1]])[0][..., ::-1]) / 2
    run.update(parameters={**parameters, "tta": ["flip"]})
    np.testing.assert_allclose(load_predictor(run, "cpu")([picture])[0], expected, atol=1e-6)
    np.testing.assert_array_equal(load_predictor(run, "cpu", tta=())([picture])[0], alone([picture])[0])
    assert np.abs(expected - alone([picture])[0]).max() > 1e-4
    with pytest.raises(MedsegError, match="tta holds '2'"):
        load_predictor(run, "cpu", tta=["2"])
