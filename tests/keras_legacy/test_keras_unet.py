"""The U-Net of segmentation_models: its weights, its preprocessing, its precision; and a run of it as a predictor."""

import hashlib
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest
import segmentation_models as sm
import tensorflow as tf
import tf_keras

from medseg import downloads
from medseg.datasets.augmentation.warp import resize_image
from medseg.errors import MedsegError
from medseg.experiments.runs import Run
from medseg.keras_legacy import callbacks, inference
from medseg.keras_legacy.unet import BACKBONES, build_model, preprocessing
from medseg.tf_shared import prediction
from medseg.tf_shared.device import Device

CPU = Device("cpu", "a CPU", "fp32")
SUBMODULES = {"backend": tf_keras.backend, "layers": tf_keras.layers, "models": tf_keras.models}


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory):
    tf_keras.utils.set_random_seed(99)
    submodules = {**SUBMODULES, "utils": tf_keras.utils}
    encoder = sm.Backbones.get_backbone(
        "mobilenetv2", input_shape=(None, None, 3), weights=None, include_top=False, **submodules
    )
    path = tmp_path_factory.mktemp("weights") / "encoder.h5"
    encoder.save_weights(path)
    return path, encoder.get_layer("Conv1").get_weights()[0]


def test_every_published_backbone_is_there():
    assert {"resnet50", "inceptionv3", "inceptionresnetv2", "densenet169", "efficientnetb1"} <= set(BACKBONES)


def test_weights_come_from_the_file_and_the_record_says_so(encoder_file):
    path, kernel = encoder_file
    model = build_model("mobilenetv2", CPU, weights=str(path), norm_momentum=0.9)
    np.testing.assert_array_equal(model.network.get_layer("Conv1").get_weights()[0], kernel)
    assert model.weights == f"file encoder.h5 sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    normalisations = [layer for layer in model.network.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in normalisations} == {0.9}
    with pytest.raises(MedsegError, match=r"encoder.h5 do not fit 'mobilenet'"):
        build_model("mobilenet", CPU, weights=str(path))


def test_a_missing_file_or_an_unknown_name_is_refused():
    with pytest.raises(MedsegError, match="neither 'none' nor 'imagenet' nor a HDF5 file"):
        build_model("mobilenetv2", CPU, weights="imagnet")
    with pytest.raises(MedsegError, match="no backbone 'EfficientNet-B1'.*Did you mean 'efficientnetb1'"):
        build_model("EfficientNet-B1", CPU)


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnetb0"])
def test_imagenet_without_a_network_fails_fast_and_says_what_to_do(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = mock.Mock(side_effect=OSError("no route to host"))
    monkeypatch.setattr(downloads.urllib.request, "urlopen", asked)
    started = time.monotonic()
    with pytest.raises(MedsegError, match=f"ImageNet weights for '{backbone}' could not be had.*set weights to"):
        build_model(backbone, CPU, weights="imagenet")
    assert asked.call_count == 1
    assert time.monotonic() - started < 60


def test_imagenet_weights_in_the_cache_are_used_without_a_network(encoder_file, tmp_path, monkeypatch):
    path, kernel = encoder_file
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "answers", lambda url: False)
    cached = tmp_path / ".keras" / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(path.read_bytes())
    model = build_model("mobilenetv2", CPU, weights="imagenet")
    np.testing.assert_array_equal(model.network.get_layer("Conv1").get_weights()[0], kernel)
    assert model.weights.startswith(f"imagenet (segmentation_models), {cached.name} sha256 ")


def test_preprocessing_is_the_backbones_own():
    picture = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
    before, values = picture.copy(), picture.astype(np.float64)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = {
        "resnet50": values,  # its first layer is a batch normalisation
        "inceptionv3": values / 127.5 - 1,
        "densenet169": (values / 255 - mean) / std,
        "efficientnetb1": (values / 255 - mean) / std,
        "vgg16": values[..., ::-1] - [103.939, 116.779, 123.68],
    }
    for backbone, wanted in expected.items():
        got = preprocessing(backbone)(picture)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    np.testing.assert_array_equal(picture, before)


def test_mixed_precision_computes_in_half_and_gives_full_logits():
    network = build_model("mobilenet", Device("cpu", "a CPU", "bf16")).network
    assert network.get_layer("conv1").compute_dtype == "bfloat16"
    assert {variable.dtype for variable in network.weights} == {tf.float32}
    assert network.output.dtype == tf.float32
    assert tf_keras.mixed_precision.global_policy().name == "float32"


def test_a_run_becomes_a_predictor_of_its_best_checkpoint(tmp_path):
    run = Run(tmp_path / "run")
    run.update(parameters={"backbone": "mobilenet", "resolution": 32, "precision": "auto"}, status="finished")
    trained = build_model("mobilenet", CPU, seed=5)
    callbacks.save_best(trained.network, run.checkpoints / "best.h5")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((40, 48, 3), (33, 71, 3), (20, 16, 3))]
    predict = inference.load_predictor(run, "cpu")
    maps = predict(pictures)
    assert [probability.shape for probability in maps] == [(40, 48), (33, 71), (20, 16)]
    small = preprocessing("mobilenet")(np.stack([resize_image(picture, 32) for picture in pictures]))
    logits = trained.network(small, training=False).numpy()[..., 0]
    for picture, probability, one in zip(pictures, maps, logits, strict=True):
        assert probability.dtype == np.float32
        wanted = 1 / (1 + np.exp(-_bilinear(one, picture.shape[:2])))
        np.testing.assert_allclose(probability, wanted, atol=1e-5)
    # Users of segmentation_models can load the file themselves.
    sm.Unet("mobilenet", encoder_weights=None).load_weights(run.checkpoints / "best.h5")
    (run.checkpoints / "best.h5").write_bytes(b"not a checkpoint")
    with pytest.raises(MedsegError, match=r"best.h5 cannot be used"):
        inference.load_predictor(run, "cpu")


@pytest.mark.parametrize("size", [(64, 96), (47, 91), (13, 7), (32, 24)])
def test_logits_are_resized_as_pytorch_documents_it(size):
    logits = np.random.default_rng(0).normal(0, 4, (32, 24)).astype(np.float32)
    np.testing.assert_allclose(
        prediction.resized(tf.constant(logits[..., None]), size)[..., 0], _bilinear(logits, size), atol=1e-4
    )


def _bilinear(values, size):
    """interpolate(mode="bilinear", align_corners=False): source = (i + 1/2) * scale - 1/2, at least 0."""
    result = values.astype(np.float64)
    for axis, length in enumerate(size):
        source = np.maximum((np.arange(length) + 0.5) * values.shape[axis] / length - 0.5, 0)
        lower = np.floor(source).astype(int)
        upper = np.minimum(lower + 1, values.shape[axis] - 1)
        share = (source - lower).reshape([-1 if a == axis else 1 for a in range(2)])
        result = result.take(lower, axis) * (1 - share) + result.take(upper, axis) * share
    return result


_TORCHVISION = """
import sys, numpy as np, torch, torchvision
torch.manual_seed(3)
net = torchvision.models.mobilenet_v2(weights=None).eval()
for name, value in net.state_dict().items():
    if name.endswith(("running_mean", "running_var", "1.bias", "2.bias")):
        value.copy_(torch.rand(value.shape) * 0.5 + ("var" in name) * 1e-3)
torch.save(net.state_dict(), sys.argv[1] + "/mobilenet_v2.pth")
picture = np.load(sys.argv[1] + "/picture.npy")
seen = torch.from_numpy(picture / 255).permute(0, 3, 1, 2).sub(torch.tensor([0.485, 0.456, 0.406])[:, None, None])
with torch.no_grad():
    features = net.features((seen / torch.tensor([0.229, 0.224, 0.225])[:, None, None]).float())
np.save(sys.argv[1] + "/features.npy", features.permute(0, 2, 3, 1).numpy())
"""


def test_torchvisions_mobilenet_is_the_same_function_in_keras(tmp_path, monkeypatch):
    picture = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    np.save(tmp_path / "picture.npy", picture)
    subprocess.run([sys.executable, "-c", _TORCHVISION, str(tmp_path)], check=True)
    monkeypatch.setenv(downloads.FOLDER, str(tmp_path))
    model = build_model("torchvision-mobilenetv2", CPU, weights="imagenet", norm_momentum=0.9)
    assert model.weights.startswith("file mobilenet_v2.pth sha256 ")
    inner = tf_keras.Model(model.network.input, model.network.get_layer("out_relu").output)
    features = inner(model.preprocess(picture), training=False).numpy()
    expected = np.load(tmp_path / "features.npy")
    assert expected.std() > 0.01
    np.testing.assert_allclose(features, expected, atol=2e-4 * expected.max())


def test_what_the_process_with_pytorch_refuses_is_told(tmp_path, monkeypatch):
    (tmp_path / "mobilenet_v2.pth").write_bytes(b"nothing")
    monkeypatch.setenv(downloads.FOLDER, str(tmp_path))
    with pytest.raises(MedsegError, match=r"Weights file .*mobilenet_v2.pth cannot be read"):
        build_model("torchvision-mobilenetv2", CPU, weights="imagenet")
