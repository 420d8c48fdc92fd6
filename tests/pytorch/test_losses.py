"""Losses against numbers worked out by hand, and in half precision."""

import math

import pytest
import torch

from medseg.errors import MedsegError
from medseg.pytorch.losses import LOSSES, build_loss

SURE = 50.0


def logits_of(mask: torch.Tensor) -> torch.Tensor:
    """Logits of a network that is sure of ``mask``."""
    return torch.where(mask > 0, SURE, -SURE)


def mask_with(pixels: int, size: int = 8) -> torch.Tensor:
    flat = torch.zeros(size * size, dtype=torch.uint8)
    flat[:pixels] = 1
    return flat.reshape(1, 1, size, size)


def value(spec: str, logits: torch.Tensor, targets: torch.Tensor) -> float:
    loss = build_loss(spec)(logits, targets)
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    return loss.item()


# --- dice -------------------------------------------------------------------------------------------------------


def test_dice_of_perfect_half_and_wrong_predictions():
    truth = mask_with(20)
    assert value("dice", logits_of(truth), truth) == pytest.approx(0, abs=1e-6)
    assert value("dice", logits_of(mask_with(10)), truth) == pytest.approx(1 - (2 * 10 + 1) / (10 + 20 + 1))
    assert value("dice", logits_of(1 - truth), truth) == pytest.approx(1 - 1 / (44 + 20 + 1))
    assert value("dice", torch.zeros(1, 1, 8, 8), truth) == pytest.approx(1 - (20 + 1) / (32 + 20 + 1))


def test_dice_of_an_empty_truth_is_0_for_an_empty_prediction_and_grows_with_false_alarms():
    empty = mask_with(0)
    assert value("dice", logits_of(empty), empty) == pytest.approx(0, abs=1e-6)
    assert value("dice", logits_of(mask_with(1)), empty) == pytest.approx(1 / 2)
    assert value("dice", logits_of(mask_with(9)), empty) == pytest.approx(9 / 10)
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    build_loss("dice")(logits, empty).backward()
    assert (logits.grad > 0).all(), "pushes every pixel down"


def test_dice_is_the_mean_over_images_and_classes_not_pooled():
    truth = torch.cat([mask_with(40), mask_with(2)])
    prediction = torch.cat([mask_with(40), mask_with(0)])
    one_image_missed = (0 + (1 - 1 / (2 + 1))) / 2
    assert value("dice", logits_of(prediction), truth) == pytest.approx(one_image_missed)
    as_classes = [tensor.transpose(0, 1) for tensor in (logits_of(prediction), truth)]
    assert value("dice", *as_classes) == pytest.approx(one_image_missed)


# --- the others -------------------------------------------------------------------------------------------------

TRUTH = torch.tensor([1, 1, 0]).reshape(1, 1, 1, 3)
LOGITS = torch.tensor([2.0, -1.0, 0.5]).reshape(1, 1, 1, 3)
SIGMOID = [1 / (1 + math.exp(-x)) for x in (2.0, -1.0, 0.5)]


def test_bce_and_softbce():
    log_loss = [-math.log(SIGMOID[0]), -math.log(SIGMOID[1]), -math.log(1 - SIGMOID[2])]
    assert value("bce", LOGITS, TRUTH) == pytest.approx(sum(log_loss) / 3)
    other = [-math.log(1 - SIGMOID[0]), -math.log(1 - SIGMOID[1]), -math.log(SIGMOID[2])]
    assert value("softbce", LOGITS, TRUTH) == pytest.approx((0.9 * sum(log_loss) + 0.1 * sum(other)) / 3)


def test_focal():
    right = [SIGMOID[0], SIGMOID[1], 1 - SIGMOID[2]]
    assert value("focal", LOGITS, TRUTH) == pytest.approx(sum(-((1 - p) ** 2) * math.log(p) for p in right) / 3)


def test_jaccard_and_tversky():
    # Truth 1-20, prediction 11-40: 10 hits, 20 false alarms, 10 misses.
    truth, prediction = mask_with(20), mask_with(40) - mask_with(10)
    assert value("jaccard", logits_of(prediction), truth) == pytest.approx(1 - 10 / 40)
    assert value("tversky", logits_of(prediction), truth) == pytest.approx(1 - 10 / (10 + 0.3 * 20 + 0.7 * 10))


def test_lovasz():
    # Hinge errors -1, 2, 1.5; from the largest: 2 (true), 1.5 (false), -1 (true). Jaccard losses of the first
    # 1, 2, 3 pixels wrong: 1/2, 2/3, 1, so 2 * 1/2 + 1.5 * (2/3 - 1/2) + 0.
    assert value("lovasz", LOGITS, TRUTH) == pytest.approx(1.25)
    # Per image and class.
    good = torch.full((1, 1, 1, 3), 5.0) * (2 * TRUTH - 1)
    assert value("lovasz", torch.cat([LOGITS, good]), TRUTH.repeat(2, 1, 1, 1)) == pytest.approx(1.25 / 2)
    assert value("lovasz", torch.cat([LOGITS, good], 1), TRUTH.repeat(1, 2, 1, 1)) == pytest.approx(1.25 / 2)


def test_mcc():
    truth, prediction = mask_with(20), mask_with(40) - mask_with(10)
    tp, fp, fn, tn = 10, 20, 10, 24
    mcc = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert value("mcc", logits_of(prediction), truth) == pytest.approx(1 - mcc, abs=1e-5)
    assert value("mcc", logits_of(truth), truth) == pytest.approx(0, abs=1e-5)
    both = value("mcc", torch.cat([logits_of(prediction), logits_of(truth)], 1), torch.cat([truth, truth], 1))
    assert both == pytest.approx((1 - mcc) / 2, abs=1e-5)


# --- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 29])
def test_right_is_better_than_wrong_and_gradients_point_there(name, classes):
    torch.manual_seed(0)
    truth = (torch.rand(2, classes, 8, 8) < 0.3).to(torch.uint8)
    assert value(name, logits_of(truth), truth) < value(name, logits_of(1 - truth), truth)
    for targets in (truth, truth.bool(), truth.float()):
        logits = torch.zeros(2, classes, 8, 8, requires_grad=True)
        build_loss(name)(logits, targets).backward()
        assert (logits.grad[truth == 1] <= 0).all()
        assert (logits.grad[truth == 0] >= 0).all()
        assert logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_extremes_and_empty_truths_stay_finite(name):
    for truth in (mask_with(0), mask_with(20), mask_with(64)):
        for logits in (torch.full((1, 1, 8, 8), 1e4), torch.full((1, 1, 8, 8), -1e4), torch.zeros(1, 1, 8, 8)):
            logits.requires_grad_()
            loss = build_loss(name)(logits, truth)
            loss.backward()
            assert torch.isfinite(loss)
            assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_gives_the_float32_value(name, dtype):
    torch.manual_seed(0)
    # 512 x 512 pixels: more than the 65,504 that fp16 can sum to, far more than the 256 that bf16 can count to.
    logits = torch.randn(1, 1, 512, 512).to(dtype).requires_grad_()
    truth = (torch.rand(1, 1, 512, 512) < 0.5).to(torch.uint8)
    expected = value(name, logits.detach().float(), truth)
    with torch.autocast("cpu", dtype=dtype):
        loss = build_loss(name)(logits, truth)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(logits.grad).all()


# --- names ------------------------------------------------------------------------------------------------------


def test_sums_and_weights():
    bce, dice, mcc = (value(name, LOGITS, TRUTH) for name in ("bce", "dice", "mcc"))
    assert value("bce+dice", LOGITS, TRUTH) == pytest.approx(bce + dice)
    assert value(" 0.5*BCE + 0.5 * Dice", LOGITS, TRUTH) == pytest.approx(0.5 * bce + 0.5 * dice)
    assert value("1e-2*bce+dice+2*mcc", LOGITS, TRUTH) == pytest.approx(0.01 * bce + dice + 2 * mcc)
    assert repr(build_loss("0.5*bce+dice")) == "WeightedLoss(0.5*bce + 1*dice)"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("dise", "no loss 'dise'. Did you mean 'dice'"),
        ("bce+", "no loss ''"),
        ("", "no loss ''"),
        ("0.5bce", "no loss '0.5bce'"),
        ("half*bce", "'half' before 'bce' is no weight"),
        ("-1*bce", "'-1' before 'bce' is no weight"),
        ("0*bce", "'0' before"),
        ("nan*bce", "'nan' before"),
        ("inf*bce", "'inf' before"),
        ("*bce", "'' before"),
    ],
)
def test_wrong_specs_are_refused_in_words(spec, words):
    with pytest.raises(MedsegError) as caught:
        build_loss(spec)
    assert words in str(caught.value)
    assert "0.5*bce+0.5*dice" in str(caught.value)


def test_unknown_names_are_answered_with_all_that_are_known():
    with pytest.raises(MedsegError) as caught:
        build_loss("bce+hinge")
    assert all(name in str(caught.value) for name in LOSSES)


def test_shapes_must_agree():
    for targets in (torch.zeros(2, 8, 8), torch.zeros(2, 3, 8, 8), torch.zeros(1, 1, 8, 8)):
        with pytest.raises(ValueError, match="one shape"):
            build_loss("bce")(torch.zeros(2, 1, 8, 8), targets)
