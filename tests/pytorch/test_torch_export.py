"""A PyTorch run as an ONNX file: the same probabilities and masks without the run, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from torch_trainings import trained

from medseg.errors import MedsegError
from medseg.evaluation.common import load_predictor
from medseg.export import parity
from medseg.export.command import export
from medseg.prediction import command, exported
from medseg.prediction.onnx_model import OnnxNetwork
from medseg.pytorch import export as torch_export

OPTIONS = command.Options(probabilities="npz")


@pytest.fixture
def run(parameters, discs):
    return trained(parameters | {"max_epochs": 2, "tta": ["flip", "1.5"], "postprocess": "holes"}, discs)[0]


@pytest.fixture
def written_once(tmp_path_factory, monkeypatch):
    """The graph of :func:`run` is made once, which takes seconds; every test has its own training of the same run."""
    kept = tmp_path_factory.getbasetemp() / "graph.onnx"
    make = torch_export.write_onnx

    def write(run, path):
        if not kept.is_file():
            SIZES.update(make(run, kept))
        shutil.copy(kept, path)
        return SIZES

    monkeypatch.setattr(torch_export, "write_onnx", write)


SIZES: dict = {}


def test_an_exported_network_predicts_what_its_run_predicts(run, discs, tmp_path):
    out = tmp_path / "net.onnx"
    size, against, _, _ = export(run, out)
    assert "any multiple of 16" in size
    assert "test pictures: probabilities differ by" in against
    written, predict = exported.load(out), load_predictor(run, "cpu")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((40, 53), (71, 30))]
    for own, there in zip(predict(pictures), written.predict(pictures), strict=True):
        np.testing.assert_allclose(there, own, atol=1e-5)
    assert written.network.logits(rng.integers(0, 256, (3, 64, 33, 3), np.uint8)).shape == (3, 1, 64, 33)

    folders = [tmp_path / "by-run", tmp_path / "by-file"]
    pictures_folder = discs.folder / "images"
    for model, folder in zip(([run], out), folders, strict=True):
        command.predict(model, pictures_folder, folder, "cpu", OPTIONS)
    tables = [pd.read_csv(folder / "predictions.csv", keep_default_na=False) for folder in folders]
    assert tables[0]["pixels"].sum() > 0
    pd.testing.assert_frame_equal(tables[0].drop(columns="flags"), tables[1].drop(columns="flags"), atol=1e-4)


def test_predicting_needs_neither_the_run_nor_a_framework(written_once, run, discs, tmp_path):
    export(run, tmp_path / "net.onnx")
    run.folder.rename(tmp_path / "elsewhere")
    code = (
        "import sys; from pathlib import Path; from medseg.prediction import command\n"
        "print(command.predict(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), 'cpu', command.Options()))\n"
        "assert not {'torch', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    arguments = [tmp_path / "net.onnx", discs.folder / "images", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(discs.index)} pictures predicted" in done.stdout


@pytest.mark.parametrize("seen", [{}, {"window": 50, "stride": 30, "upsampling": "bicubic"}])
def test_bones_are_seen_as_their_run_sees_them(seen, bone_parameters, bones, tmp_path):
    run, _ = trained(bone_parameters | {"max_epochs": 1, "tta": ["flip"]} | seen, bones)
    out = tmp_path / "bones.onnx"
    export(run, out)
    predict = load_predictor(run, "cpu")
    picture = np.random.default_rng(0).integers(0, 256, (90, 61), np.uint8)
    own, there = predict(picture), exported.load(out).predict(picture)
    assert len(own) == len(there) == 3
    for number in range(3):
        np.testing.assert_allclose(there[number], own[number], atol=1e-5)
    if seen:
        assert np.abs(own[0] - load_predictor(run, "cpu", window=0, stride=0)(picture)[0]).max() > 1e-3


def test_a_graph_that_predicts_otherwise_is_not_kept(written_once, run, tmp_path, monkeypatch):
    right = OnnxNetwork.logits
    monkeypatch.setattr(OnnxNetwork, "logits", lambda self, pictures: right(self, pictures) + 0.1)
    with pytest.raises(MedsegError, match="predicts otherwise than PyTorch: probabilities differ by"):
        export(run, tmp_path / "net.onnx")
    assert list(tmp_path.glob("*.onnx")) == []
    assert parity.MOST_DIFFERENCE < 0.01


def test_the_card_says_what_is_known_and_names_the_gaps(written_once, run, tmp_path):
    export(run, tmp_path / "net.onnx")
    card = (tmp_path / "card.md").read_text("utf-8")
    assert f"made from the run `{run.id}`, trained {run.record['started'][:10]}" in card
    assert run.record["dataset"]["fingerprint"] in card
    assert "The run was not scored." in card
    assert card.count("Not recorded") >= 5


def test_what_cannot_be_exported_or_read_is_refused(run, tmp_path):
    with pytest.raises(MedsegError, match=r"expected a file whose name ends in \.onnx"):
        export(run, tmp_path / "net.pt")
    run.update(status="failed")
    with pytest.raises(MedsegError, match="is failed: only a finished training"):
        export(run, tmp_path / "net.onnx")
    for content, words in ((b"", "cannot be read as ONNX"), (b"text" * 99, "cannot be read as ONNX")):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(MedsegError, match=words):
            exported.load(tmp_path / "bad.onnx")
    with pytest.raises(MedsegError, match="There is no file"):
        exported.load(tmp_path / "absent.onnx")


def test_a_graph_of_others_says_that_it_is_not_ours(written_once, run, tmp_path):
    import onnx

    export(run, tmp_path / "net.onnx")
    model = onnx.load(str(tmp_path / "net.onnx"))
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["classes"]) == json.loads(told["medseg"])["classes"]
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(MedsegError, match="Give a file that 'medseg export' wrote"):
        exported.load(tmp_path / "other.onnx")
