"""Every option of a training changes what it says, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_trainings import trained

from medseg.errors import MedsegError
from medseg.pytorch import inference
from medseg.pytorch.check import check
from medseg.pytorch.epoch_sums import EpochSums
from medseg.pytorch.losses import build_loss, structure_loss
from medseg.pytorch.models import build_model
from medseg.pytorch.optimisation import OPTIMIZERS, Optimisation, read_optimizer, scales
from medseg.pytorch.task import SegmentationTask

BASE = {"learning_rate": 0.1, "weight_decay": 0.01, "schedule": "constant"}


def task_of(architecture="unet", backbone="none", options=None, **given):
    torch.manual_seed(0)
    width = {"width": 0.125} if architecture == "unet" else {}
    model = build_model(architecture, backbone, **width)
    return SegmentationTask(
        model, build_loss("bce"), Optimisation(**{**BASE, **given}), seed=1, **(options or {})
    ), model


def rates_of(epochs=12, **given):
    """The learning rate of every epoch, as the task sets it."""
    optimisation = Optimisation(**{**BASE, "max_epochs": epochs, **given})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=BASE["learning_rate"])
    schedule = optimisation.schedule_of(optimizer)
    optimisation.warm_up(optimizer, 0)
    found = []
    for epoch in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if epoch + 1 <= optimisation.warmup_epochs:
            optimisation.warm_up(optimizer, epoch + 1)
        elif schedule is not None:
            schedule.step()
    return np.array(found)


def test_schedules_have_their_shape():
    np.testing.assert_allclose(rates_of(), 0.1)
    np.testing.assert_allclose(rates_of(schedule="polynomial"), 0.1 * (1 - np.arange(12) / 12) ** 0.9)
    stepped = rates_of(schedule="step", restart_epochs=5)
    np.testing.assert_allclose(stepped, [0.1] * 5 + [0.01] * 5 + [0.001] * 2)
    cycle = rates_of(epochs=30, schedule="onecycle")
    assert cycle[0] == pytest.approx(0.1 / 25)
    assert cycle.argmax() in (8, 9, 10)
    assert cycle.max() == pytest.approx(0.1, rel=0.02)
    assert cycle[-1] < 0.001


@pytest.mark.parametrize("schedule", ["constant", "polynomial", "cosine", "step"])
def test_a_warm_up_rises_in_equal_steps_and_the_schedule_begins_after_it(schedule):
    given = {"schedule": schedule, "restart_epochs": 4}
    warm = rates_of(warmup_epochs=3, **given)
    np.testing.assert_allclose(warm[:3], [0.025, 0.05, 0.075])
    np.testing.assert_allclose(warm[3:], rates_of(epochs=9, **given))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_of_torch_moves_the_weights(name):
    task, model = task_of(optimizer=name)
    optimizer = task.configure_optimizers()
    assert type(optimizer).__name__.lower() == name
    before = [parameter.detach().clone() for parameter in model.network.parameters()]
    task.train()
    batch = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8), torch.ones(2, 1, 16, 16, dtype=torch.uint8)
    task.step(batch, EpochSums(torch.device("cpu"))).backward()
    optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, model.network.parameters(), strict=True)]
    assert np.mean(moved) > 0.9
    if "weight_decay" in optimizer.defaults:
        assert optimizer.defaults["weight_decay"] == 0.01


def test_settings_of_an_optimizer_reach_it():
    optimizer = task_of(optimizer="sgd(momentum=0.8, nesterov=True)")[0].configure_optimizers()
    assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.8, True)
    assert task_of(optimizer=" AdamW(betas=(0.5, 0.9)) ")[0].configure_optimizers().defaults["betas"] == (0.5, 0.9)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("adan", "no optimizer 'adan'. Did you mean 'ada"),
        ("lbfgs", "no optimizer 'lbfgs'"),
        ("sgd(momentun=0.9)", "no setting 'momentun'. Did you mean 'momentum'"),
        ("sgd(lr=1)", "lr is a parameter of the notebook"),
        ("sgd(0.9)", "write it like"),
        ("sgd(momentum=__import__('os'))", "write it like"),
        ("sgd(momentum=0.9", "write it like"),
        ("sgd(nesterov=True)", "cannot be had"),
        ("adam(betas=(2, 2))", "cannot be had"),
    ],
)
def test_what_is_no_optimizer_is_refused_in_words(written, message):
    with pytest.raises(MedsegError, match=message):
        read_optimizer(written)


def test_parts_have_rates_of_their_own():
    task, model = task_of("smp-linknet", "tu-test_resnet", part_rates=("encoder=0.01", "segmentation_head=0.5"))
    rest, encoder, head = task.configure_optimizers().param_groups
    assert (rest["lr"], encoder["lr"], head["lr"]) == (0.1, 0.01, 0.5)
    assert {id(p) for p in encoder["params"]} == {id(p) for p in model.encoder.parameters()}
    total = sum(len(group["params"]) for group in (rest, encoder, head))
    assert total == len(list(model.network.parameters()))
    with pytest.raises(MedsegError, match="names 'encodr'. Did you mean 'encoder'. Parts: encoder, decoder, seg"):
        task_of("smp-linknet", "tu-test_resnet", part_rates=("encodr=1",))[0].configure_optimizers()
    with pytest.raises(MedsegError, match="gives encoder the rate 'x', expected a number"):
        task_of("smp-linknet", "tu-test_resnet", part_rates=("encoder=x",))[0].configure_optimizers()


def test_label_smoothing_moves_the_truth_that_is_trained_on_and_no_other():
    masks = torch.tensor([0, 1], dtype=torch.uint8).view(1, 1, 1, 2)
    task, _ = task_of(options={"label_smoothing": 0.2})
    task.train()
    torch.testing.assert_close(task._smoothed(masks).flatten(), torch.tensor([0.1, 0.9]))
    task.eval()
    assert task._smoothed(masks) is masks


def test_batches_are_trained_at_several_sides_and_validated_at_one():
    task, model = task_of(options={"sides": scales([0.5, 1, 1.5], 32, 16)})
    seen = []
    model.network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[-1]))
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    masks = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    masks[..., :16] = 1
    task.train()
    for task._batch in range(40):
        task.step((pictures, masks), EpochSums(torch.device("cpu")))
    assert {side: seen.count(side) > 4 for side in set(seen)} == {16: True, 32: True, 48: True}
    smaller, halved = task._resized(pictures, masks)
    while halved.shape[-1] != 16:
        task._batch += 1
        smaller, halved = task._resized(pictures, masks)
    assert halved.dtype == torch.uint8
    assert halved[0, 0, 0].tolist() == [1] * 8 + [0] * 8
    torch.testing.assert_close(smaller.mean(), pictures.float().mean(), rtol=0.02, atol=0)
    task.eval()
    seen.clear()
    task.step((pictures, masks), EpochSums(torch.device("cpu")))
    assert seen == [32]
    with pytest.raises(MedsegError, match="multiscale holds 9"):
        scales([9], 32, 16)


def test_the_structure_loss_weighs_edges_as_published():
    logits = torch.randn(2, 3, 40, 44, generator=torch.Generator().manual_seed(0))
    truth = torch.zeros(2, 3, 40, 44)
    truth[:, :, 10:30, 12:30] = 1
    expected = []
    for picture, mask in zip(logits.flatten(0, 1).numpy(), truth.flatten(0, 1).numpy(), strict=True):
        padded = np.pad(mask, 15)
        around = np.array([[padded[i : i + 31, j : j + 31].mean() for j in range(44)] for i in range(40)])
        weight = 1 + 5 * np.abs(around - mask)
        p = 1 / (1 + np.exp(-picture.astype(float)))
        bce = -(mask * np.log(p) + (1 - mask) * np.log(1 - p))
        inter, union = (weight * p * mask).sum(), (weight * (p + mask)).sum()
        expected.append((weight * bce).sum() / weight.sum() + 1 - (inter + 1) / (union - inter + 1))
    torch.testing.assert_close(structure_loss(logits, truth).item(), float(np.mean(expected)), rtol=1e-4, atol=0)
    assert build_loss("structure")(logits, truth) == structure_loss(logits, truth)


def weights(run, prefix):
    saved = torch.load(run.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    return {key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)}


def test_the_mean_of_the_weights_is_validated_kept_and_predicts(parameters, discs):
    run, _ = trained(parameters | {"max_epochs": 3, "ema": 0.8}, discs)
    plain, mean = weights(run, "network."), weights(run, "average.module.")
    assert set(plain) == set(mean)
    assert any(not torch.equal(plain[key], mean[key]) for key in plain)
    model = build_model("unet", "none", width=parameters["width"])
    inference.load_best(run, model)
    loaded = model.network.state_dict()
    assert all(torch.equal(loaded[key], mean[key]) for key in mean)
    other, _ = trained(parameters | {"max_epochs": 3}, discs)
    assert other.id != run.id
    assert not weights(other, "average.module.")


def test_a_mean_of_weights_is_that_of_the_steps():
    task, model = task_of(ema=0.9)
    optimizer = task.configure_optimizers()
    expected = None
    for _ in range(4):
        for parameter in model.network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        task.average.update_parameters(task.network)
        now = next(iter(model.network.parameters())).detach().clone()
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    torch.testing.assert_close(next(iter(task.average.module.parameters())), expected)


def test_a_frozen_encoder_stays_as_it_is_until_its_epoch(parameters, discs):
    file = discs.folder.parent / "encoder.pth"
    torch.manual_seed(5)
    torch.save(build_model("smp-linknet", "tu-test_resnet").encoder.state_dict(), file)
    options = {"architecture": "smp-linknet", "backbone": "tu-test_resnet", "width": 1.0, "weights": str(file)}
    start = build_model("smp-linknet", "tu-test_resnet", weights=str(file)).encoder.state_dict()
    changed = {}
    for epochs in (2, 3):
        given = parameters | options | {"max_epochs": epochs, "freeze_encoder_epochs": 2, "resolution": 64}
        run, _ = trained(given, discs)
        last = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["state_dict"]
        changed[epochs] = [
            not torch.equal(value, last[f"network.network.encoder.{key}"]) for key, value in start.items()
        ]
    assert not any(changed[2])
    assert np.mean(changed[3]) > 0.5


def test_gradients_are_clipped_to_their_norm(parameters, discs, monkeypatch):
    norms = {}
    step = torch.optim.SGD.step

    def watched(self, closure=None):
        def measured():
            loss = closure()
            squares = [
                p.grad.square().sum() for group in self.param_groups for p in group["params"] if p.grad is not None
            ]
            norms.setdefault(limit, []).append(float(torch.stack(squares).sum().sqrt()))
            return loss

        return step(self, measured)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    for limit in (0.0, 0.01):
        trained(parameters | {"max_epochs": 1, "optimizer": "sgd", "gradient_clip": limit}, discs)
    assert max(norms[0.0]) > 0.02
    assert max(norms[0.01]) < 0.0101


def test_deterministic_algorithms_are_asked_for_while_training_alone(parameters, discs, monkeypatch):
    asked = []
    monkeypatch.setattr(
        SegmentationTask,
        "on_train_start",
        lambda self: asked.append(torch.are_deterministic_algorithms_enabled()),
    )
    for switch in (False, True):
        trained(parameters | {"max_epochs": 1, "deterministic": switch}, discs)
        assert not torch.are_deterministic_algorithms_enabled()
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamx"}, "no optimizer 'adamx'"),
        ({"schedule": "polynomial", "max_steps": 9}, "steps or minutes end this training earlier"),
        ({"schedule": "onecycle", "max_minutes": 1.0}, "steps or minutes end this training earlier"),
        ({"schedule": "onecycle", "warmup_epochs": 1}, "warm-up of its own"),
        ({"warmup_epochs": 99}, "warmup_epochs is 99"),
        ({"ema": 1.0}, "ema is 1, expected a decay from 0"),
        ({"gradient_clip": -1.0}, "gradient_clip is -1"),
        ({"seed": -1}, "seed is -1, expected a whole number from 0"),
        ({"seed": 2**40}, "seed is 1099511627776, expected a whole number from 0"),
        ({"weights": "imagnet"}, "weights is 'imagnet', expected 'none', run:ID of a run, or a file"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
        ({"multiscale": [0.1]}, "multiscale holds 0.1"),
        ({"part_rates": ["encoder=1"]}, "names 'encoder'"),
        ({"freeze_encoder_epochs": 1}, "has no encoder of its own"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(parameters, changes, message):
    with pytest.raises(MedsegError, match=message):
        check({**parameters, **changes})


@pytest.mark.parametrize(("architecture", "backbone"), [("unet", "none"), ("smp-unet", "tu-test_resnet")])
def test_deep_supervision_adds_the_losses_of_coarser_levels_while_training(architecture, backbone):
    torch.manual_seed(0)
    width = 0.125 if architecture == "unet" else 1.0
    model = build_model(architecture, backbone, width=width, sides=2)
    plain = build_model(architecture, backbone, width=width)
    batch = torch.randint(0, 256, (2, 3, 40, 33), dtype=torch.uint8), torch.ones(2, 1, 40, 33, dtype=torch.uint8)
    task = SegmentationTask(
        model, build_loss("bce"), Optimisation(**BASE), seed=1, deep_supervision=(0.5, 0.25)
    ).train()
    for head in model.network.sides.heads:  # logits of 3 everywhere
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, 3.0)
    seen = []
    model.network.register_forward_hook(lambda module, given, logits: seen.append(logits))
    loss = task.step(batch, task.no_sums())
    sides = torch.nn.functional.softplus(torch.tensor(-3.0))
    torch.testing.assert_close(loss, build_loss("bce")(seen[0], batch[1]) + 0.75 * sides)
    loss.backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in model.network.sides.heads)
    # The first weighs the level at half the size, and each level is brought to the size of the picture.
    shapes = {number: feature.shape[-2:] for number, feature in enumerate(_features_of(model, batch[0]))}
    assert shapes[0][0] == 2 * shapes[1][0]

    task.eval()
    evaluated = task.step(batch, task.no_sums())
    torch.testing.assert_close(evaluated, build_loss("bce")(seen[-1], batch[1]))
    assert {n for n, _ in model.network.named_parameters()} - {n for n, _ in plain.network.named_parameters()} == {
        f"sides.heads.{number}.{part}" for number in (0, 1) for part in ("weight", "bias")
    }


def _features_of(model, pictures):
    model.network.train()
    model.network(pictures.float())
    return [model.network.sides._features.pop(number) for number in (0, 1)]


def test_deep_supervision_of_what_has_no_levels_is_refused(parameters):
    given = {**parameters, "deep_supervision": [0.5]}
    assert "M parameters" in check(given)
    with pytest.raises(
        MedsegError, match="needs a decoder that goes up level by level: unet or smp-unet, not 'smp-fpn'"
    ):
        check({**given, "architecture": "smp-fpn", "backbone": "tu-test_resnet", "width": 1.0})
    with pytest.raises(MedsegError, match="has 4 weights, but 'unet' has 3 levels"):
        check({**given, "deep_supervision": [0.5] * 4})
    with pytest.raises(MedsegError, match="holds 0; expected weights above 0"):
        check({**given, "deep_supervision": [0.5, 0]})
