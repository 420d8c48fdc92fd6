"""Three imagined centres, each with its endoscope, tissue and polyps, and the sequences filmed there.

The frame sizes, borders and looks follow CVC-ColonDB, CVC-ClinicDB and ETIS-LaribPolypDB; every picture is procedural.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from phantoms.endoscopy import camera as endoscope
from phantoms.endoscopy.camera import Camera, Window
from phantoms.endoscopy.scene import Folds, Polyp, Scene, Tube
from phantoms.endoscopy.shading import Mucosa, Patterns, PolypLook, Tissue, patterns, radiance

_TINTS = {"red": (0.0, -0.4, -0.25), "livid": (-0.2, -0.45, -0.1), "pale": (0.3, 0.12, 0.2)}  # log reflectance


@dataclass(frozen=True)
class Centre:
    """What is filmed at one centre.

    Attributes:
        name: folder of its pictures.
        number: part of the seed of every picture.
        camera: its endoscope.
        tissue: its mucosa.
        folds: shape of the folds.
        gaze: least and greatest angle between the camera and the axis of the colon, radians.
        area: least and greatest share of the frame that the polyp covers, roughly.
        contrast: least and greatest strength of a polyp's own colour (1: the full tint).
        proud: least and greatest height of a sessile polyp's centre over the wall, in its radii.
        stalked: share of polyps on a stalk.
    """

    name: str
    number: int
    camera: Camera
    tissue: Tissue
    folds: Folds
    gaze: tuple[float, float]
    area: tuple[float, float]
    contrast: tuple[float, float]
    proud: tuple[float, float]
    stalked: float


COLONDB = Centre(
    name="CVC-ColonDB",
    number=0,
    camera=Camera(
        size=(574, 500),
        scale=0.6,
        window=Window("octagon", 0.014, 0.022, 0.955, 0.955, 0.135, 1),
        field=0.95,
        brightness=0.70,
        gamma=1.75,
        lift=(0.085, 0.06, 0.06),
        blur=1.0,
        sharpening=0.0,
        noise=1.2,
        quality=92,
        fringe=0.45,
    ),
    tissue=Tissue((0.62, 0.215, 0.105), vessels=0.55, mottle=1.0, fluid=0.08, wetness=1.0, resolution=1024),
    folds=Folds(spacing=1.35, height=0.36, width=0.15),
    gaze=(0.25, 1.0),
    area=(0.012, 0.14),
    contrast=(0.7, 1.3),
    proud=(-0.1, 0.45),
    stalked=0.2,
)
CLINICDB = Centre(
    name="CVC-ClinicDB",
    number=1,
    camera=Camera(
        size=(384, 288),
        scale=1.0,
        window=Window("octagon", 0.112, 0.05, 0.927, 0.972, 0.15, 11),
        field=1.25,
        brightness=0.78,
        gamma=1.7,
        lift=(0.05, 0.045, 0.04),
        blur=0.4,
        sharpening=0.5,
        noise=1.5,
        quality=88,
        fringe=0.0,
    ),
    tissue=Tissue((0.72, 0.255, 0.095), vessels=0.45, mottle=0.8, fluid=0.10, wetness=1.5, resolution=1024),
    folds=Folds(spacing=0.95, height=0.38, width=0.12),
    gaze=(0.05, 0.65),
    area=(0.015, 0.18),
    contrast=(0.7, 1.2),
    proud=(-0.1, 0.6),
    stalked=0.3,
)
ETIS = Centre(
    name="ETIS-LaribPolypDB",
    number=2,
    camera=Camera(
        size=(1225, 966),
        scale=0.5,
        window=Window("circle", -0.03, 0.0, 1.0, 1.0, 0.0, 0),
        field=1.05,
        brightness=0.84,
        gamma=1.75,
        lift=(0.12, 0.055, 0.05),
        blur=1.0,
        sharpening=0.5,
        noise=1.8,
        quality=94,
        fringe=0.0,
    ),
    tissue=Tissue((0.62, 0.232, 0.15), vessels=1.0, mottle=1.0, fluid=0.12, wetness=1.5, resolution=1536),
    folds=Folds(spacing=1.5, height=0.34, width=0.15),
    gaze=(0.3, 0.9),
    area=(0.004, 0.045),
    contrast=(0.5, 1.1),
    proud=(-0.4, 0.3),
    stalked=0.1,
)
CENTRES = (COLONDB, CLINICDB, ETIS)


@dataclass(frozen=True)
class Frame:
    """One picture of a sequence.

    Attributes:
        image: uint8 (height, width, 3), RGB.
        polyp: bool (height, width), the polyp, also where the border hides it.
        visible: uint8 (height, width), 255 inside the endoscope's window.
    """

    image: np.ndarray
    polyp: np.ndarray
    visible: np.ndarray


def film(centre: Centre, seed: int, sequence: int, frames: int) -> Iterator[Frame]:
    """The frames of one sequence: one scene, the camera moving a little from each to the next.

    A frame depends on the centre, the seed and its place alone, not on how many others are made.
    """
    rng = np.random.default_rng([seed, centre.number, sequence + 1])
    colour = np.array(centre.tissue.colour) * np.exp(rng.normal(0, (0.03, 0.11, 0.2)))
    tissue = replace(centre.tissue, colour=tuple(colour), vessels=centre.tissue.vessels * rng.uniform(0.3, 1.2))
    camera = replace(centre.camera, brightness=centre.camera.brightness * rng.uniform(0.85, 1.15))
    bend = rng.uniform(0.3, 0.9), rng.uniform(0, 2 * np.pi)
    tube = Tube(rng, centre.folds, bend[0] * np.array([np.cos(bend[1]), np.sin(bend[1])]))
    mucosa = Mucosa(rng, tissue, tube, _patterns(centre, seed))
    scene, place, gaze = _compose(rng, centre, tube)
    look = _look(rng, centre)
    sweep = rng.normal(0, 1, 6)
    for number in range(frames):
        own = np.random.default_rng([seed, centre.number, sequence + 1, number + 1])
        step = number * sweep + own.normal(0, 0.6, 6)
        for damping in (1.0, 0.4, 0.0):
            moved = (place + damping * step[:3] * (0.02, 0.02, 0.05)).astype(np.float32)
            axes = endoscope.axes(*(gaze + damping * step[3:] * (0.05, 0.05, 0.04)))
            hits = scene.trace(moved, _rays(camera, axes, camera.scale))
            inside = endoscope.visible(camera.window, hits.weight.shape[::-1])
            if np.mean((hits.weight > 0.5) & (inside > 127)) > 0.4 * centre.area[0]:
                break
        light = radiance(mucosa, scene, hits, look, moved, axes)
        image = endoscope.record(camera, endoscope.expose(camera, light, inside), own)
        polyp = cv2.resize(hits.weight, camera.size, interpolation=cv2.INTER_LINEAR) > 0.5
        yield Frame(image, polyp, endoscope.visible(camera.window, camera.size))


@lru_cache(maxsize=len(CENTRES))
def _patterns(centre: Centre, seed: int) -> Patterns:
    return patterns(np.random.default_rng([seed, centre.number]), centre.tissue)


def _rays(camera: Camera, axes: np.ndarray, scale: float) -> np.ndarray:
    width, height = (round(length * scale) for length in camera.size)
    columns, rows = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    return endoscope.rays(camera, *np.meshgrid(columns, rows), axes)


def _compose(rng: np.random.Generator, centre: Centre, tube: Tube) -> tuple[Scene, np.ndarray, np.ndarray]:
    """Choose where the camera is, where it looks (yaw, pitch, roll) and a polyp that covers the wanted area there."""
    camera = centre.camera
    low, high = centre.area
    while True:
        wanted = low * (high / low) ** rng.uniform(0.1, 0.9)
        place = np.array([*rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.5, 0.5)], np.float32)
        around = rng.uniform(0, 2 * np.pi)
        gaze = np.array([np.cos(around), np.sin(around), 0]) * rng.uniform(*centre.gaze)
        gaze[2] = rng.uniform(-np.pi, np.pi)
        rays = _rays(camera, endoscope.axes(*gaze), 64 / camera.size[0])
        wall = Scene(tube, None).trace(place, rays)
        rows, columns = wall.depth.shape
        row, column = int(rows * rng.uniform(0.25, 0.75)), int(columns * rng.uniform(0.25, 0.75))
        depth = float(wall.depth[row, column])
        radius = depth * np.sqrt(wanted * rows * columns / np.pi) / (columns / 2) * camera.field
        if wall.depth.min() < 0.25 or not 0.45 < depth < 2.2 or not 0.03 < radius < 0.45 * min(depth, 1):
            continue
        foot = np.array([component[row, column] for component in wall.point])
        inward = np.array([component[row, column] for component in wall.normal])
        scene = Scene(tube, _polyp(rng, centre, foot, inward, radius))
        polyp = scene.trace(place, rays).weight > 0.5
        covered = np.mean(polyp & (endoscope.visible(camera.window, (columns, rows)) > 127))
        if 0.6 < covered / wanted < 1.6:
            return scene, place, gaze


def _polyp(rng: np.random.Generator, centre: Centre, foot: np.ndarray, inward: np.ndarray, radius: float) -> Polyp:
    """A polyp growing ``inward`` from ``foot``: sessile, lobed or on a stalk."""
    side = np.cross(inward, rng.normal(size=3))
    side /= np.linalg.norm(side)
    wide = rng.uniform(0.65, 1.0)  # below 1: longer along one side
    stretch = np.stack([inward, wide * side, np.cross(inward, side)])
    stalk = None
    if rng.uniform() < centre.stalked:
        radius *= 0.85
        lean = rng.uniform(0, 2 * np.pi)
        aside = rng.uniform(0.2, 1.2)
        middle = radius * np.array([rng.uniform(0.7, 1.3), aside * np.cos(lean), aside * np.sin(lean)])
        stalk = np.array([-0.2 * radius, 0, 0, *middle, radius * rng.uniform(0.35, 0.5)], np.float32)
    else:
        middle = radius * np.array([rng.uniform(*centre.proud), 0, 0])
    lobes = [(*middle, radius)]
    for _ in range(int(rng.choice((0, 1, 2, 3), p=(0.3, 0.25, 0.25, 0.2)))):
        around, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.95) * radius
        at = middle + away * np.array([rng.uniform(-0.3, 0.5), np.cos(around), np.sin(around)])
        lobes.append((*at, radius * rng.uniform(0.45, 0.8)))
    lumps = radius * rng.uniform(0.01, 0.08), rng.uniform(1.5, 3.5) / radius
    foot, stretch, balls = (np.asarray(part, np.float32) for part in (foot, stretch, lobes))
    return Polyp(foot, stretch, balls, stalk, lumps, float(radius * rng.uniform(0.25, 0.6)))


def _look(rng: np.random.Generator, centre: Centre) -> PolypLook:
    tint = np.array(_TINTS[str(rng.choice(list(_TINTS), p=(0.65, 0.2, 0.15)))])
    return PolypLook(tuple(np.exp(tint * rng.uniform(*centre.contrast))), grain=float(rng.uniform(0.4, 1.4)))
