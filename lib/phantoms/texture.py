"""Periodic random textures: value noise and branching vessels.

All maps wrap round at both edges, so that they can be laid over a tube without a seam.
"""

import cv2
import numpy as np

_PAD = 3  # grid cells repeated beyond each edge: more than the support of the cubic interpolation


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Band-limited noise: a random grid, enlarged by cubic interpolation.

    Args:
        rng: source of randomness.
        shape: rows and columns of the result; each at least the number of cells.
        cells: grid cells down and across; the size of a blotch is ``shape / cells``.

    Returns:
        float32 of ``shape``, periodic in both directions, mean 0 and standard deviation 1.
    """
    rows, columns = cells
    step_y, step_x = -(-shape[0] // rows), -(-shape[1] // columns)
    grid = np.pad(rng.standard_normal(cells, dtype=np.float32), _PAD, mode="wrap")
    large = cv2.resize(grid, (grid.shape[1] * step_x, grid.shape[0] * step_y), interpolation=cv2.INTER_CUBIC)
    tile = large[_PAD * step_y : (_PAD + rows) * step_y, _PAD * step_x : (_PAD + columns) * step_x]
    if tile.shape != shape:
        tile = cv2.resize(tile, shape[::-1], interpolation=cv2.INTER_AREA)
    return (tile - tile.mean()) / max(float(tile.std()), 1e-6)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int, gain: float = 0.5
) -> np.ndarray:
    """Sum of ``octaves`` of :func:`smooth_noise`, each twice as fine and ``gain`` times as strong as the one before.

    Returns:
        float32 of ``shape``, periodic, mean 0 and standard deviation 1.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        finer = min(cells[0] << octave, shape[0]), min(cells[1] << octave, shape[1])
        total += gain**octave * smooth_noise(rng, shape, finer)
    return total / max(float(total.std()), 1e-6)


def vessels(rng: np.random.Generator, shape: tuple[int, int], trees: int) -> np.ndarray:
    """Branching vessels seen through the mucosa.

    Args:
        rng: source of randomness.
        shape: rows and columns of the result.
        trees: number of stems; each bears two to three generations of branches.

    Returns:
        float32 of ``shape`` in 0..1 (1: middle of the thickest vessel), periodic.
    """
    height, width = shape
    pending = [
        (rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 2 * np.pi), width * rng.uniform(0.08, 0.3), 0)
        for _ in range(trees)
    ]
    drawn: list[tuple[int, int, np.ndarray]] = []
    while pending:
        x, y, heading, length, generation = pending.pop()
        steps = max(int(length / width * 160), 5)
        headings = (
            heading + np.cumsum(rng.normal(0, 0.2, steps)) + 0.15 * np.sin(np.arange(steps) * rng.uniform(0.3, 1))
        )
        points = np.stack(
            [x + np.cumsum(np.cos(headings)) * length / steps, y + np.cumsum(np.sin(headings)) * length / steps], axis=1
        )
        strength, thickness = rng.uniform(0.7, 1.0) * (255, 200, 150, 110)[generation], (2.4, 1.6, 1.1, 1)[generation]
        for share, part in zip((0.5, 0.9, 1.0, 0.8, 0.55), np.array_split(np.arange(steps), 5), strict=True):
            piece = points[part[0] : part[-1] + 2]
            drawn.append((int(strength * share), max(1, round(width / 1000 * thickness * share)), piece))
        if generation < 3:
            for at in rng.integers(steps // 5, steps, size=int(rng.integers(1, 5))):
                turn = rng.choice((-1, 1)) * rng.uniform(0.4, 1.1)
                shorter = length * rng.uniform(0.35, 0.65)
                pending.append((points[at, 0], points[at, 1], headings[at] + turn, shorter, generation + 1))
    canvas = np.zeros(shape, np.uint8)
    for strength, thickness, points in sorted(drawn, key=lambda line: line[0]):  # the strongest on top
        _draw_wrapped(canvas, points, strength, thickness)
    sharp = cv2.GaussianBlur(np.pad(canvas, 16, mode="wrap"), (0, 0), width / 1100)[16:-16, 16:-16]
    return sharp.astype(np.float32) / 255


def _draw_wrapped(canvas: np.ndarray, points: np.ndarray, strength: int, thickness: int) -> None:
    """Draw a polyline (N x 2, x before y) and its copies that reach in over the edges."""
    height, width = canvas.shape
    fine = 4  # fractional bits of OpenCV's fixed-point coordinates
    low, high = points.min(axis=0), points.max(axis=0)
    for shift_x in range(-int(high[0] // width), -int(low[0] // width) + 1):
        for shift_y in range(-int(high[1] // height), -int(low[1] // height) + 1):
            moved = np.round((points + (shift_x * width, shift_y * height)) * 2**fine).astype(np.int32)
            cv2.polylines(canvas, [moved], False, strength, thickness, cv2.LINE_AA, fine)
