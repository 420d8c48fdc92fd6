"""Pretrained weights: loaded whole, or refused in words; a hub that does not answer is said at once."""

import hashlib
import json
import socket

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file

from medseg import downloads
from medseg.errors import MedsegError
from medseg.pytorch import weights
from medseg.pytorch.backbones import Normalisation
from medseg.pytorch.models import build_model

SMALL = "tu-test_resnet"


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """No weights on this machine."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)


@pytest.fixture
def no_network(empty_cache, monkeypatch):
    """Names cannot be resolved; gives the list of the hosts that were asked for."""
    asked = []

    def getaddrinfo(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture
def hub(empty_cache, monkeypatch):
    """The hub answers; what it has is up to the test."""
    monkeypatch.setattr(downloads, "answers", lambda url: True)


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def assert_same(actual: dict, expected: dict) -> None:
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[key], expected[key]) for key in expected)


# --- no connection ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "backbone", "source", "host"),
    [
        ("smp-unet", "resnet18", "the Hugging Face hub", "huggingface.co"),
        ("smp-fpn", SMALL, "the Hugging Face hub", "huggingface.co"),
        ("dilated-resnet-unet", "resnet34", "PyTorch's download server", "download.pytorch.org"),
    ],
)
def test_without_a_connection_it_fails_at_once_and_says_what_to_do(no_network, architecture, backbone, source, host):
    with pytest.raises(MedsegError) as caught:
        build_model(architecture, backbone, weights="imagenet")
    message = str(caught.value)
    assert f"for '{backbone}' could not be had from {source} (it does not answer)" in message
    assert "Connect this machine" in message
    assert "path of a file" in message
    assert "'none'" in message
    assert no_network == [host], "asked once, without the half minute of retries"
    assert constants.HF_HUB_OFFLINE is False, "left as it was"


def test_without_a_connection_the_cache_serves(no_network, tmp_path):
    settings = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    folder = tmp_path / "hub" / "models--smp-hub--resnet18.imagenet" / "snapshots" / settings["revision"]
    folder.mkdir(parents=True)
    expected = state(smp.encoders.get_encoder("resnet18"))
    save_file(expected, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}))
    built = build_model("smp-unet", "resnet18", weights="imagenet")
    assert built.weights.startswith("imagenet (smp hub, smp-hub/resnet18.imagenet at ")
    assert built.normalisation.mean == (0.1, 0.2, 0.3)
    assert_same(state(built.network.network.encoder), expected)


def test_with_a_connection_that_breaks_the_reason_is_given(hub, monkeypatch):
    def broken(*args, **kwargs):
        raise TimeoutError("The read operation timed out")

    monkeypatch.setattr(weights, "hf_hub_download", broken)
    with pytest.raises(MedsegError, match=r"hub \(TimeoutError: The read operation timed out\)"):
        build_model("smp-unet", "resnet18", weights="imagenet")


# --- from a hub -------------------------------------------------------------------------------------------------


def serve_from_hub(monkeypatch, folder, state_dict, **preprocessing) -> list:
    own = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_range": [0, 1], "input_space": "RGB"}
    (folder / "config.json").write_text(json.dumps({**own, **preprocessing}))
    save_file(state_dict, folder / "model.safetensors")
    asked = []

    def download(repo_id, filename, revision):
        asked.append((repo_id, filename, revision))
        return str(folder / filename)

    monkeypatch.setattr(weights, "hf_hub_download", download)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", download)
    return asked


def test_smp_weights_come_with_their_normalisation(hub, monkeypatch, tmp_path):
    expected = state(smp.encoders.get_encoder("resnet18"))
    asked = serve_from_hub(monkeypatch, tmp_path, expected)
    built = build_model("smp-unet", "resnet18", weights="ssl")
    assert {repository for repository, _, _ in asked} == {"smp-hub/resnet18.ssl"}
    assert_same(state(built.network.network.encoder), expected)
    assert built.weights == "ssl (smp hub, smp-hub/resnet18.ssl at d600d511)"
    assert built.normalisation == Normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_smp_weights_that_want_bgr_are_refused(hub, monkeypatch, tmp_path):
    serve_from_hub(monkeypatch, tmp_path, {"x": torch.zeros(1)}, input_space="BGR")
    with pytest.raises(MedsegError, match="'resnet18' wants BGR images"):
        build_model("smp-unet", "resnet18", weights="imagenet")


def test_torchvision_weights_go_into_the_dilated_network(hub, monkeypatch):
    resnet, asked = torchvision.models.resnet18(weights=None), []
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", lambda url, **options: asked.append((url, options)) or state(resnet)
    )
    built = build_model("dilated-resnet-unet", "resnet18", weights="imagenet", width=0.125)
    [(url, options)] = asked
    assert url == torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    assert options["weights_only"] is True
    assert options["check_hash"] is True
    expected = {key: value for key, value in state(resnet).items() if not key.startswith("fc.")}
    assert_same(state(built.network.network.encoder), expected)
    assert built.weights == "imagenet (torchvision, IMAGENET1K_V1)"


def test_timm_weights_are_loaded_by_timm(hub, monkeypatch):
    full, asked = timm.create_model("test_resnet"), []
    monkeypatch.setattr(
        timm.models, "load_state_dict_from_hf", lambda repository, *a, **k: asked.append((repository, k)) or state(full)
    )
    built = build_model("smp-unet", SMALL, weights="imagenet")
    [(repository, options)] = asked
    assert options["weights_only"] is True
    loaded, source = built.network.network.encoder.model.state_dict(), full.state_dict()
    assert all(torch.equal(value, source[key]) for key, value in loaded.items())
    assert built.weights == f"pretrained (timm hub, {repository})"
    assert built.weights.endswith("timm/test_resnet.r160_in1k)")


# --- from a file ------------------------------------------------------------------------------------------------


def saved(state_dict: object, path) -> str:
    torch.save(state_dict, path)
    return str(path)


def test_a_torchvision_file_is_loaded_without_its_classifier_and_recorded(tmp_path):
    resnet = torchvision.models.resnet18(weights=None)
    path = saved(resnet.state_dict(), tmp_path / "resnet18-mine.pth")
    digest = hashlib.sha256((tmp_path / "resnet18-mine.pth").read_bytes()).hexdigest()
    expected = {key: value for key, value in state(resnet).items() if not key.startswith("fc.")}
    for architecture in ("smp-unet", "dilated-resnet-unet"):
        built = build_model(architecture, "resnet18", weights=path)
        assert built.weights == f"file resnet18-mine.pth sha256 {digest}"
        assert_same(state(built.network.network.encoder), expected)


def test_files_of_before_the_batch_counter_are_complete(tmp_path):
    old = {key: value for key, value in state(torchvision.models.resnet18()).items() if "num_batches" not in key}
    built = build_model("dilated-resnet-unet", "resnet18", weights=saved(old, tmp_path / "old.pth"), width=0.125)
    torch.testing.assert_close(built.network.network.encoder.layer4[1].conv2.weight, old["layer4.1.conv2.weight"])


@pytest.mark.parametrize("encoder", ["densenet121", "efficientnet-b0", "mit_b0", "xception"])
def test_an_smp_encoder_file_is_loaded(tmp_path, encoder):
    expected = state(smp.encoders.get_encoder(encoder))
    save_file(expected, tmp_path / "encoder.safetensors")
    built = build_model("smp-unet", encoder, weights=str(tmp_path / "encoder.safetensors"))
    assert_same(state(built.network.network.encoder), expected)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "hrnet_w18_small"])
def test_a_timm_file_is_loaded_though_encoders_call_things_otherwise(tmp_path, name):
    full = timm.create_model(name)
    encoder = build_model("smp-unet", f"tu-{name}", weights=saved(full.state_dict(), tmp_path / "timm.pth"))
    theirs = {key.replace(".", "_"): value for key, value in full.state_dict().items()}
    ours = encoder.network.network.encoder.model.state_dict()
    assert len(ours) > 20
    assert all(torch.equal(value, theirs[key.replace(".", "_")]) for key, value in ours.items())
    again = saved(encoder.network.network.encoder.state_dict(), tmp_path / "encoder.pth")
    assert_same(state(build_model("smp-unet", f"tu-{name}", weights=again).network.network.encoder.model), ours)


@pytest.mark.parametrize(("architecture", "backbone"), [("dilated-resnet-unet", "resnet18"), ("smp-unet", "resnet18")])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("layer3.0.conv1.weight"), 'Missing key(s) in state_dict: "layer3.0.conv1.weight"'),
        (lambda s: s.update({"layer5.weight": torch.ones(1)}), 'Unexpected key(s) in state_dict: "layer5.weight"'),
        (lambda s: s.update({"conv1.weight": torch.ones(64, 1, 7, 7)}), "size mismatch for conv1.weight"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_names(tmp_path, architecture, backbone, change, words):
    wrong = state(torchvision.models.get_model(backbone, weights=None))
    change(wrong)
    with pytest.raises(MedsegError) as caught:
        build_model(architecture, backbone, weights=saved(wrong, tmp_path / "wrong.pth"))
    assert "file wrong.pth sha256" in str(caught.value)
    assert f"do not fit '{backbone}'" in str(caught.value)
    assert words in str(caught.value)


def test_a_file_of_another_network_is_refused_in_a_readable_length(tmp_path):
    wrong = saved(torchvision.models.resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    for architecture, backbone in (("smp-unet", "resnet18"), ("smp-unet", SMALL)):
        with pytest.raises(MedsegError, match=f"do not fit '{backbone}'") as caught:
            build_model(architecture, backbone, weights=wrong)
        assert len(str(caught.value)) < 1600


def test_a_timm_file_with_a_part_missing_is_refused(tmp_path):
    partial = {
        key: value for key, value in timm.create_model("test_resnet").state_dict().items() if "layer4" not in key
    }
    with pytest.raises(MedsegError, match=r"Missing key\(s\).*layer4"):
        build_model("smp-unet", SMALL, weights=saved(partial, tmp_path / "partial.pth"))


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    (tmp_path / "notes.pth").write_text("no weights")
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 64)
    checkpoint = saved({"epoch": 3, "state_dict": {}}, tmp_path / "checkpoint.pth")
    for path, words in [
        (tmp_path / "none.pth", "nor what the hub has for it (imagenet, ssl, swsl), nor a file"),
        (tmp_path / "notes.pth", "cannot be read"),
        (tmp_path / "broken.safetensors", "cannot be read"),
        (checkpoint, "holds the keys ['epoch', 'state_dict'], not a plain state dict"),
        (saved([1, 2], tmp_path / "list.pth"), "holds a list"),
    ]:
        with pytest.raises(MedsegError) as caught:
            build_model("smp-unet", "resnet18", weights=str(path))
        assert words in str(caught.value)


def test_pickled_objects_are_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    with pytest.raises(MedsegError, match="cannot be read"):
        build_model("smp-unet", "resnet18", weights=saved({"x": Trap()}, tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()
