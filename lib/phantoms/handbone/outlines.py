"""Shapes of single bones of an adult's right hand, seen from the back, in millimetres.

x grows from the thumb's side to the little finger's, y from the finger tips to the forearm. Long bones are described
by widths and lengths in a frame of their own; carpals and forearm by corner points in the frame of the wrist, whose
origin is the middle of the capitate. Sizes are those of a man of 175 cm, read from anatomy texts and rounded.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

Kind = Literal["metacarpal", "phalanx", "distal phalanx"]


class LongBone(NamedTuple):
    """Length along the axis and whole widths at base, shaft and head, in mm."""

    kind: Kind
    length: float
    base: float
    shaft: float
    head: float


#: From the metacarpal to the distal phalanx.
LONG_BONES: dict[str, tuple[LongBone, ...]] = {
    "thumb": (
        LongBone("metacarpal", 46.0, 15.5, 9.6, 14.6),
        LongBone("phalanx", 31.5, 14.4, 8.6, 11.6),
        LongBone("distal phalanx", 22.5, 13.0, 6.6, 9.0),
    ),
    "index finger": (
        LongBone("metacarpal", 67.0, 16.0, 8.8, 15.0),
        LongBone("phalanx", 40.0, 15.0, 9.0, 11.4),
        LongBone("phalanx", 23.0, 12.6, 7.6, 9.8),
        LongBone("distal phalanx", 16.8, 10.4, 5.0, 7.4),
    ),
    "middle finger": (
        LongBone("metacarpal", 65.0, 13.8, 8.8, 15.0),
        LongBone("phalanx", 44.5, 15.2, 9.4, 12.0),
        LongBone("phalanx", 27.5, 13.0, 8.0, 10.2),
        LongBone("distal phalanx", 17.8, 10.8, 5.4, 7.8),
    ),
    "ring finger": (
        LongBone("metacarpal", 57.5, 11.4, 7.2, 13.4),
        LongBone("phalanx", 41.5, 14.2, 8.8, 11.4),
        LongBone("phalanx", 26.0, 12.2, 7.5, 9.7),
        LongBone("distal phalanx", 17.8, 10.2, 5.0, 7.6),
    ),
    "little finger": (
        LongBone("metacarpal", 53.0, 12.6, 7.4, 12.8),
        LongBone("phalanx", 33.0, 12.8, 7.6, 9.6),
        LongBone("phalanx", 18.5, 10.4, 6.4, 8.2),
        LongBone("distal phalanx", 15.8, 8.8, 4.2, 6.4),
    ),
}

# Half an outline, from the middle of the base to the middle of the tip: share of which half width ("b" base, "s"
# shaft, "h" head), and how far along: share of the length, plus millimetres.
_PROFILES: dict[Kind, tuple[tuple[str, float, float, float], ...]] = {
    "metacarpal": (
        ("b", 0.0, 0.0, 0.9), ("b", 0.7, 0.0, 0.1), ("b", 0.98, 0.0, 2.0), ("b", 0.97, 0.09, 0.0),
        ("s", 1.26, 0.22, 0.0), ("s", 1.02, 0.38, 0.0), ("s", 1.0, 0.55, 0.0), ("s", 1.16, 0.7, 0.0),
        ("h", 0.94, 0.825, 0.0), ("h", 1.0, 0.885, 0.0), ("h", 0.82, 0.955, 0.0), ("h", 0.42, 0.993, 0.0),
        ("h", 0.0, 1.0, 0.0),
    ),
    "phalanx": (
        ("b", 0.0, 0.0, 0.9), ("b", 0.6, 0.0, 0.2), ("b", 0.93, 0.0, 0.9), ("b", 1.0, 0.03, 2.2),
        ("b", 0.84, 0.17, 0.0), ("s", 1.1, 0.32, 0.0), ("s", 1.0, 0.52, 0.0), ("s", 1.02, 0.68, 0.0),
        ("h", 0.93, 0.85, 0.0), ("h", 1.0, 0.925, 0.0), ("h", 0.8, 0.985, 0.0), ("h", 0.45, 1.0, 0.0),
        ("h", 0.0, 1.0, -0.8),
    ),
    "distal phalanx": (
        ("b", 0.0, 0.0, 0.3), ("b", 0.55, 0.0, 0.2), ("b", 0.92, 0.0, 0.9), ("b", 0.98, 0.06, 1.4),
        ("b", 0.76, 0.26, 0.0), ("s", 1.12, 0.46, 0.0), ("s", 1.0, 0.62, 0.0), ("h", 0.88, 0.77, 0.0),
        ("h", 1.0, 0.87, 0.0), ("h", 0.8, 0.95, 0.0), ("h", 0.4, 0.99, 0.0), ("h", 0.0, 1.0, 0.0),
    ),
}  # fmt: skip

#: Corners of the carpals in the frame of the wrist, in mm; trapezium over trapezoid, capitate over hamate and pisiform
#: over triquetrum lie behind one another.
CARPAL_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "Trapezium": (
        (-30.2, -5.6), (-27.6, -9.4), (-22.4, -12.2), (-16.6, -12.2), (-13.8, -8.8), (-14.0, -4.0), (-16.4, 2.0),
        (-20.6, 3.6), (-25.6, 1.4), (-29.2, -1.8),
    ),
    "Trapezoid": (
        (-16.0, -12.0), (-12.0, -13.8), (-8.0, -12.6), (-7.2, -7.6), (-8.8, -2.6), (-12.0, -1.0), (-15.6, -2.4),
        (-17.0, -7.0),
    ),
    "Capitate": (
        (-6.2, -10.4), (-0.5, -11.4), (6.0, -11.0), (8.0, -8.6), (7.6, -4.0), (6.6, 1.0), (6.9, 5.5), (5.2, 9.8),
        (1.0, 11.6), (-3.6, 10.2), (-6.0, 6.0), (-5.4, 0.5), (-6.6, -5.0),
    ),
    "Hamate": (
        (5.9, -8.8), (9.0, -11.2), (13.0, -12.0), (17.0, -10.8), (21.4, -7.8), (22.6, -4.6), (20.4, -0.6), (15.4, 4.6),
        (11.0, 9.6), (8.4, 11.6), (6.4, 9.0), (5.6, 3.0),
    ),
    "Scaphoid": (
        (-23.8, 7.4), (-20.6, 4.2), (-15.4, 1.6), (-10.6, 1.2), (-7.9, 3.6), (-7.8, 8.0), (-6.6, 12.4), (-5.4, 16.8),
        (-7.2, 20.8), (-11.4, 21.2), (-15.4, 17.4), (-19.6, 13.2), (-23.2, 10.8),
    ),
    "Lunate": (
        (-4.1, 13.3), (-1.5, 13.9), (1.4, 14.2), (5.0, 12.9), (8.3, 11.9), (9.9, 14.4), (9.6, 19.2), (6.4, 23.2),
        (1.0, 24.2), (-3.2, 21.6), (-4.5, 17.4),
    ),
    "Triquetrum": (
        (10.6, 13.6), (14.4, 8.6), (19.0, 4.8), (22.8, 5.4), (24.6, 9.8), (23.2, 15.4), (19.4, 20.0), (14.4, 21.6),
        (11.0, 19.2),
    ),
    "Pisiform": (
        (15.6, 13.6), (16.2, 9.8), (19.0, 7.8), (22.2, 9.0), (23.8, 12.6), (22.8, 16.4), (19.8, 18.2), (16.8, 16.8),
    ),
}  # fmt: skip

_FAR = 220.0  # the shafts of the forearm go on to here, beyond the lower border of every picture

#: As the carpals; from the joint down to ``_FAR`` and back.
FOREARM_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "Radius": (
        (-26.8, 15.4), (-25.0, 13.8), (-22.6, 14.6), (-19.4, 16.9), (-15.8, 20.6), (-11.6, 23.3), (-7.2, 23.4),
        (-3.6, 23.8), (0.4, 25.8), (4.6, 26.0), (6.8, 27.4), (6.8, 31.6), (5.6, 36.0), (2.6, 43.0), (0.2, 52.0),
        (-1.2, 66.0), (-1.6, 90.0), (-1.6, 140.0), (-1.0, _FAR), (-18.0, _FAR), (-17.4, 140.0), (-17.2, 90.0),
        (-18.0, 66.0), (-20.2, 52.0), (-23.4, 42.0), (-26.4, 32.0), (-28.0, 24.0),
    ),
    "Ulna": (
        (9.2, 29.4), (11.4, 27.2), (14.6, 26.6), (17.6, 26.8), (19.4, 25.2), (21.2, 22.4), (23.2, 23.2), (23.8, 27.0),
        (23.4, 31.6), (22.0, 38.0), (20.8, 48.0), (20.6, 70.0), (21.0, 140.0), (22.0, _FAR), (9.4, _FAR), (9.4, 140.0),
        (9.8, 70.0), (9.6, 48.0), (8.8, 38.0), (8.4, 33.0),
    ),
}  # fmt: skip


def long_bone(bone: LongBone, *, lean: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """Corners of a long bone's outline in its own frame.

    Args:
        bone: its sizes.
        lean: how much wider the one half is than the other, as a share of the width.
        tilt: slope of the base: millimetres along the axis for each millimetre across.

    Returns:
        float64 (n, 2): millimetres across (positive to the right when the tip points up) and along the axis, which
        starts at 0 in the middle of the base.
    """
    halves = {"b": bone.base / 2, "s": bone.shaft / 2, "h": bone.head / 2}
    half = np.array([(share * halves[at], part * bone.length + mm) for at, share, part, mm in _PROFILES[bone.kind]])
    right, left = half * (1 + lean, 1), half[-2:0:-1] * (lean - 1, 1)
    corners = np.concatenate([right, left])
    corners[:, 1] += tilt * corners[:, 0] * np.clip(1 - corners[:, 1] / (0.25 * bone.length), 0, 1)
    return corners


def smooth_outline(corners: np.ndarray, rng: np.random.Generator, roughness: float) -> np.ndarray:
    """A smooth closed curve through ``corners`` that waves a little along its normal.

    A periodic cubic spline on centripetal parameters (Lee, "Choosing nodes in parametric curve interpolation", 1989),
    which does not overshoot where corners stand close.

    Args:
        corners: (n, 2).
        rng: source of the waves.
        roughness: standard deviation of the waves, in the units of ``corners``.

    Returns:
        float64 (400, 2), first point not repeated.
    """
    closed = np.concatenate([corners, corners[:1]])
    knots = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(closed, axis=0), axis=1)))])
    curve = CubicSpline(knots, closed, bc_type="periodic")
    at = np.linspace(0, knots[-1], 400, endpoint=False)
    points, tangents = curve(at), curve(at, 1)
    normals = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    waves = np.arange(3, 9)
    weights = rng.normal(0, 1, (2, len(waves))) / np.sqrt(len(waves))
    angle = np.outer(at / knots[-1] * 2 * np.pi, waves)
    return points + normals * (roughness * (np.cos(angle) @ weights[0] + np.sin(angle) @ weights[1]))[:, None]


def resampled(outline: np.ndarray, count: int, keep: np.ndarray | None = None) -> np.ndarray:
    """``count`` points at equal distances along a closed outline (n, 2), and those that bool ``keep`` (n,) names."""
    closed = np.concatenate([outline, outline[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, along[-1], count, endpoint=False)
    if keep is not None:
        at = np.unique(np.concatenate([at, along[:-1][keep]]))
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def cut(outline: np.ndarray, axis: int, limit: float, *, below: bool) -> np.ndarray:
    """The part of a closed outline on one side of a line (Sutherland and Hodgman, CACM 17(1), 1974).

    Args:
        outline: (n, 2).
        axis: 0 for a line of constant x, 1 for one of constant y.
        limit: that x or y.
        below: keep what is at most ``limit``; otherwise what is at least that.

    Returns:
        float64 (m, 2); m is 0 where nothing is left.
    """
    depth = (outline[:, axis] - limit) * (-1 if below else 1)
    if (depth >= 0).all():
        return outline
    kept: list[np.ndarray] = []
    for i in range(len(outline)):
        here, there = outline[i - 1], outline[i]
        if (depth[i - 1] >= 0) != (depth[i] >= 0):
            crossing = here + depth[i - 1] / (depth[i - 1] - depth[i]) * (there - here)
            crossing[axis] = limit
            kept.append(crossing)
        if depth[i] >= 0:
            kept.append(there)
    return np.array(kept).reshape(-1, 2)


def cut_to_picture(outline: np.ndarray, size: float) -> np.ndarray:
    """As :func:`cut`, the part within 0..``size`` in x and y."""
    for axis in (0, 1):
        outline = cut(cut(outline, axis, 0.0, below=False), axis, size, below=True)
    return outline
