"""Pretrained weights land where they belong, or nothing is loaded and the message says why."""

import hashlib

import keras
import numpy as np
import pytest
from small_network import CPU

from medseg.errors import MedsegError
from medseg.keras import resnet, vit
from medseg.keras.models import build_model, weight_files
from medseg.keras.transunet import build_transunet

HIDDEN, HEADS, MLP, GRID = 64, 4, 128, 4


def google_arrays(embedding=(1, 1, 128, HIDDEN)):
    """A transformer of the size tiny under Google's names, every array different; classifier and R50 beside it."""
    shapes = {
        "cls": (1, 1, HIDDEN),
        "embedding/kernel": embedding,
        "embedding/bias": (HIDDEN,),
        "Transformer/posembed_input/pos_embedding": (1, 1 + GRID**2, HIDDEN),
        "Transformer/encoder_norm/scale": (HIDDEN,),
        "Transformer/encoder_norm/bias": (HIDDEN,),
        "head/kernel": (HIDDEN, 7),
        "conv_root/kernel": (7, 7, 3, 64),
        "gn_root/scale": (1, 1, 1, 64),
        "block1/unit1/conv1/kernel": (1, 1, 64, 64),
    }
    for number in range(2):
        block = f"Transformer/encoderblock_{number}"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{block}/{norm}/scale": (HIDDEN,), f"{block}/{norm}/bias": (HIDDEN,)}
        for part in ("query", "key", "value"):
            shapes[f"{block}/MultiHeadDotProductAttention_1/{part}/kernel"] = (HIDDEN, HEADS, HIDDEN // HEADS)
            shapes[f"{block}/MultiHeadDotProductAttention_1/{part}/bias"] = (HEADS, HIDDEN // HEADS)
        shapes[f"{block}/MultiHeadDotProductAttention_1/out/kernel"] = (HEADS, HIDDEN // HEADS, HIDDEN)
        shapes[f"{block}/MultiHeadDotProductAttention_1/out/bias"] = (HIDDEN,)
        shapes |= {f"{block}/MlpBlock_3/Dense_0/kernel": (HIDDEN, MLP), f"{block}/MlpBlock_3/Dense_0/bias": (MLP,)}
        shapes |= {f"{block}/MlpBlock_3/Dense_1/kernel": (MLP, HIDDEN), f"{block}/MlpBlock_3/Dense_1/bias": (HIDDEN,)}
    rng = np.random.default_rng(0)
    # Strong enough that every part shows in the result: attention is far from even, norms are not zero.
    arrays = {key: rng.normal(key.endswith("scale"), 0.15, shape) for key, shape in shapes.items()}
    return {key: array.astype(np.float32) for key, array in arrays.items()}


def reference(arrays, patches, positions):
    """The transformer as in its paper (arXiv 2010.11929, equations 1 to 4), written with NumPy alone."""

    def norm(x, name):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return scaled * arrays[f"{name}/scale"] + arrays[f"{name}/bias"]

    x = patches @ arrays["embedding/kernel"][0, 0] + arrays["embedding/bias"] + positions
    for number in range(2):
        block = f"Transformer/encoderblock_{number}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        y = norm(x, f"{block}/LayerNorm_0")
        query, key, value = (
            np.einsum("nd,dhk->hnk", y, arrays[f"{attention}/{part}/kernel"])
            + arrays[f"{attention}/{part}/bias"][:, None]
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(HIDDEN // HEADS))
        heads = scores / scores.sum(-1, keepdims=True) @ value
        x = x + np.einsum("hnk,hkd->nd", heads, arrays[f"{attention}/out/kernel"]) + arrays[f"{attention}/out/bias"]
        y = norm(x, f"{block}/LayerNorm_2")
        y = y @ arrays[f"{block}/MlpBlock_3/Dense_0/kernel"] + arrays[f"{block}/MlpBlock_3/Dense_0/bias"]
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        x = x + y @ arrays[f"{block}/MlpBlock_3/Dense_1/kernel"] + arrays[f"{block}/MlpBlock_3/Dense_1/bias"]
    return norm(x, "Transformer/encoder_norm")


def test_every_array_of_google_lands_where_it_belongs(tmp_path):
    arrays, file = google_arrays(), tmp_path / "R50+ViT-B_16.npz"
    np.savez(file, **arrays)
    model = build_model(CPU, size="tiny", resolution=64, vit_weights=str(file))
    assert model.weights == f"ViT: file {file.name} sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"

    # The whole transformer computes what the paper's formulas make of the arrays: every one is in its place.
    network = model.network
    inner = keras.Model(network.input, [network.get_layer(name).output for name in ("conv4_out_relu", "patch_grid")])
    picture = np.random.default_rng(1).random((1, 64, 64, 3), np.float32)
    features, encoded = (np.asarray(tensor)[0] for tensor in inner(picture))
    positions = arrays["Transformer/posembed_input/pos_embedding"][0, 1:]
    expected = reference(arrays, features.reshape(16, -1).astype(np.float64), positions)
    np.testing.assert_allclose(encoded.reshape(16, -1), expected, atol=1e-3)

    # And nothing else has changed.
    untouched = build_model(CPU, size="tiny", resolution=64).network
    targets = {variable.path for variable in vit.targets(network).values()}
    assert len(targets) == 37
    for one, two in zip(network.weights, untouched.weights, strict=True):
        assert np.array_equal(one.numpy(), two.numpy()) == (one.path not in targets), one.path


def test_the_position_embedding_is_resized_to_the_grid(tmp_path):
    arrays, file = google_arrays(), tmp_path / "vit.npz"
    rows, columns = np.mgrid[:GRID, :GRID]
    plane = np.zeros((GRID, GRID, HIDDEN), np.float32)
    plane[..., 0], plane[..., 1] = rows, columns
    token = np.full((1, HIDDEN), 99, np.float32)
    arrays["Transformer/posembed_input/pos_embedding"] = np.concatenate([token, plane.reshape(-1, HIDDEN)])[None]
    np.savez(file, **arrays)
    network = build_transunet((7 * 16, 2 * 16, 3), size="tiny")
    vit.load(network, file)
    resized = network.get_layer("posembed_input").pos_embedding.numpy().reshape(7, 2, HIDDEN)
    np.testing.assert_allclose(resized[:, 0, 0], np.linspace(0, GRID - 1, 7), atol=1e-6)
    np.testing.assert_allclose(resized[0, :, 1], [0, GRID - 1], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"embedding/bias": None}, "lacks 'embedding/bias'"),
        ({"Transformer/encoderblock_1/LayerNorm_2/scale": None}, "lacks .*The nearest that it has is"),
        ({"Transformer/encoderblock_2/LayerNorm_0/scale": np.ones(HIDDEN)}, "also holds .*encoderblock_2.*no place"),
        ({"embedding/kernel": np.ones((16, 16, 3, HIDDEN))}, r"'embedding/kernel' has the shape \(16, 16, 3, 64\)"),
        ({"embedding/bias": np.full(HIDDEN, np.nan)}, "not finite"),
        ({"Transformer/posembed_input/pos_embedding": np.ones((1, 15, HIDDEN))}, "a square grid"),
        ({"embedding/bias": np.array([{}], dtype=object)}, "cannot be read as .npz"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, change, expected):
    arrays = {key: array for key, array in {**google_arrays(), **change}.items() if array is not None}
    np.savez(tmp_path / "vit.npz", **arrays)
    network = build_transunet((64, 64, 3), size="tiny")
    before = [variable.numpy() for variable in network.weights]
    with pytest.raises(MedsegError, match=expected):
        vit.load(network, tmp_path / "vit.npz")
    assert all(np.array_equal(one, two.numpy()) for one, two in zip(before, network.weights, strict=True))


def test_the_plain_transformer_takes_google_s_plain_file(tmp_path):
    arrays = google_arrays(embedding=(16, 16, 3, HIDDEN))
    np.savez(tmp_path / "ViT-B_16.npz", **arrays)
    network = build_transunet((64, 64, 3), size="tiny", variant="plain")
    vit.load(network, tmp_path / "ViT-B_16.npz")
    np.testing.assert_array_equal(network.get_layer("embedding").kernel.numpy(), arrays["embedding/kernel"])


def test_the_published_network_has_a_place_for_every_key_of_the_published_file(published):
    targets = vit.targets(published.network)
    assert len(targets) == 12 * 16 + 5
    assert targets["Transformer/encoderblock_11/MultiHeadDotProductAttention_1/query/kernel"].shape == (768, 12, 64)
    assert targets["embedding/kernel"].shape == (1, 1, 1024, 768)


def test_a_resnet50v2_file_fills_the_resnet_and_nothing_else(published, tmp_path):
    keras.utils.set_random_seed(11)
    source = keras.applications.ResNet50V2(include_top=False, weights=None)
    source.get_layer("conv1_conv").set_weights([np.ones((7, 7, 3, 64)), np.arange(64.0)])
    source.get_layer("conv4_block6_preact_bn").set_weights(4 * [np.arange(1024.0)])
    file = tmp_path / "resnet.weights.h5"
    source.save_weights(file)
    network = published.network
    decoder = network.get_layer("decoder_0_conv").kernel.numpy()
    label = resnet.load(network, file)
    assert label == f"resnet.weights.h5 sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    for layer in network.layers:
        if layer.weights and layer.name.startswith("conv"):
            for one, two in zip(layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(network.get_layer("decoder_0_conv").kernel.numpy(), decoder)
    (tmp_path / "half.weights.h5").write_bytes(b"half a file")
    with pytest.raises(MedsegError, match="half.weights.h5 do not fit ResNet50V2"):
        resnet.load(network, tmp_path / "half.weights.h5")


def test_imagenet_without_a_network_connection_is_one_clear_message(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(resnet, "_SERVER", "http://127.0.0.1:9/")
    monkeypatch.setattr(keras.applications, "ResNet50V2", None)  # never built with random weights instead
    with pytest.raises(MedsegError, match="could not be had.*does not answer.*Connect this machine, or set"):
        resnet.load(None, None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("base", "hybrid", "imagnet", "none"), "neither 'none' nor 'imagenet' nor a .h5 file: there is none at"),
        (("base", "hybrid", "none", "imagenet"), "neither 'none' nor a .npz file"),
        (("base", "hybrid", "none", "absent.npz"), "there is none at absent.npz"),
        (("tiny", "hybrid", "imagenet", "none"), "has no ResNet50V2"),
        (("base", "plain", "imagenet", "none"), "has no ResNet50V2"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(asked, expected):
    with pytest.raises(MedsegError, match=expected):
        weight_files(*asked)
    assert weight_files("base", "hybrid", "imagenet", "none") == (None, None)
