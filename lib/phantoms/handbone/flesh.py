"""The soft tissue of an imagined hand: its shape round the joints, and how thick it is.

Built in millimetres in the frame of the right wrist, as :mod:`phantoms.handbone.outlines`.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np

GRID = 1024  # rows and columns on which flesh and textures are made, whatever the picture's size

_FINE = 4  # fractional bits of OpenCV's fixed-point coordinates

# Radius at the metacarpal's base, at each joint, and at the tip; mm.
_RADII = {
    "thumb": (15.0, 12.0, 10.4, 8.2),
    "index finger": (14.0, 11.6, 9.3, 8.2, 6.8),
    "middle finger": (14.0, 11.6, 9.6, 8.4, 7.0),
    "ring finger": (13.0, 11.2, 9.1, 8.0, 6.7),
    "little finger": (14.0, 10.8, 8.1, 7.2, 6.1),
}
_WRIST = ((27.0, 12.0), (26.5, 22.0), (-31.5, 18.0), (-33.0, 2.0))
_ARM = (
    (-33.0, 2.0), (-32.5, 18.0), (-33.0, 34.0), (-36.0, 70.0), (-44.0, 230.0),
    (44.0, 230.0), (34.0, 70.0), (30.0, 34.0), (28.5, 18.0), (28.0, 2.0),
)  # fmt: skip


def limbs(joints: Mapping[str, np.ndarray], girth: float) -> np.ndarray:
    """Tapering pieces of flesh round the bones of the fingers.

    Args:
        joints: for each finger (n, 2), from the metacarpal's base to the tip, mm.
        girth: 1 is slim, more is stouter.

    Returns:
        float64 (n, 2, 3): x, y and radius of both ends, mm.
    """
    pieces = []
    for finger, radii in _RADII.items():
        # The tip's centre lies inside the bone, so that the pulp is some mm thick beyond it.
        chain = joints[finger].copy()
        chain[-1] -= 0.16 * (chain[-1] - chain[-2])
        discs = np.concatenate([chain, girth * np.array(radii)[:, None]], axis=1)
        pieces += [np.stack(pair) for pair in pairwise(discs)]
    return np.array(pieces)


def webs(joints: Mapping[str, np.ndarray], girth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What joins the fingers: outlines of the palm, of the fold at the thumb, and of the forearm, each (n, 2) in mm."""

    def along(finger: str) -> Callable[[int, float], np.ndarray]:
        chain = joints[finger]
        return lambda bone, share: chain[bone] + share * (chain[bone + 1] - chain[bone])

    thumb, index, middle, ring, little = (along(finger) for finger in _RADII)
    out = np.array([9.0, 2.0]) * girth
    palm = [index(0, 0.6), index(1, 0.42), middle(1, 0.44), ring(1, 0.43), little(1, 0.42), little(0, 0.9) + out]
    palm += [little(0, 0.45) + out * 1.1, little(0, 0.0) + out, *np.array(_WRIST)]
    hollow = 0.5 * (thumb(1, 0.1) + index(0, 0.9)) + np.array([0.0, 9.0])
    fold = [thumb(0, 0.0), thumb(1, 0.35), hollow, index(0, 1.0), index(0, 0.0)]
    arm = np.array(_ARM) * (0.5 + 0.5 * girth, 1)
    return np.array(palm), np.array(fold), arm


def thickness(limbs: np.ndarray, webs: Sequence[np.ndarray], size: int, scale: float) -> np.ndarray:
    """How much flesh a ray meets: round fingers, and a palm and forearm that swell towards their middle.

    Args:
        limbs: (n, 2, 3), as :func:`limbs`, in pixels of the picture.
        webs: as :func:`webs`, in pixels of the picture.
        size: of the picture's sides, in pixels.
        scale: pixels of the picture for each mm.

    Returns:
        float32 (GRID, GRID), mm; the whole picture.
    """
    zoom = GRID / size
    scale = scale * zoom
    mask = np.zeros((GRID, GRID), np.uint8)
    for limb in limbs * zoom:
        _fill(mask, _capsule(limb))
    hull = np.zeros_like(mask)
    for web in webs:
        _fill(hull, web * zoom)
    mask |= hull
    # Skin is smooth: blur and cut round the folds between fingers.
    rounded = blurred(mask.astype(np.float32), 1.7 * scale) > 0.5
    depth = cv2.distanceTransform(rounded.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / scale
    depth = np.maximum(depth - 0.5 / scale, 0)
    radius = 8.5
    round_ = np.sqrt(np.maximum(radius**2 - np.maximum(radius - depth, 0) ** 2, 0)) * 2
    lean = 0.72 + 0.28 * np.clip(depth / 3.0, 0, 1)  # fat under the skin absorbs less than muscle
    dome = np.clip(depth - 5, 0, 16) / 16
    dome = blurred((dome * rounded).astype(np.float32), 3.0 * scale)
    return (round_ * lean + 13.0 * dome).astype(np.float32)


def _capsule(limb: np.ndarray) -> np.ndarray:
    """Outline round two discs, given as (x, y, radius) each."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.concatenate([disc[:2] + disc[2] * ring for disc in limb]).astype(np.float32)
    return cv2.convexHull(points)[:, 0].astype(np.float64)


def _fill(canvas: np.ndarray, outline: np.ndarray) -> None:
    """Set the pixels within or at an outline of continuous points (n, 2) to 1."""
    cv2.fillPoly(canvas, [np.round((outline - 0.5) * 2**_FINE).astype(np.int32)], 1, cv2.LINE_8, _FINE)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur (sigma in pixels), on a smaller grid where that is enough."""
    shrink = max(int(sigma / 4), 1)
    if shrink == 1:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    small = cv2.resize(picture, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / shrink), picture.shape[::-1])
