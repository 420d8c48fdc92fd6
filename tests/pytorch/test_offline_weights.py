"""Weights without a hub: a folder of the user's, and packages; each is held to its sha256."""

import hashlib
import importlib.util
import sys

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from medseg import downloads
from medseg.errors import MedsegError
from medseg.pytorch import offline
from medseg.pytorch.backbones import IMAGENET
from medseg.pytorch.models import build_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv(downloads.FOLDER, str(tmp_path / "weights"))
    return tmp_path / "weights"


def equal(network, saved, prefix=""):
    own = network.state_dict()
    return all(torch.equal(own[prefix + key], value) for key, value in saved.items())


def test_a_file_in_the_folder_is_taken_instead_of_a_download(folder):
    torch.manual_seed(3)
    smp = build_model("smp-unet", "resnet18").encoder.state_dict()
    save_file(smp, folder / "resnet18.safetensors")
    built = build_model("smp-unet", "resnet18", weights="imagenet")
    assert equal(built.encoder, smp)
    assert built.weights.startswith("file resnet18.safetensors sha256 ")
    timm = build_model("smp-unet", "tu-test_resnet").encoder.state_dict()
    torch.save(timm, folder / "test_resnet.pth")
    assert equal(build_model("smp-unet", "tu-test_resnet", weights="imagenet").encoder, timm)
    url = torchvision.models.get_model_weights("resnet18")["IMAGENET1K_V1"].url
    torch.save(torchvision.models.resnet18().state_dict(), folder / url.rpartition("/")[2])
    assert "resnet18-f37072fd.pth" in build_model("dilated-resnet-unet", "resnet18", weights="imagenet").weights


def test_a_folder_is_held_to_its_sums(folder, monkeypatch):
    (folder / "resnet18.pth").write_bytes(b"half a file")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  resnet18.pth\n")
    with pytest.raises(MedsegError, match="resnet18.pth in MEDSEG_WEIGHTS has sha256 .*, SHA256SUMS says 000000000000"):
        build_model("smp-unet", "resnet18", weights="imagenet")
    sums = hashlib.sha256(b"half a file").hexdigest()
    (folder / "SHA256SUMS").write_text(f"{sums}  resnet18.pth\n")
    with pytest.raises(MedsegError, match="cannot be read"):
        build_model("smp-unet", "resnet18", weights="imagenet")
    monkeypatch.setenv(downloads.FOLDER, str(folder / "none"))
    with pytest.raises(MedsegError, match="MEDSEG_WEIGHTS names .*, which is no folder"):
        build_model("smp-unet", "resnet18", weights="imagenet")


def test_keras_finds_its_files_there_too(folder, tmp_path):
    (folder / "resnet18_notop.h5").write_bytes(b"weights")

    def fetch():
        raise AssertionError("no download is needed")

    found = downloads.fetched_once(tmp_path / "cache" / "resnet18_notop.h5", "https://127.0.0.1:9/", fetch)
    assert found == folder / "resnet18_notop.h5"


def package(folder, monkeypatch, name, file, state_dict):
    path = folder / name / file
    path.parent.mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    torch.save(state_dict, path)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    sys.modules.pop(name, None)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_is_used_when_it_holds_what_it_should(tmp_path, monkeypatch):
    saved = torchvision.models.mobilenet_v2().state_dict()
    sums = package(tmp_path, monkeypatch, "some_weights", "weights/a.pth", saved)
    known = offline.Packaged("some_weights", "weights/a.pth", sums, IMAGENET)
    monkeypatch.setitem(offline.PACKAGED, "mobilenet_v2", known)
    built = build_model("smp-unet", "mobilenet_v2", weights="imagenet")
    assert equal(built.encoder, {key: value for key, value in saved.items() if key.startswith("features.")})
    assert built.weights == f"imagenet (package some_weights, a.pth sha256 {sums})"
    monkeypatch.setitem(
        offline.PACKAGED, "mobilenet_v2", offline.Packaged("some_weights", "weights/a.pth", "0" * 64, IMAGENET)
    )
    with pytest.raises(MedsegError, match="are not those that they should be: a.pth has sha256"):
        build_model("smp-unet", "mobilenet_v2", weights="imagenet")
    monkeypatch.setitem(offline.PACKAGED, "mobilenet_v2", offline.Packaged("gone_weights", "a.pth", sums, IMAGENET))
    assert offline.packaged("mobilenet_v2") is None


def test_tensors_get_timms_names_in_their_order(tmp_path, monkeypatch):
    import timm

    theirs = timm.create_model("test_resnet").state_dict()
    other = {f"_layer{number}": value for number, value in enumerate(theirs.values())}
    sums = package(tmp_path, monkeypatch, "timm_weights", "b.pth", other)
    monkeypatch.setitem(offline.PACKAGED, "tu-test_resnet", offline.Packaged("timm_weights", "b.pth", sums, IMAGENET))
    built = build_model("smp-unet", "tu-test_resnet", weights="imagenet")
    own = built.encoder.state_dict()
    assert np.mean([torch.equal(own[f"model.{key}"], theirs[key]) for key in theirs if f"model.{key}" in own]) == 1
    assert "package timm_weights" in built.weights


@pytest.mark.parametrize("backbone", sorted(offline.PACKAGED))
def test_the_packages_themselves(backbone):
    if importlib.util.find_spec(offline.PACKAGED[backbone].package) is None:
        pytest.skip("the packages of requirements-weights.lock are not installed")
    built = build_model("smp-unet", backbone, weights="imagenet")
    assert offline.PACKAGED[backbone].sha256 in built.weights
    assert built.normalisation == offline.PACKAGED[backbone].normalisation
    if backbone == "mobilenet_v2":
        whole, _, _ = offline.packaged(backbone)
        network = torchvision.models.mobilenet_v2()
        network.load_state_dict(whole)
        pictures = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            torch.testing.assert_close(built.encoder.eval()(pictures)[-1], network.eval().features(pictures))
