"""The learning rate over the epochs, by the same formulas in every framework (PyTorch has them itself)."""

from math import cos, pi

#: Those that follow from the number of the epoch alone.
BY_EPOCH = ("constant", "cosine", "onecycle", "polynomial", "step")
#: Those that end with the last epoch.
TO_THE_END = ("onecycle", "polynomial")
POWER = 0.9  # of the polynomial, as in DeepLab (Chen et al. 2017, arXiv 1606.00915)
STEP_FACTOR = 0.1
_RISE, _FIRST, _LAST = 0.3, 1 / 25, 1 / 25 / 1e4  # of onecycle: share of the epochs, and ends over the highest rate


def factor(
    epoch: int, schedule: str, *, max_epochs: int, restart_epochs: int, restart_factor: int = 1, warmup_epochs: int = 0
) -> float:
    """By which the learning rate of an ``epoch`` (from 0) is the full one.

    It rises in equal steps over the warm-up; the schedule begins after it. ``cosine``: warm restarts (Loshchilov and
    Hutter, arXiv 1608.03983); ``onecycle``: Smith and Topin, arXiv 1708.07120; ``polynomial``: (1 - epoch /
    epochs)^0.9; ``step``: a tenth after every ``restart_epochs``; anything else: constant.
    """
    if epoch < warmup_epochs:
        return (epoch + 1) / (warmup_epochs + 1)
    epoch, epochs = epoch - warmup_epochs, max(1, max_epochs - warmup_epochs)
    if schedule == "cosine":
        length = restart_epochs
        while epoch >= length:
            epoch, length = epoch - length, length * restart_factor
        return (1 + cos(pi * epoch / length)) / 2
    if schedule == "step":
        return STEP_FACTOR ** (epoch // restart_epochs)
    if schedule == "polynomial":
        return max(0.0, 1 - epoch / epochs) ** POWER
    if schedule == "onecycle":
        top = _RISE * (epochs + 1) - 1
        if epoch <= top:
            return _between(_FIRST, 1.0, epoch / top)
        return _between(1.0, _LAST, (epoch - top) / (epochs - top))
    return 1.0


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * share))
