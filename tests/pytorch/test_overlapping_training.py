"""A training on overlapping classes: learning, keeping the best three, resuming, stopping, facts, predicting."""

import numpy as np
import pytest
import torch
from torch_trainings import run_of, trained

from medseg import project
from medseg.datasets import polygons
from medseg.datasets.frames import read_polygons
from medseg.errors import MedsegError
from medseg.experiments.history import ranked
from medseg.pytorch import inference, overlapping_inference
from medseg.pytorch.callbacks import Bookkeeping
from medseg.pytorch.check import check
from medseg.pytorch.data import OverlappingItems, batches, unpack
from medseg.pytorch.epoch_sums import EpochSums, fact_loss
from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import build
from medseg.pytorch.optimisation import Optimisation
from medseg.pytorch.task import OverlappingTask

FIGURES = ["loss", "dice", "iou", "learning_rate"]


def _checkpoints(run):
    return {path.name for path in run.checkpoints.iterdir()}


def test_training_learns_keeps_the_best_three_and_predicts(bone_parameters, bones):
    # The rate falls to nothing within the epochs, cross-entropy keeps the smallest class from being given up, and hands
    # of both sides are there to learn from, as the mirrored view wants it.
    bone_parameters |= {"max_epochs": 24, "restart_epochs": 24, "learning_rate": 0.01, "loss": "bce+dice", "seed": 2}
    bone_parameters |= {"auxiliary": ["sex", "side"], "augmentation": "crop"}
    run, history = trained(bone_parameters, bones)
    validation = history[history["split"] == "validation"]
    assert validation["dice"].max() > 0.85
    facts = [f"{name}_{figure}" for name in ("sex", "side") for figure in ("loss", "accuracy")]
    assert list(history.columns) == ["epoch", "split", "loss", "dice", "iou", *facts, "learning_rate", "seconds"]
    assert (history[["sex_loss", "side_loss"]] > 0).all().all()
    assert history[["sex_accuracy", "side_accuracy"]].stack().between(0, 1).all()

    record = run.record
    kept = record["selection"]["kept"]
    best = ranked(history.to_dict("records"), "dice")[:3]
    assert [entry["epoch"] for entry in kept] == [row["epoch"] for row in best]
    assert [entry["dice"] for entry in kept] == sorted((entry["dice"] for entry in kept), reverse=True)
    assert _checkpoints(run) == {"best.ckpt", "last.ckpt", *(entry["file"] for entry in kept)}
    for entry in kept:
        saved = torch.load(run.checkpoints / entry["file"], weights_only=True)
        assert saved["epoch"] + 1 == entry["epoch"]
        assert "optimizer_states" not in saved
    assert (run.checkpoints / "best.ckpt").samefile(run.checkpoints / kept[0]["file"])
    assert record["selection"]["best_epoch"] == kept[0]["epoch"]
    assert "average validation Dice" in record["selection"]["rule"]

    # The average Dice is the mean over cases and classes, what is empty in both left out; the best checkpoint has it.
    model = build(bone_parameters, 3)
    inference.load_best(run, model)
    model.network.eval()
    scores = []
    for pictures, bits, _ in batches(OverlappingItems(bones, "validation", resolution=64), 1):
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.normalisation.mean, model.normalisation.std))
        with torch.inference_mode():
            predicted = model.network((pictures / 255 - mean) / std)[0] > 0
        for found, true in zip(predicted, unpack(bits, 3)[0].bool(), strict=True):
            if found.any() or true.any():
                scores.append(2 * (found & true).sum().item() / (found.sum() + true.sum()).item())
    assert np.mean(scores) == pytest.approx(record["selection"]["best_value"], abs=1e-4)

    # At the picture's own size it finds the same structures, also through windows and views.
    for options in ({}, {"tta": ["flip"]}, {"window": 80, "stride": 40}):
        predict = overlapping_inference.load_predictor(run, "cpu", **options)
        dices = []
        for _, row in bones.split("test").iterrows():
            picture, true = read_polygons(bones, row)
            maps = predict(picture)
            for number, mask in enumerate(polygons.rasterise(true, 3).astype(bool)):
                found = maps[number] > 0.5
                if found.any() or mask.any():
                    dices.append(2 * (found & mask).sum() / (found.sum() + mask.sum()))
        assert np.mean(dices) > 0.8, options

    # A finished run is not trained again.
    _, again = trained(bone_parameters, bones)
    assert again.equals(history)
    assert run.record == record


class Killed(BaseException):
    """Ends a process at a chosen moment."""


def _kill(monkeypatch, epoch, moment):
    """From now on a training dies in ``epoch``, before, between or after the writing of best and last checkpoint."""
    write = Bookkeeping.on_train_epoch_end

    def dying(self, trainer, module):
        if trainer.current_epoch + 1 != epoch:
            return write(self, trainer, module)
        save = trainer.save_checkpoint

        def save_or_die(path, **options):
            if moment == "before" or (moment == "between" and path.name == "last.ckpt"):
                raise Killed
            save(path, **options)

        monkeypatch.setattr(trainer, "save_checkpoint", save_or_die)
        write(self, trainer, module)
        raise Killed

    monkeypatch.setattr(Bookkeeping, "on_train_epoch_end", dying)


def test_a_killed_training_goes_on_as_if_nothing_had_happened(bone_parameters, bones, tmp_path, monkeypatch):
    # Epoch 4 is validated, epoch 5 is not; the learning rate falls and restarts within the nine.
    bone_parameters |= {
        "max_epochs": 9, "validation_interval": 2, "accumulate": 2, "backbone_learning_rate": 0.001,
        "auxiliary": ["side"], "norm": "group", "resolution": 32,
    }  # fmt: skip
    other, undisturbed = trained(bone_parameters, bones)
    validated = undisturbed.loc[undisturbed["split"] == "validation", "epoch"]
    assert list(validated) == [2, 4, 6, 8, 9], "the last one in any case"
    assert (undisturbed["split"] == "train").sum() == 9
    assert undisturbed["learning_rate"].nunique() == 4
    assert len(_checkpoints(other)) == 5
    for epoch, moment in ((4, "before"), (4, "between"), (4, "after"), (5, "between")):
        monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / f"{moment}-{epoch}"))
        run = run_of(bone_parameters, bones)
        with monkeypatch.context() as deadly, pytest.raises(Killed):
            _kill(deadly, epoch, moment)
            trained(bone_parameters, bones)
        assert run.status == "interrupted"
        assert run.history()["epoch"].max() == epoch
        _, resumed = trained(bone_parameters, bones)
        assert list(resumed["split"]) == list(undisturbed["split"])
        np.testing.assert_allclose(resumed[FIGURES], undisturbed[FIGURES], atol=1e-4)
        assert _checkpoints(run) == _checkpoints(other)
        assert [e["epoch"] for e in run.record["selection"]["kept"]] == [
            e["epoch"] for e in other.record["selection"]["kept"]
        ]


def test_patience_counts_validations(bone_parameters, bones):
    bone_parameters |= {"max_epochs": 40, "validation_interval": 2, "patience": 2, "learning_rate": 1e-12}
    bone_parameters |= {"resolution": 32, "schedule": "constant"}
    run, history = trained(bone_parameters, bones)
    # Nothing is learned, but running statistics may still move: the best is not always the first.
    best = run.record["selection"]["best_epoch"]
    assert history["epoch"].max() == best + 2 * 2
    assert run.record["selection"]["stopped_early"]


def _task(parameters, **options):
    model = build(parameters, 3)
    own = {name: options.pop(name) for name in list(options) if name in Optimisation.__dataclass_fields__}
    optimisation = Optimisation(**{"learning_rate": 0.01, "weight_decay": 0.0, "schedule": "constant", **own})
    return OverlappingTask(model, build_loss("bce"), optimisation, classes=3, seed=1, **options), model


def test_the_backbone_has_a_rate_of_its_own(bone_parameters):
    task, model = _task(bone_parameters, backbone_learning_rate=0.002)
    rest, backbone = task.configure_optimizers().param_groups
    assert (rest["lr"], backbone["lr"]) == (0.01, 0.002)
    assert {id(p) for p in backbone["params"]} == {id(p) for p in model.encoder.parameters()}
    assert len(rest["params"]) + len(backbone["params"]) == len(list(model.network.parameters()))
    assert len(_task(bone_parameters)[0].configure_optimizers().param_groups) == 1


def test_the_schedule_restarts_when_it_is_told_to(bone_parameters):
    task, _ = _task(bone_parameters, schedule="cosine", restart_epochs=3, restart_factor=2)
    task.configure_optimizers()
    rates = []
    for _ in range(10):
        rates.append(task._schedule.get_last_lr()[0])
        task._schedule.optimizer.step()
        task._schedule.step()
    assert [n for n, rate in enumerate(rates) if rate == pytest.approx(0.01)] == [0, 3, 9]


def test_facts_that_are_not_known_do_not_count():
    logits, targets = torch.tensor([2.0, -1.0, 5.0], requires_grad=True), torch.tensor([1, 0, -1])
    loss = fact_loss(logits, targets)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:2], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert logits.grad[2] == 0
    assert fact_loss(logits, torch.full((3,), -1)) == 0
    sums = EpochSums(torch.device("cpu"), ("sex",))
    sums.add_fact("sex", loss.detach(), logits.detach(), targets)
    sums.add_fact("sex", torch.tensor(1.0), torch.tensor([1.0, 1.0]), torch.tensor([0, -1]))
    results = sums.results()
    assert results["sex_accuracy"] == pytest.approx(2 / 3)
    assert results["sex_loss"] == pytest.approx((2 * expected.item() + 1) / 3)


def test_the_loss_adds_the_facts_with_their_weight(bone_parameters):
    torch.manual_seed(0)
    bone_parameters |= {"auxiliary": ["sex", "side"]}
    task, model = _task(bone_parameters, auxiliary_weight=0.5)
    task.eval()
    batch = (
        torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8), torch.randint(0, 8, (2, 64, 64), dtype=torch.int32),
        torch.tensor([[0, 1], [-1, 0]]),
    )  # fmt: skip
    loss = task.step(batch, task.no_sums())
    rgb = (batch[0].repeat(1, 3, 1, 1) / 255 - task._mean) / task._std
    logits, facts = model.network(rgb, auxiliary=True)
    expected = build_loss("bce")(logits, unpack(batch[1], 3))
    for number, fact in enumerate(facts.values()):
        expected = expected + 0.5 * fact_loss(fact, batch[2][:, number])
    torch.testing.assert_close(loss, expected)


def test_sums_are_means_over_cases_and_classes_without_the_empty_ones():
    sums = EpochSums(torch.device("cpu"))
    logits, masks = torch.full((2, 2, 1, 4), -1.0), torch.zeros(2, 2, 1, 4, dtype=torch.uint8)
    logits[0, 0, 0, :2] = 1
    masks[0, 0, 0, 1:4] = 1  # one of two found right, three true: Dice 2/5, IoU 1/4
    masks[1, 0] = 1  # missed
    logits[1, 1, 0, 0] = 1  # false alarm; class 1 of case 0 is empty in both
    sums.add(torch.tensor(0.5), logits, masks)
    assert sums.results() == pytest.approx({"loss": 0.5, "dice": 0.4 / 3, "iou": 0.25 / 3})
    nothing = EpochSums(torch.device("cpu"))
    nothing.add(torch.tensor(0.5), -torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2))
    assert np.isnan(nothing.results()["dice"])


def test_batches_of_one_where_statistics_need_two_are_explained(bone_parameters, bones):
    bone_parameters |= {"architecture": "smp-upernet", "batch_size": 1, "max_epochs": 1}
    with pytest.raises(MedsegError, match="Take batch_size=2 or more, or norm='group'"):
        trained(bone_parameters, bones)


def test_a_predictor_takes_its_options_from_the_run(bone_parameters, bones):
    bone_parameters |= {
        "max_epochs": 1,
        "resolution": 32,
        "window": 60,
        "stride": 20,
        "tta": ["flip"],
        "upsampling": "bicubic",
    }
    run, _ = trained(bone_parameters, bones)
    predict = overlapping_inference.load_predictor(run, "cpu")
    assert (predict._window, predict._stride, len(predict._views), predict._upsampling) == (60, 20, 2, "bicubic")
    assert overlapping_inference.load_predictor(run, "cpu", window=0, stride=0)._window == 0
    (run.checkpoints / "best.ckpt").write_bytes(b"half")
    with pytest.raises(MedsegError, match=r"best.ckpt cannot be used"):
        overlapping_inference.load_predictor(run, "cpu")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architecture": "smp-upernett"}, "smp-upernet"),
        ({"backbone": "efficientnet-b9"}, "efficientnet-b"),
        ({"loss": "dcie"}, "dice"),
        ({"augmentation": "crop_rotat"}, "crop_rotate"),
        ({"augmentation": "HorizontalFlip()", "auxiliary": ["side"]}, "would turn left hands"),
        ({"auxiliary": ["age"]}, "no auxiliary fact called 'age'"),
        ({"norm": "layer"}, "no norm called 'layer'"),
        ({"upsampling": "nearest"}, "no upsampling called 'nearest'"),
        ({"resolution": 16}, "less than one step of the encoder"),
        ({"validation_interval": 0}, "validation_interval is 0"),
        ({"validation_interval": 7}, "only 6 epochs"),
        ({"backbone_learning_rate": -1.0}, "backbone_learning_rate is -1.0, expected 0 or more"),
        ({"architecture": "unet", "backbone": "none", "backbone_learning_rate": 1e-4}, "no encoder of its own"),
        ({"restart_factor": 0}, "restart_factor is 0"),
        ({"learning_rate": 0.0}, "expected a learning rate above 0"),
        ({"weights": "none.pth"}, "does not exist"),
        ({"window": 64, "stride": 100}, "pixels would be left out"),
        ({"fold": 9}, "has no fold 9; there are 0, 1"),
        ({"tta": ["flipped"]}, "tta holds 'flipped'"),
        ({"precision": "fp16"}, "of no use on a CPU"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(bone_parameters, changes, expected):
    check({**bone_parameters, "window": 0, "stride": 0, "tta": ["flip", "1.5"]})
    with pytest.raises(MedsegError, match=expected):
        check({**bone_parameters, **changes})


def test_the_last_epoch_of_a_budget_is_validated_whatever_the_interval(bone_parameters, bones):
    steps = len(bones.split("train")) // bone_parameters["batch_size"]
    bone_parameters |= {"max_epochs": 40, "max_steps": 2 * steps + 1, "validation_interval": 2, "resolution": 32}
    run, history = trained(bone_parameters, bones)
    assert list(history.loc[history["split"] == "validation", "epoch"]) == [2, 3]
    assert history["epoch"].max() == 3
    assert run.record["selection"]["ended_by"] == "max_steps"
