"""Frames of imagined gastroscopies: what the endoscope's recorder stores, with its text panel, and the lesion in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from phantoms.endoscopy import camera as endoscope
from phantoms.endoscopy.camera import Camera, Window
from phantoms.endoscopy.scene import Scene
from phantoms.endoscopy.shading import Mucosa, Patterns, Tissue, patterns
from phantoms.gastric.scene import Lesion, Stomach, absent, grow, light

_TISSUE = Tissue((0.66, 0.235, 0.125), vessels=0.22, mottle=0.9, fluid=0.05, wetness=1.2, resolution=768)


@dataclass(frozen=True)
class Recorder:
    """One make of endoscope with its recorder.

    Attributes:
        size: width and height of a stored frame, pixels.
        place: left and top of the endoscope's picture in the frame, pixels.
        camera: the endoscope; its ``size`` is that of the picture.
        text_height: of a line of the panel, pixels.
        panel: width of the widest line of the panel below its head, pixels.
    """

    size: tuple[int, int]
    place: tuple[int, int]
    camera: Camera
    text_height: int
    panel: int


def _camera(size: tuple[int, int]) -> Camera:
    return Camera(
        size=size, scale=0.62, window=Window("octagon", 0.002, 0.002, 0.998, 0.998, 0.15, 2), field=1.0,
        brightness=0.76, gamma=1.75, lift=(0.05, 0.035, 0.035), blur=0.8, sharpening=0.3, noise=1.3, quality=93,
        fringe=0.0,
    )  # fmt: skip


# The published geometry (text left of x = 142, and up to 170 in the top 50 rows) fits the first, not the second.
VGA = Recorder((640, 480), (150, 14), _camera((480, 452)), 13, 132)
PAL = Recorder((720, 576), (216, 30), _camera((490, 516)), 17, 196)
RECORDERS = (VGA, PAL)


@dataclass(frozen=True)
class Frame:
    """One stored frame.

    Attributes:
        image: uint8 (height, width, 3), RGB, with the burned-in panel.
        lesion: bool (height, width), the visible lesion; all False where there is none.
        window: bool (height, width), where the endoscope's picture is.
    """

    image: np.ndarray
    lesion: np.ndarray
    window: np.ndarray


def film(recorder: Recorder, seed: int, patient: int, phase: int, shows: tuple[bool, ...]) -> Iterator[Frame]:
    """The frames of one patient.

    Args:
        recorder: which stores them.
        seed: of the whole sample.
        patient: number, from 1.
        phase: of the lesion, 1 to 4; a patient has one.
        shows: for each frame whether the lesion is in it; frames without are of another part of the stomach.
    """
    rng = np.random.default_rng([seed, patient])
    colour = np.array(_TISSUE.colour) * np.exp(rng.normal(0, (0.03, 0.10, 0.16)))
    tissue = replace(_TISSUE, colour=tuple(colour), vessels=_TISSUE.vessels * rng.uniform(0.4, 1.3))
    camera = replace(recorder.camera, brightness=recorder.camera.brightness * rng.uniform(0.92, 1.08))
    bend = rng.uniform(0.2, 0.7), rng.uniform(0, 2 * np.pi)
    wall = Stomach(rng, rng.uniform(0.06, 0.18), bend[0] * np.array([np.cos(bend[1]), np.sin(bend[1])]))
    mucosa = Mucosa(rng, tissue, wall, _patterns(seed))
    lesion, place, gaze = _compose(rng, camera, wall, phase)
    window = _window(recorder)
    for number, present in enumerate(shows):
        own = np.random.default_rng([seed, patient, number + 1])
        scene = Scene(wall, lesion.body if present and lesion.body else absent())
        for damping in (1.0, 0.5, 0.0):
            moved = (place + damping * own.normal(0, (0.03, 0.03, 0.06))).astype(np.float32)
            turned = gaze + damping * own.normal(0, (0.06, 0.06, 0.3))
            if not present:
                moved, turned = _elsewhere(own, wall, camera, moved)
            axes = endoscope.axes(*turned)
            hits = scene.trace(moved, _rays(camera, axes, camera.scale))
            cover = lesion.cover(hits) if present else np.zeros_like(hits.depth)
            if not present or 0.03 < np.mean(cover > 0.5) < 0.4:
                break
        lit = light(mucosa, scene, hits, lesion if present else None, moved, axes)
        inside = endoscope.visible(camera.window, hits.depth.shape[::-1])
        picture = endoscope.record(camera, endoscope.expose(camera, lit, inside), own)
        image, seen = (np.zeros((recorder.size[1], recorder.size[0], *extra), np.uint8) for extra in ((3,), ()))
        left, top = recorder.place
        area = slice(top, top + camera.size[1]), slice(left, left + camera.size[0])
        image[area] = picture
        seen[area] = cv2.resize(cover, camera.size, interpolation=cv2.INTER_LINEAR) > 0.5
        _write_panel(image, recorder, patient, number)
        yield Frame(image, _largest(seen & window), window)


def outline(lesion: np.ndarray) -> np.ndarray:
    """Polygon (N, 2) round a lesion (H, W), as an annotator would click it: x and y in pixels, one decimal.

    Pixel (row i, column j) covers [j, j + 1) x [i, i + 1).
    """
    fine = 4
    large = cv2.resize(lesion.astype(np.uint8) * 255, None, fx=fine, fy=fine, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((large > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 2.5, True)
    return np.round((contour[:, 0].astype(float) + 0.5) / fine, 1)


@lru_cache(maxsize=2)
def _patterns(seed: int) -> Patterns:
    return patterns(np.random.default_rng([seed, 0]), _TISSUE)


def _rays(camera: Camera, axes: np.ndarray, scale: float) -> np.ndarray:
    width, height = (round(length * scale) for length in camera.size)
    columns, rows = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    return endoscope.rays(camera, *np.meshgrid(columns, rows), axes)


def _compose(
    rng: np.random.Generator, camera: Camera, wall: Stomach, phase: int
) -> tuple[Lesion, np.ndarray, np.ndarray]:
    """Choose where the camera is, where it looks (yaw, pitch, roll), and a lesion that is well in view there."""
    while True:
        wanted = rng.uniform(0.07, 0.12) if phase < 3 else rng.uniform(0.10, 0.18)
        place = np.array([*rng.uniform(-0.25, 0.25, 2), rng.uniform(-0.5, 0.5)], np.float32)
        around = rng.uniform(0, 2 * np.pi)
        gaze = np.array([np.cos(around), np.sin(around), 0]) * rng.uniform(0.45, 0.95)
        gaze[2] = rng.uniform(-np.pi, np.pi)
        rays = _rays(camera, endoscope.axes(*gaze), 72 / camera.size[0])
        hits = Scene(wall, absent()).trace(place, rays)
        rows, columns = hits.depth.shape
        row, column = int(rows * rng.uniform(0.35, 0.65)), int(columns * rng.uniform(0.35, 0.65))
        depth = float(hits.depth[row, column])
        inward = np.array([component[row, column] for component in hits.normal])
        facing = float(-inward @ rays[:, row, column])
        if hits.depth.min() < 0.3 or not 0.6 < depth < 1.9 or facing < 0.45:
            continue
        radius = depth * np.sqrt(wanted * rows * columns / np.pi / facing) / (columns / 2) * camera.field
        foot = np.array([component[row, column] for component in hits.point])
        lesion = grow(rng, phase, foot, inward, float(min(radius, 0.5)))
        hits = Scene(wall, lesion.body or absent()).trace(place, rays)
        if 0.6 < np.mean(lesion.cover(hits) > 0.5) / wanted < 1.6:
            return lesion, place, gaze


def _elsewhere(
    rng: np.random.Generator, wall: Stomach, camera: Camera, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A place and a gaze further down the chamber, not too near the wall."""
    while True:
        moved = (place * (0.5, 0.5, 1) + (0, 0, rng.uniform(2.2, 4.5))).astype(np.float32)
        middle_x, middle_y = wall.centre(np.array([[moved[2]]], np.float32))
        moved[:2] += (float(middle_x[0, 0]), float(middle_y[0, 0]))
        gaze = np.array([*rng.uniform(-0.6, 0.6, 2), rng.uniform(-np.pi, np.pi)])
        rays = _rays(camera, endoscope.axes(*gaze), 40 / camera.size[0])
        if Scene(wall, absent()).trace(moved, rays).depth.min() > 0.3:
            return moved, gaze


def _window(recorder: Recorder) -> np.ndarray:
    window = np.zeros((recorder.size[1], recorder.size[0]), bool)
    left, top = recorder.place
    inside = endoscope.visible(recorder.camera.window, recorder.camera.size)
    window[top : top + inside.shape[0], left : left + inside.shape[1]] = inside > 127
    return window


def _largest(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask, bool)
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def _write_panel(image: np.ndarray, recorder: Recorder, patient: int, number: int) -> None:
    """Burn in the text that such recorders put beside the picture; the person is invented."""
    step, scale = recorder.text_height, recorder.text_height / 30
    head = f"SAMPLE {patient:03d}", "NOBODY"
    body = (
        f"ID {90000 + patient:08d}", f"{'MF'[patient % 2]} {41 + 3 * patient % 40} Y", "01/02/2001",
        f"{9 + patient % 8:02d}:{7 * number % 60:02d}:{(13 * patient + 29 * number) % 60:02d}", "",
        f"CVP A{patient % 5}", "ENH:A1 C:N", f"NO. {number + 1:03d}", "", "PHYSICIAN", "SAMPLE DATA",
    )  # fmt: skip
    font, grey = cv2.FONT_HERSHEY_SIMPLEX, (208, 208, 208)
    for line, text in enumerate(head):
        cv2.putText(image, text, (8, 20 + line * round(1.4 * step)), font, scale * 1.15, grey, 1, cv2.LINE_AA)
    for line, text in enumerate(body):
        width = cv2.getTextSize(text, font, scale, 1)[0][0]
        fitted = scale * min(1.0, (recorder.panel - 8) / max(width, 1))
        place = 8, 90 + line * round(1.9 * step)
        cv2.putText(image, text, place, font, fitted, grey, 1, cv2.LINE_AA)
    place = recorder.size[0] * 8 // 640, recorder.size[1] - 60
    cv2.rectangle(image, place, (place[0] + recorder.panel - 14, place[1] + 34), (58, 74, 92), -1)
    cv2.putText(image, "EXAM", (place[0] + 8, place[1] + 22), font, scale, (230, 230, 230), 1, cv2.LINE_AA)
