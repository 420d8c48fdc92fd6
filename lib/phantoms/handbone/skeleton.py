"""The bones of an imagined patient's hand, posed in a picture.

The hand is built in millimetres in the frame of the right wrist (see :mod:`phantoms.handbone.outlines`)
and then moved into the picture: fingers up, forearm leaving through the lower border, the thumb of a right hand on the
left as in a frontal view from the back of the hand, a left hand mirrored.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from medseg.studies.handbone import bones
from phantoms.handbone import flesh as hand_flesh
from phantoms.handbone import outlines as hand_outlines
from phantoms.handbone.outlines import LONG_BONES, cut_to_picture, long_bone, resampled, smooth_outline
from phantoms.handbone.patient import Patient, Seed, generator, imagine_patient

Side = Literal["L", "R"]

# Middle of each metacarpal's base (mm, wrist frame), its direction (degrees, 0 up, positive to the little finger),
# slope of the base, and the finger's further turns at its joints, from knuckle to tip.
_RAYS = {
    "thumb": ((-26.7, -8.9), -42.0, 0.0, (12.0, 5.0)),
    "index finger": ((-12.4, -14.8), -8.5, 0.18, (1.0, 1.0, 0.5)),
    "middle finger": ((1.2, -12.9), -1.0, -0.08, (1.0, -0.5, -0.5)),
    "ring finger": ((12.6, -13.9), 7.0, -0.12, (0.5, -1.5, -1.0)),
    "little finger": ((21.0, -10.4), 14.5, -0.3, (2.5, -3.0, -1.5)),
}
_SPREAD = {"thumb": -0.6, "index finger": -0.9, "middle finger": 0.0, "ring finger": 0.6, "little finger": 1.3}
_WRIST = np.array([1.0, 8.0])  # about which the forearm turns, mm
_FIELD = 264.0  # side of the picture at the patient's hand, mm
_SPACING = 1.35  # between the points of an outline, mm


@dataclass(frozen=True)
class Bone:
    """One bone in the picture.

    Attributes:
        name: one of :data:`medseg.studies.handbone.bones.CLASSES`.
        outline: float64 (n, 2), corners (x, y) in pixels as they are labelled.
        axis: float64 (2, 2), its two ends in pixels; None for a carpal.
        depth: half its thickness at the ends and in the middle, mm.
        cortex: thickness of its dense shell at the ends and in the middle, mm.
    """

    name: str
    outline: np.ndarray
    axis: np.ndarray | None
    depth: tuple[float, float]
    cortex: tuple[float, float]


@dataclass(frozen=True)
class Hand:
    """All bones of a hand in a square picture of ``size`` pixels.

    Attributes:
        patient: whose hand.
        side: of the body.
        size: of the picture, in pixels.
        scale: pixels for each mm.
        bones: in the order of the classes.
        limbs: (n, 2, 3), tapering pieces of flesh: (x, y, radius) of both ends, in pixels.
        webs: outlines of flesh that joins the limbs, each (n, 2) in pixels.
        sesamoids: (n, 4), small unlabelled bones: x, y and both half axes, in pixels.
    """

    patient: Patient
    side: Side
    size: int
    scale: float
    bones: tuple[Bone, ...]
    limbs: np.ndarray
    webs: tuple[np.ndarray, ...]
    sesamoids: np.ndarray


def pose_hand(seed: Seed, size: int, side: Side) -> Hand:
    """The hand of :func:`imagine_patient`'s person with the same seed.

    Both hands of a person have bones of the same shape, one the mirror image of the other, held a little differently;
    the same hand at another ``size`` is the same but for the rounding of its outlines: to whole pixels from 2048 on,
    to tenths below.

    Args:
        seed: 0 or more, or several such numbers.
        size: of the picture's sides, in pixels.
        side: of the body.
    """
    patient = imagine_patient(seed)
    shape = generator(seed, 2)
    pose = generator(seed, 3, side == "R")
    build = _Builder(patient, shape, pose)
    move, scale = build.placement(size, side)
    drawn = {}
    for name, (outline, axis, depth, cortex) in build.parts.items():
        ends = None if axis is None else move(axis)
        drawn[name] = Bone(name, _labelled(move(outline), size, scale), ends, depth, cortex)
    limbs = build.limbs
    flesh = np.concatenate([move(limbs[..., :2].reshape(-1, 2)).reshape(-1, 2, 2), limbs[..., 2:] * scale], axis=2)
    extra = np.array(build.sesamoids)
    extra = np.concatenate([move(extra[:, :2]), extra[:, 2:] * scale], axis=1)
    ordered = tuple(drawn[name] for name in bones.CLASSES)
    return Hand(patient, side, size, scale, ordered, flesh, tuple(move(web) for web in build.webs), extra)


def _labelled(outline: np.ndarray, size: int, scale: float) -> np.ndarray:
    """A dense outline in pixels as a person would label it: cut at the border, some dozen corners, rounded."""
    inside = cut_to_picture(outline, size)
    border = (inside == 0).any(axis=1) | (inside == size).any(axis=1)
    around = np.linalg.norm(np.diff(inside, axis=0, append=inside[:1]), axis=1).sum()
    count = int(np.clip(around / scale / _SPACING, 34, 112))
    return np.round(resampled(inside, count, border), 0 if size >= 2048 else 1)


class _Builder:
    """Puts a hand together, bone after bone, in mm; ``parts`` maps names to outline, axis, depth and cortex."""

    def __init__(self, patient: Patient, shape: np.random.Generator, pose: np.random.Generator):
        self.patient, self.shape, self.pose = patient, shape, pose
        female = patient.sex == "F"
        # A hand is about 10.8 % of the height; women's bones are narrower for their length.
        self.size = patient.height / 175 * float(np.clip(shape.normal(1, 0.025), 0.95, 1.05))
        self.breadth = (0.95 if female else 1.0) * float(np.clip(shape.normal(1, 0.03), 0.93, 1.07))
        self.gap = 1.9 - 0.012 * (patient.age - 20) + shape.normal(0, 0.1)  # cartilage wears thin
        self.cortex = 1 - 0.006 * max(patient.age - 45, 0) * (1.4 if female else 1.0)
        self.swell = 1 + 0.0022 * max(patient.age - 40, 0)  # bony spurs widen the joints of the aged
        girth = float(np.clip(1 + 0.018 * (patient.body_mass_index - 23), 0.92, 1.2)) * (0.93 if female else 1)
        self.spread = float(pose.uniform(0.0, 5.5))
        self.parts: dict[str, tuple[np.ndarray, np.ndarray | None, tuple[float, float], tuple[float, float]]] = {}
        self.sesamoids: list[tuple[float, float, float, float]] = []
        joints = {finger: self._finger(finger) for finger in bones.FINGERS}
        # The wrist is never quite straight: the forearm is turned about the head of the capitate.
        self.bend = _turn(shape.normal(0, 1.0) + pose.normal(0, 2.2))
        self._carpals()
        self._forearm()
        self.limbs = hand_flesh.limbs(joints, girth)
        palm, fold, arm = hand_flesh.webs(joints, girth)
        self.webs = palm, fold, self._bent(arm)

    def _finger(self, finger: str) -> np.ndarray:
        """Adds the bones of a finger; returns its joints (n, 2), from the metacarpal's base to the tip."""
        start, angle, tilt, turns = _RAYS[finger]
        along = float(self.shape.normal(1, 0.02))  # length of this finger
        angle += self.shape.normal(0, 1.0) + 0.3 * self.spread * _SPREAD[finger] + self.pose.normal(0, 0.5)
        if finger == "thumb":
            angle += self.pose.normal(0, 4.0)
        at = np.array(start) + self.shape.normal(0, 0.25, 2)
        joints = [at]
        for number, (name, sizes) in enumerate(zip(reversed(bones.FINGERS[finger]), LONG_BONES[finger], strict=True)):
            if number:
                loose = 3.0 if finger == "thumb" else 1.6
                angle += turns[number - 1] + self.shape.normal(0, 1.0) + self.pose.normal(0, loose)
                angle += self.spread * _SPREAD[finger] if number == 1 else 0
            width = self.breadth * float(self.shape.normal(1, 0.02))
            length = sizes.length * along * float(self.shape.normal(1, 0.015))
            ends = width * self.swell
            sizes = sizes._replace(length=length, base=sizes.base * ends, shaft=sizes.shaft * width)
            sizes = sizes._replace(head=sizes.head * ends)
            lean = float(self.shape.normal(0, 0.03))
            corners = long_bone(sizes, lean=lean, tilt=0 if number else tilt)
            outline = smooth_outline(corners, self.shape, 0.16)
            direction = _direction(angle)
            across = np.array([-direction[1], direction[0]])
            placed = at + outline[:, :1] * across + outline[:, 1:] * direction
            end = at + length * direction
            thick = (0.42 * sizes.base, 0.5 * sizes.shaft)
            shell = (0.6, 0.2 * sizes.shaft * self.cortex)
            self.parts[name] = placed, np.stack([at, end]), thick, shell
            if finger == "thumb" and number == 0:
                for shift in (-4.2, 3.6):
                    spot = end - 2.5 * direction + shift * across
                    self.sesamoids.append((*spot, *self.shape.uniform(1.7, 2.5, 2)))
            at = end + self.gap * direction
            joints.append((end + at) / 2)
        joints[-1] = end
        return np.array(joints)

    def _carpals(self) -> None:
        for name, corners in hand_outlines.CARPAL_CORNERS.items():
            outline = smooth_outline(np.array(corners), self.shape, 0.22)
            middle = outline.mean(axis=0)
            turned = (outline - middle) @ _turn(self.shape.normal(0, 2.5) + self.pose.normal(0, 1.0)).T
            # Worn cartilage: the bones stand closer.
            grown = turned * (self.shape.normal(1.06, 0.02) + 0.02 * (1.6 - self.gap))
            place = middle + self.shape.normal(0, 0.3, 2) + self.pose.normal(0, 0.2, 2)
            depth = 4.5 if name == "Pisiform" else 7.0
            self.parts[name] = place + grown, None, (depth, depth), (0.6, 0.6)

    def _forearm(self) -> None:
        variance = self.shape.normal(0, 1.0)  # the ulna is longer in some, shorter in others
        for name, corners in hand_outlines.FOREARM_CORNERS.items():
            outline = smooth_outline(np.array(corners), self.shape, 0.25)
            axis = np.array([[-9.0, 22.0], [-9.0, 122.0]]) if name == "Radius" else np.array([[15.0, 26], [15.0, 106]])
            shift = (0, 0) if name == "Radius" else (0.0, variance)
            depth = (10.5, 6.5) if name == "Radius" else (7.0, 5.5)
            placed = self._bent(outline + shift), self._bent(axis + shift)
            self.parts[name] = *placed, depth, (0.7, 2.9 * self.cortex)

    def _bent(self, points: np.ndarray) -> np.ndarray:
        return _WRIST + (points - _WRIST) @ self.bend.T

    def placement(self, size: int, side: Side):
        """The map from mm to pixels of a picture, as a function of points (n, 2), and its scale in pixels per mm."""
        turn = _turn(float(np.clip(self.pose.normal(0, 4.0), -10, 10)))
        mirror = np.array([1.0 if side == "R" else -1.0, 1.0])
        upright = (self.limbs[..., :2].reshape(-1, 2) @ turn.T) * mirror
        radii = self.limbs[..., 2].reshape(-1)
        low, high = (upright - radii[:, None]).min(axis=0), (upright + radii[:, None]).max(axis=0)
        # As large as life on the detector; only what would not fit is made to.
        share = self.pose.uniform(0.98, 1.03) * self.size / _FIELD
        share = min(share, 0.95 / (high[0] - low[0]), 0.8 / (12 - low[1]))
        scale = share * size
        slack = 1 - share * (high[0] - low[0])
        left = np.clip(0.5 * slack + self.pose.normal(0, 0.02), 0.02, slack - 0.02)
        top = self.pose.uniform(0.035, 0.08)
        offset = np.array([left, top]) * size - scale * low

        def move(points: np.ndarray) -> np.ndarray:
            return (points @ turn.T) * mirror * scale + offset

        return move, scale


def _direction(degrees: float) -> np.ndarray:
    """Unit vector; 0 points up, positive to the right."""
    angle = np.deg2rad(degrees)
    return np.array([np.sin(angle), -np.cos(angle)])


def _turn(degrees: float) -> np.ndarray:
    """Rotation matrix, clockwise in a picture whose y points down."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
