"""Ten small cases whose figures can be worked out with a pencil: rectangles in pictures of 10 x 10 pixels."""

from collections.abc import Iterator

import numpy as np

#: Top, left, height and width of every rectangle of truth and prediction, by test set and case, with a sex.
CASES = {
    ("A", "1", "F"): ([(1, 1, 4, 4)], [(1, 1, 4, 4)]),  # Dice 1
    ("A", "2", "F"): ([(1, 1, 4, 4)], [(1, 1, 4, 2)]),  # half of it: 16/24
    ("A", "3", "M"): ([(0, 0, 2, 2), (6, 6, 4, 4)], [(6, 6, 4, 4)]),  # the larger of two: 32/36
    ("A", "4", "M"): ([(1, 1, 4, 4)], [(6, 6, 2, 2)]),  # at the wrong place: 0
    ("A", "5", "M"): ([], []),  # nothing there and nothing found
    ("A", "6", "M"): ([], [(0, 0, 2, 2), (5, 5, 3, 3)]),  # two where there is none: 0
    ("B", "7", "F"): ([(2, 2, 6, 6)], [(2, 2, 6, 3), (2, 6, 6, 2)]),  # one in two parts: 60/66
    ("B", "8", "F"): ([(1, 1, 2, 2)], [(0, 0, 10, 10)]),  # everything: 8/104
    ("B", "9", "M"): ([(1, 1, 2, 2), (1, 6, 2, 2)], [(1, 1, 2, 7)]),  # two in one, centroid between them: 16/22
    ("B", "10", ""): ([(0, 0, 2, 2), (2, 2, 2, 2)], [(0, 0, 4, 4)]),  # touching by a corner: one: 16/24
}
SURE, UNSURE = 0.9, 0.1  # probability where something is predicted, and elsewhere


def masks() -> Iterator[tuple[dict[str, str], np.ndarray, np.ndarray]]:
    """Row of the index, true and predicted mask (10, 10) uint8 of every case."""
    for (test_set, case_id, sex), parts in CASES.items():
        row = {"test_set": test_set, "case_id": case_id, "group": f"g{case_id}", "sex": sex}
        yield row, *map(_drawn, parts)


def _drawn(rectangles: list[tuple[int, int, int, int]]) -> np.ndarray:
    mask = np.zeros((10, 10), np.uint8)
    for top, left, height, width in rectangles:
        mask[top : top + height, left : left + width] = 1
    return mask
