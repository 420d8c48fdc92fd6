"""Splits that never tear a group (a patient, a video sequence) apart."""

import random
from collections import Counter
from collections.abc import Sequence

from medseg.errors import MedsegError


def split_groups(groups: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Choose the groups of the validation split.

    Among all choices of whole groups, one whose number of samples is nearest to ``fraction`` of all; ``seed`` decides
    between equals. At least one group stays on each side.

    Args:
        groups: the group of every sample.
        fraction: share of the samples wanted for validation, in (0, 1).
        seed: of the choice between equals; the order of ``groups`` does not matter.

    Returns:
        The groups for validation.

    Raises:
        MedsegError: there are fewer than two groups, or the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise MedsegError(f"The validation fraction is {fraction}; expected a number between 0 and 1, such as 0.2.")
    sizes = Counter(groups)
    if len(sizes) < 2:
        only = f"only the group {next(iter(sizes))!r}" if sizes else "none"
        raise MedsegError(
            f"Training and validation need at least two groups (patients or video sequences); there is {only}. "
            "Add images of another one, or name the sequences in a sequences.csv."
        )
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    target = fraction * len(groups)
    # Subset sums: for every reachable number of samples, the group added last and the number before it. Sums beyond
    # twice the target are never nearer than the empty choice, save for the smallest group alone.
    limit = max(2 * target, min(sizes.values()))
    reached: dict[int, tuple[str, int]] = {}
    for name in names:
        for before in [0, *reached]:
            total = before + sizes[name]
            if total <= limit and total < len(groups):
                reached.setdefault(total, (name, before))
    best = min(reached, key=lambda total: (abs(total - target), total))
    chosen: set[str] = set()
    while best:
        name, best = reached[best]
        chosen.add(name)
    return chosen
