"""A training from start to scores: learning, resuming after a kill, recording, selecting."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_trainings import (
    check_begins_anew,
    check_budget,
    check_goes_back,
    check_lower_precision,
    kill_after,
    start,
)
from torch_trainings import STAGES, run_of, trained

from medseg import project
from medseg.errors import MedsegError
from medseg.evaluation.evaluator import evaluate
from medseg.evaluation.rules import segmenter
from medseg.experiments import job, runs
from medseg.masks import rle
from medseg.pytorch import inference, training
from medseg.pytorch.callbacks import lower_precision
from medseg.pytorch.check import check
from medseg.pytorch.data import BinaryItems, batches
from medseg.pytorch.models import build_model

SCRIPT = """
import torch
from torch_trainings import trained
torch.set_num_threads(1)
trained(parameters, dataset)
"""


MANY = {
    "schedule": "plateau", "warmup_epochs": 5, "optimizer": "sgd(momentum=0.9, nesterov=True)", "ema": 0.9,
    "deep_supervision": [0.5, 0.25],
    "gradient_clip": 1.0, "label_smoothing": 0.1, "multiscale": [0.5, 1.0],
}  # fmt: skip


@pytest.mark.parametrize("options", [{"schedule": "cosine"}, MANY], ids=["cosine", "plateau and many options"])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(parameters, discs, tmp_path, monkeypatch, options):
    # The learning rate changes within the epochs, so its position must survive too, and so must the mean of weights.
    parameters |= {**options, "accumulate": 2, "max_epochs": 12}
    process = start(SCRIPT, STAGES["polyp"], parameters, folder=project.root() / "tests" / "support")
    kill_after(3, (process, run_of(parameters, discs)))

    run, resumed = trained(parameters, discs)
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "undisturbed"))
    _, undisturbed = trained(parameters, discs)
    assert list(resumed["epoch"]) == list(undisturbed["epoch"]) == [e for e in range(1, 13) for _ in range(2)]
    compared = ["loss", "dice", "iou", "learning_rate"]
    np.testing.assert_allclose(resumed[compared], undisturbed[compared], atol=1e-4)
    assert resumed["learning_rate"].nunique() > 1
    best = torch.load(run.checkpoints / "best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == run.record["selection"]["best_epoch"]


def test_a_training_that_goes_back_to_its_last_checkpoint_equals_an_undisturbed_one(parameters, discs, monkeypatch):
    parameters |= {"schedule": "cosine", "checkpoint_minutes": 5.0, "keep_last": False, "ema": 0.9}
    run = run_of(parameters, discs)
    check_goes_back(monkeypatch, lambda: trained(parameters, discs)[1], run)
    assert [path.name for path in run.checkpoints.iterdir()] == ["best.ckpt"]
    with pytest.raises(MedsegError, match="no last checkpoint any more: .* unless keep_last is true"):
        inference.load_predictor(run, "cpu", checkpoint="last")


def test_training_learns_and_the_record_says_how(parameters, discs):
    parameters |= {"max_epochs": 15, "learning_rate": 0.01}
    run, history = trained(parameters, discs)
    validation = history[history["split"] == "validation"]
    assert validation["dice"].max() > 0.8
    record = run.record
    assert record["status"] == "finished"
    assert record["selection"]["best_value"] == pytest.approx(validation["dice"].max())
    assert record["selection"]["epochs_trained"] == 15
    assert record["model"]["weights"] == "random"
    assert record["device"] == {"kind": "cpu", "name": record["device"]["name"], "precision": "fp32"}
    assert record["peak_memory_mb"]["host"] > 100

    # The predictor is the best checkpoint: on validation it scores what selection recorded.
    predict = inference.load_predictor(run, "cpu")
    model = build_model("unet", "none", width=parameters["width"])
    saved = torch.load(run.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    model.network.load_state_dict({k.removeprefix("network."): v for k, v in saved.items()})
    model.network.eval()
    scores = []
    for pictures, masks in batches(BinaryItems(discs, "validation", resolution=32), 1):
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.normalisation.mean, model.normalisation.std))
        with torch.inference_mode():
            predicted = model.network((pictures / 255 - mean) / std) > 0
        scores.append(2 * (predicted & masks.bool()).sum().item() / (predicted.sum() + masks.sum()).item())
    assert np.mean(scores) == pytest.approx(record["selection"]["best_value"], abs=1e-4)

    with runs.evaluating(run):
        cases = evaluate(run, segmenter(run, predict, discs), discs, batch_size=4)
    assert run.evaluated
    assert len(cases) == 6
    assert cases["dice"].mean() > 0.75
    assert (cases[["tp", "fp", "fn", "tn"]].sum(axis=1) == 40 * 48).all()
    predictions = pd.read_csv(run.folder / "predictions" / "Discs.csv", keep_default_na=False)
    decoded = [int(rle.decode(code, (40, 48)).sum()) for code in predictions["rle"]]
    assert decoded == list(cases["tp"] + cases["fp"])
    assert run.record["evaluation"]["n_cases"] == {"Discs": 6}

    # A finished run is not trained again, and its record stays.
    before = run.record
    _, again = trained(parameters, discs)
    assert run.record == before
    pd.testing.assert_frame_equal(again, history)


def test_probabilities_come_back_at_each_pictures_own_size(parameters, discs):
    parameters |= {"max_epochs": 1}
    run, _ = trained(parameters, discs)
    predict = inference.load_predictor(run, "cpu")
    pictures = [np.zeros((40, 48, 3), np.uint8), np.full((33, 71, 3), 255, np.uint8)]
    maps = predict(pictures)
    assert [p.shape for p in maps] == [(40, 48), (33, 71)]
    assert all(p.dtype == np.float32 and 0 <= p.min() <= p.max() <= 1 for p in maps)
    np.testing.assert_allclose(maps[1], predict(pictures[1:])[0], atol=1e-6)
    (run.checkpoints / "best.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(MedsegError, match=r"best.ckpt cannot be used"):
        inference.load_predictor(run, "cpu")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_weights_that_are_kept_in_half_the_precision_predict_nearly_the_same(parameters, discs, precision):
    run, _ = trained(parameters | {"max_epochs": 1}, discs)
    pictures = [np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)]
    best = run.checkpoints / "best.ckpt"
    kept = best.read_bytes()
    within = {"fp16": 0.01, "bf16": 0.05}[precision]
    check_lower_precision(
        best, lower_precision, lambda: inference.load_predictor(run, "cpu")(pictures), precision, within
    )
    asked, _ = trained(parameters | {"max_epochs": 1, "checkpoint_precision": precision, "keep_last": True}, discs)
    assert asked.id != run.id
    state = torch.load(asked.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    lowered = torch.load(best, weights_only=True)["state_dict"]
    assert all(torch.equal(state[name], value) for name, value in lowered.items())
    assert len(kept) > 1.5 * (asked.checkpoints / "best.ckpt").stat().st_size
    last = torch.load(asked.checkpoints / "last.ckpt", weights_only=False)["state_dict"]
    assert {value.dtype for value in last.values() if value.ndim > 1} == {torch.float32}


def test_training_stops_early_and_a_rerun_does_not_go_on(parameters, discs):
    parameters |= {"patience": 1, "learning_rate": 1e-12, "max_epochs": 50}
    run, history = trained(parameters, discs)
    assert run.record["selection"]["stopped_early"]
    assert history["epoch"].max() < 10
    run.update(status="running")  # as if killed between the last epoch and the end
    _, again = trained(parameters, discs)
    assert again["epoch"].max() == history["epoch"].max()
    assert run.status == "finished"


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(parameters, discs):
    parameters |= {"learning_rate": 1e30, "loss": "bce"}
    with pytest.raises(MedsegError, match="Try a lower learning_rate"):
        trained(parameters, discs)
    run = run_of(parameters, discs)
    assert run.status == "failed"
    assert "training loss became" in run.record["error"]


def test_out_of_memory_names_the_batch_to_try(parameters, discs, monkeypatch):
    def exhausted(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched, pytest.raises(MedsegError, match="Try batch_size=2 and accumulate=2"):
        patched.setattr(training, "_fit", exhausted)
        trained(parameters, discs)
    assert job.OUT_OF_MEMORY in run_of(parameters, discs).record["error"].lower()
    monkeypatch.setenv(job.HALVINGS_VARIABLE, "1")
    parameters |= {"max_epochs": 1}
    run, _ = trained(parameters, discs)
    assert run.record["batch"] == {"batch_size": 2, "accumulate": 2, "halved": True}


@pytest.mark.parametrize("damaged", ["last.ckpt", "best.ckpt"])
def test_a_training_with_a_damaged_checkpoint_begins_anew(parameters, discs, damaged):
    parameters |= {"max_epochs": 3}
    check_begins_anew(lambda: trained(parameters, discs)[1], run_of(parameters, discs), damaged)


@pytest.mark.parametrize(
    "said",
    [
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        "shared memory. Please try to raise your shared memory limit.",
        "unable to write to file </torch_7_1>: No space left on device (28)",
        "unable to allocate shared memory(shm) for file </torch_7_1>: Success (0)",
    ],
)
def test_shared_memory_that_is_too_small_is_named(parameters, discs, monkeypatch, said):
    def exhausted(*_, **__):
        raise RuntimeError(said)

    monkeypatch.setattr(training.lightning.Trainer, "fit", exhausted)
    with pytest.raises(MedsegError, match="ran out of shared memory.*workers to fewer or to 0.*--shm-size"):
        trained(parameters, discs)


def test_one_changed_bit_of_the_best_checkpoint_is_not_scored(parameters, discs):
    run, _ = trained(parameters | {"max_epochs": 1}, discs)
    path = run.checkpoints / "best.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(MedsegError, match=r"best.ckpt cannot be used .*no other weights take its place.*run.json"):
        inference.load_predictor(run, "cpu")
    inference.load_predictor(run, "cpu", checkpoint="last")


def test_batches_repeat_by_seed_and_epoch_and_validation_is_untouched(discs):
    def drawn(epoch, seed=1, workers=0):
        items = BinaryItems(discs, "train", resolution=32, augmentation="warp", seed=seed)
        loader = batches(items, 5, seed=seed, workers=workers)
        loader.batch_sampler.sampler.set_epoch(epoch)
        return [pictures for pictures, _ in loader]

    first = drawn(0)
    assert first[0].dtype == torch.uint8
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0, workers=2), strict=True))
    assert not torch.equal(first[0], drawn(1)[0])
    assert not torch.equal(first[0], drawn(0, seed=2)[0])
    assert [len(p) for p in first] == [5, 5, 5, 5, 4]
    one, two = (list(batches(BinaryItems(discs, "validation", resolution=32), 6)) for _ in range(2))
    assert torch.equal(one[0][0], two[0][0])
    assert set(torch.unique(one[0][1]).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architecture": "smp-unet", "backbone": "resnet19"}, "resnet1"),
        ({"architecture": "smp-unett"}, "smp-unet"),
        ({"loss": "dcie"}, "dice"),
        ({"augmentation": "wrap"}, "warp"),
        (
            {"schedule": "cosin"},
            "no schedule 'cosin'. Choose one of: plateau, cosine, constant, onecycle, polynomial, step",
        ),
        ({"resolution": 0}, "resolution is 0, expected 1 or more"),
        ({"resolution": 3}, "less than one step of the encoder"),
        ({"learning_rate": -1.0}, "expected a learning rate above 0"),
        ({"architecture": "smp-unet", "backbone": "resnet18", "width": 1.0, "weights": "none.pth"}, "does not exist"),
        ({"restart_epochs": 0}, "restart_epochs is 0, expected 1 or more"),
        ({"tta": ["mirror"]}, "tta holds 'mirror'"),
        ({"thresholds": "guessed"}, "thresholds is 'guessed'"),
        ({"postprocess": "all"}, "postprocess 'all'"),
        ({"fold": 1}, "not divided into folds"),
        ({"data": "data/nowhere"}, "No prepared dataset at data/nowhere"),
        ({"precision": "fp16"}, "of no use on a CPU"),
        ({"device": "mps"}, "not available here"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(parameters, changes, expected):
    check(parameters)
    with pytest.raises(MedsegError, match=expected):
        check({**parameters, **changes})


@pytest.mark.parametrize(("limit", "value"), [("max_steps", 14), ("max_minutes", 2.0)])
def test_a_budget_ends_the_training_and_what_was_used_survives_a_kill(parameters, discs, monkeypatch, limit, value):
    parameters |= {limit: value, "max_epochs": 50}
    run = run_of(parameters, discs)
    check_budget(monkeypatch, lambda: trained(parameters, discs), run, limit, 6)
