"""A PyTorch run as a file: the same probabilities and masks without the run, and what is refused."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_trainings import trained

from medseg.errors import MedsegError
from medseg.evaluation.common import load_predictor
from medseg.export import card, parity
from medseg.export.command import export
from medseg.prediction import command, exported, onnx_model
from medseg.prediction.onnx_model import OnnxNetwork
from medseg.project import environment
from medseg.pytorch import export as torch_export
from medseg.pytorch import exported as torch_exported

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
COUNTS = {"tp": 1, "fp": 1, "fn": 1, "tn": 1}
FACTS = {
    "resolution": 64, "classes": ["one", "two"], "thresholds": [0.5, 0.5], "study": "polyp", "licence": "none",
    "rules": {"thresholds": "fixed", "postprocess": "none", "crf": False, "threshold": 0.5},
}  # fmt: skip


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


def test_a_program_predicts_what_its_run_predicts(bone_parameters, bones, tmp_path):
    seen = {"max_epochs": 1, "tta": ["flip"], "window": 50, "stride": 30}
    run, _ = trained(bone_parameters | seen, bones)
    size, against, times, _ = export(run, tmp_path / "net.pt2", "torch")
    assert "any multiple of 32" in size
    assert "test pictures: probabilities differ by" in against
    assert "in the program" in times
    picture = np.random.default_rng(0).integers(0, 256, (90, 61), np.uint8)
    own, there = load_predictor(run, "cpu")(picture), exported.load(tmp_path / "net.pt2", "cpu").predict(picture)
    np.testing.assert_allclose(list(there), list(own), atol=1e-5)
    program = torch.export.load(tmp_path / "net.pt2").module()
    logits, probabilities = program(torch.zeros((3, 96, 64, 1), dtype=torch.uint8))
    assert logits.shape == (3, 3, 96, 64)
    torch.testing.assert_close(probabilities, logits.sigmoid())
    small = exported.load(tmp_path / "net.pt2", "cpu").network.logits(np.zeros((1, 20, 30, 1), np.uint8))
    assert small.shape == (1, 3, 20, 30)
    command.predict(tmp_path / "net.pt2", bones.folder / "images", tmp_path / "out", "cpu", OPTIONS)
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == 3 * len(bones.index)
    with pytest.raises(MedsegError, match="device 'tpu' is not available"):
        exported.load(tmp_path / "net.pt2", "tpu")


def test_a_program_of_others_runs_no_code_and_says_that_it_is_not_ours(tmp_path):
    torch.export.save(torch.export.export(torch.nn.Identity(), (torch.zeros(1),)), tmp_path / "other.pt2")
    with pytest.raises(MedsegError, match="Give a file that 'medseg export' wrote"):
        exported.load(tmp_path / "other.pt2", "cpu")
    (tmp_path / "bad.pt2").write_bytes(b"text")
    with pytest.raises(MedsegError, match="cannot be read as a program"):
        exported.load(tmp_path / "bad.pt2", "cpu")
    torch.save({"code": Path("a")}, tmp_path / "pickled.pt")
    with environment(torch_exported._WEIGHTS_ALONE), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "pickled.pt", weights_only=False)


def test_magnified_views_need_a_graph_of_any_size(run, tmp_path, monkeypatch):
    sizes = {"multiple": 32, "least": 32, "any_size": False}
    monkeypatch.setattr(torch_export, "write_own", lambda run, path, describe: describe(sizes))
    with pytest.raises(MedsegError, match="predicts at 1.5 times its resolution .tta., but the graph"):
        export(run, tmp_path / "net.pt2")


def test_a_network_that_cannot_be_written_says_what_can_be_done(run, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_export, "write_own", lambda *_: (_ for _ in ()).throw(RuntimeError("no\nway")))
    with pytest.raises(MedsegError, match=r"PyTorch cannot write the network of .* as torch .no.. Take --format onnx"):
        export(run, tmp_path / "net.pt2")


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
    record = run.record
    assert f"{record['model']['parameters_total'] / 1e6:.2f} million parameters" in card
    assert f"epoch {record['selection']['best_epoch']} of 2 kept, by the {record['selection']['rule']}; seed" in card
    assert "post-processing holes, CRF not used" in card
    assert f"made from the run `{run.id}`, trained {run.record['started'][:10]}" in card
    assert run.record["dataset"]["fingerprint"] in card
    assert "The run was not scored." in card
    assert card.count("Not recorded") >= 5


def test_the_card_has_scores_with_intervals_by_class_and_what_is_known_of_the_data(run):
    rows = [
        {"test_set": "A", "case_id": f"{n}", "group": f"g{n}", "class": name, "dice": dice, **COUNTS}
        for n in range(12)
        for name, dice in (("one", 0.8 + 0.01 * n), ("two", 0.4 + 0.01 * n))
    ]
    run.write_table("cases.csv", pd.DataFrame(rows))
    counts = {"train": 30, "validation": 6, "test": 12, "groups": 20}
    leakage = {"groups_guessed": ["Kvasir"], "near_duplicates": {"train and test": 3}}
    run.update(
        dataset={**run.record["dataset"], "counts": counts, "leakage": leakage},
        evaluation={},
        cost={"macs": 2.5e9},
        tables=run.checksums("cases.csv"),
    )
    said = card.text(run, "net.onnx", FACTS, parity.Parity(0.0, 1.0, 8, "test pictures"))
    assert re.search(r"- A: mean Dice 0\.655 \(95 % interval 0\.6\d\d to 0\.6\d\d\) over 12 cases", said)
    assert re.search(r"  - two: 0\.455 \(95 % interval", said)
    assert "Pictures as prepared: 30 train, 6 validation, 12 test, of 20 patients or videos in all" in said
    assert "was guessed for Kvasir" in said
    assert "different splits: 3 pairs (train and test)" in said
    assert "2.50 GMACs a picture" in said


def test_a_card_that_was_filled_in_is_not_lost(tmp_path):
    assert card.write(tmp_path, "a") == ""
    (tmp_path / "card.md").write_text("a, filled in")
    assert card.write(tmp_path, "b") == "card-1.md"
    assert card.write(tmp_path, "b") == ""
    assert card.write(tmp_path, "c") == "card-2.md"
    assert [(tmp_path / f"card{n}.md").read_text() for n in ("", "-1", "-2")] == ["c", "a, filled in", "b"]


def test_what_cannot_be_exported_or_read_is_refused(run, tmp_path):
    with pytest.raises(MedsegError, match=r"expected a file whose name ends in \.onnx"):
        export(run, tmp_path / "net.pt")
    with pytest.raises(MedsegError, match=r"expected a file whose name ends in \.pt2"):
        export(run, tmp_path / "net.onnx", "torch")
    with pytest.raises(MedsegError, match="There is no format 'tflite'. Choose one of: onnx, torch, keras"):
        export(run, tmp_path / "net.tflite", "tflite")
    with pytest.raises(MedsegError, match=r"trained in PyTorch and cannot be written as keras; take onnx or torch"):
        export(run, tmp_path / "net.keras")
    run.update(status="failed")
    with pytest.raises(MedsegError, match="is failed: only a finished training"):
        export(run, tmp_path / "net.onnx")
    for content, words in ((b"", "cannot be read as ONNX"), (b"text" * 99, "cannot be read as ONNX")):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(MedsegError, match=words):
            exported.load(tmp_path / "bad.onnx")
    with pytest.raises(MedsegError, match="There is no file"):
        exported.load(tmp_path / "absent.onnx")


def test_onnxruntime_computes_where_it_is_told_to_and_by_itself_on_nvidia():
    cuda, apple, cpu = (f"{name}ExecutionProvider" for name in ("CUDA", "CoreML", "CPU"))
    for device, there, expected in (
        ("auto", [cuda, cpu], [cuda, cpu]),
        ("auto", [apple, cpu], [cpu]),
        ("cpu", [cuda, cpu], [cpu]),
        ("cuda", [cuda, apple, cpu], [cuda, cpu]),
        ("mps", [apple, cpu], [apple, cpu]),
    ):
        assert onnx_model._providers(device, there) == expected
    with pytest.raises(MedsegError, match="'cuda' is not available to onnxruntime here. Available: mps, cpu. For NV"):
        onnx_model._providers("cuda", [apple, cpu])


def test_a_graph_of_others_says_that_it_is_not_ours(written_once, run, tmp_path):
    import onnx

    export(run, tmp_path / "net.onnx")
    model = onnx.load(str(tmp_path / "net.onnx"))
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["classes"]) == json.loads(told["medseg"])["classes"]
    with pytest.raises(MedsegError, match="device 'tpu' is not available to onnxruntime here. Available: .*cpu"):
        exported.load(tmp_path / "net.onnx", "tpu")
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(MedsegError, match="Give a file that 'medseg export' wrote"):
        exported.load(tmp_path / "other.onnx")
