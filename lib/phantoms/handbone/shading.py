"""What the X-rays of a posed hand look like: flesh, bones, and the way from the detector to the picture.

Flesh and bones are given a thickness for each pixel, from the distance to their outline as if they were round. The
attenuation of all tissues adds up along the ray (Beer-Lambert law), so bones that lie behind one another are brighter;
a dense shell round a lighter core gives the bright rim. The detector adds quantum noise, which grows as fewer photons
come through, and the picture is toned and sharpened as computed radiography does.
"""

import cv2
import numpy as np

from medseg.datasets.polygons import PolygonSet, draw_class
from phantoms.handbone import flesh as hand_flesh
from phantoms.handbone.flesh import blurred
from phantoms.handbone.skeleton import Bone, Hand
from phantoms.texture import fractal_noise

# Attenuation per mm beyond that of what it replaces, in arbitrary but common units.
_FLESH, _SHELL, _CORE, _MARROW = 0.0165, 0.075, 0.021, 0.007


def radiograph(hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """Draw the picture of a hand.

    Args:
        hand: posed in its picture.
        rng: source of exposure, textures, noise and marks.

    Returns:
        uint8 (size, size); bones are bright.
    """
    # Small pictures are drawn at twice their size and averaged.
    factor = 2 if hand.size <= 1024 else 1
    shape = (hand.size * factor, hand.size * factor)
    thickness = hand_flesh.thickness(hand.limbs, hand.webs, hand.size, hand.scale)
    haze = fractal_noise(rng, thickness.shape, (8, 8), 4)
    absorbed = cv2.resize(_FLESH * thickness * (1 + 0.035 * haze), shape, interpolation=cv2.INTER_CUBIC)
    grain = fractal_noise(rng, thickness.shape, (210, 210), 3, gain=0.9)
    spongy = cv2.resize(1 + 0.11 * grain + 0.04 * haze, shape, interpolation=cv2.INTER_LINEAR)
    for bone in hand.bones:
        _add_bone(absorbed, bone, hand, factor, spongy)
    for x, y, *axes in hand.sesamoids * factor:
        _add_sesamoid(absorbed, (x, y), axes, hand.scale * factor)
    return _develop(absorbed, hand, factor, rng)


def _chord(depth: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Length of the ray within a round body, at ``depth`` from its outline (all mm)."""
    return 2 * np.sqrt(np.maximum(radius**2 - np.maximum(radius - np.maximum(depth, 0), 0) ** 2, 0))


def _add_bone(absorbed: np.ndarray, bone: Bone, hand: Hand, factor: int, spongy: np.ndarray) -> None:
    """Adds a bone's share to ``absorbed`` (float32, picture at ``factor`` times its size), within its own box."""
    scale = hand.scale * factor
    outline = bone.outline * factor
    pad = 3
    low = np.floor(outline.min(axis=0)).astype(int) - pad
    high = np.ceil(outline.max(axis=0)).astype(int) + pad
    # What the border cuts goes on beyond it: no bright rim there.
    beyond = outline.copy()
    beyond[outline[:, 1] >= absorbed.shape[0]] += (0, 30 * scale)
    high[1] += int(30 * scale) if (outline[:, 1] >= absorbed.shape[0]).any() else 0
    mask = draw_class(PolygonSet.of([(0, beyond - low)], (high[0] - low[0], high[1] - low[1])), 0)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(high, absorbed.shape[::-1])
    depth = np.maximum(depth[top - low[1] : bottom - low[1], left - low[0] : right - low[0]] - 0.5, 0) / scale
    middle = _middle(bone, factor, (left, top, right, bottom))
    radius = bone.depth[0] + (bone.depth[1] - bone.depth[0]) * middle
    shell = bone.cortex[0] + (bone.cortex[1] - bone.cortex[0]) * middle**1.5
    inner = _chord(depth - shell, np.maximum(radius - shell, 0.5))
    core = _CORE + (_MARROW - _CORE) * middle**2
    here = (slice(top, bottom), slice(left, right))
    absorbed[here] += _SHELL * np.maximum(_chord(depth, radius) - inner, 0) + core * inner * spongy[here]


def _middle(bone: Bone, factor: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """float32, 0 at the ends of a bone's axis and 1 in its middle, for the pixels of ``box``; 0 for a carpal."""
    left, top, right, bottom = box
    if bone.axis is None:
        return np.zeros((bottom - top, right - left), np.float32)
    base, tip = bone.axis * factor
    along = (tip - base) / np.sum((tip - base) ** 2)
    x, y = np.arange(left, right) + 0.5 - base[0], np.arange(top, bottom) + 0.5 - base[1]
    part = np.clip(x * along[0] + y[:, None] * along[1], 0, 1).astype(np.float32)
    return np.clip(1.5 * np.sin(np.pi * part) - 0.35, 0, 1)


def _add_sesamoid(absorbed: np.ndarray, centre: tuple[float, float], axes: list[float], scale: float) -> None:
    reach = int(max(axes)) + 2
    left, top = int(centre[0]) - reach, int(centre[1]) - reach
    here = (slice(max(top, 0), max(top + 2 * reach, 0)), slice(max(left, 0), max(left + 2 * reach, 0)))
    rows, columns = absorbed[here].shape
    x = (np.arange(columns) + 0.5 + max(left, 0) - centre[0]) / axes[0]
    y = (np.arange(rows) + 0.5 + max(top, 0) - centre[1]) / axes[1]
    height = np.sqrt(np.maximum(1 - x**2 - y[:, None] ** 2, 0))
    absorbed[here] += (0.045 * 2 * min(axes) / scale * height).astype(np.float32)


def _develop(absorbed: np.ndarray, hand: Hand, factor: int, rng: np.random.Generator) -> np.ndarray:
    """From attenuation to grey values: detector, noise, tone curve, sharpening, marker and collimator."""
    size = hand.size
    scale = hand.scale * factor
    absorbed = cv2.GaussianBlur(absorbed, (0, 0), 0.16 * scale)  # focal spot and detector
    # Equal noise for the same area at every size: averaging over n pixels of the detector leaves 1/sqrt(n).
    grain = 0.03 * rng.uniform(0.6, 1.4) * min(absorbed.shape[0] / 2048, 1.0)
    absorbed = absorbed + rng.standard_normal(absorbed.shape, dtype=np.float32) * (grain * np.exp(0.5 * absorbed))
    if factor > 1:
        absorbed = cv2.resize(absorbed, (size, size), interpolation=cv2.INTER_AREA)
    # Computed radiography sharpens what is fine and evens out what is broad.
    fine, broad = (blurred(absorbed, width * hand.scale) for width in (1.8, 14.0))
    absorbed = absorbed + rng.uniform(0.2, 0.6) * (absorbed - fine) - rng.uniform(0.15, 0.3) * broad
    exposure, gamma = rng.uniform(1.3, 1.8), rng.uniform(1.0, 1.35)
    floor, ceiling = rng.uniform(4, 16), rng.uniform(222, 250)
    share = 1 - np.exp(-exposure * np.maximum(absorbed, 0))
    picture = floor + (ceiling - floor) * (share / (1 - np.exp(-1.5 * exposure))) ** gamma
    picture = np.clip(picture, 0, 255)
    _add_marker(picture, hand, rng)
    if rng.random() < 0.4:
        picture *= _collimator(hand, rng)
    return np.round(picture).clip(0, 255).astype(np.uint8)


def _add_marker(picture: np.ndarray, hand: Hand, rng: np.random.Generator) -> None:
    """A lead letter for the side of the body, in a free corner; one in eight pictures has none."""
    size = hand.size
    there, place, angle = rng.random() > 0.125, rng.uniform(-0.02, 0.02, 2), rng.normal(0, 5)
    if not there:
        return
    # Free is the corner above the thumb; beside the forearm on the little finger's side there is room, too.
    high = rng.random() < 0.5
    thumb_side = 0.12 if hand.side == "R" else 0.88
    centre = np.array([thumb_side, 0.14] if high else [1 - thumb_side, 0.86]) + place
    letter = np.zeros((256, 256), np.uint8)
    (width, height), _ = cv2.getTextSize(hand.side, cv2.FONT_HERSHEY_DUPLEX, 6, 22)
    cv2.putText(letter, hand.side, (128 - width // 2, 128 + height // 2), cv2.FONT_HERSHEY_DUPLEX, 6, 255, 22)
    extent = 0.085 * size / 256
    matrix: np.ndarray = cv2.getRotationMatrix2D((128, 128), angle, extent)
    matrix[:, 2] += centre * size - 128
    soft: np.ndarray = cv2.GaussianBlur(letter, (0, 0), max(0.35 / extent, 0.5))
    alpha: np.ndarray = cv2.warpAffine(soft, matrix, (size, size)).astype(np.float32) / 255
    picture += alpha * (250 - picture)


def _collimator(hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """float32 (size, size): 0 where the beam was shut off, 1 inside, with a narrow half shade between."""
    size = hand.size
    reach = np.concatenate([limb[:, :2] + sign * limb[:, 2:] for limb in hand.limbs for sign in (-1, 1)]) / size
    low = np.maximum(np.minimum(rng.uniform(0.0, 0.06, 2), reach.min(axis=0) - 0.03), 0)
    right = min(max(1 - rng.uniform(0.0, 0.06), reach[:, 0].max() + 0.03), 1)
    angle = np.deg2rad(rng.normal(0, 0.8))
    x = (np.arange(size, dtype=np.float32) + 0.5) / size
    across = x * np.cos(angle) + (x[:, None] - 0.5) * np.sin(angle)
    down = x[:, None] * np.cos(angle) - (x - 0.5) * np.sin(angle)
    inside = np.minimum(np.minimum(across - low[0], right - across), down - low[1])
    return np.clip(inside * 400 + 0.5, 0.12, 1).astype(np.float32)
