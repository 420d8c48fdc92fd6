"""The endoscope: its wide lens, exposure, the blur and noise of its picture, and the black border of its monitor."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np


@dataclass(frozen=True)
class Window:
    """The part of the frame in which there is a picture.

    Attributes:
        shape: ``octagon`` or ``circle``.
        left, top, right, bottom: edges as shares of the frame; a circle may be cut off by the frame.
        corner: length of the octagon's cut corners as share of the frame's height.
        black: grey level of the border, 0..255.
    """

    shape: Literal["octagon", "circle"]
    left: float
    top: float
    right: float
    bottom: float
    corner: float
    black: int


@dataclass(frozen=True)
class Camera:
    """Optics and electronics of one centre's endoscope.

    Attributes:
        size: width and height of the frame, pixels.
        scale: pixels rendered per pixel of the frame (at most 1).
        window: where the picture is.
        field: angle from the middle of the frame to the middle of its left edge, radians.
        brightness: share of the range that the 80th percentile of the exposed picture reaches.
        gamma: of the tone curve.
        lift: RGB added to black, share of the range.
        blur: standard deviation of the defocus, pixels of the frame; drawn anew for each frame around this value.
        sharpening: strength of the edge enhancement.
        noise: standard deviation, grey levels.
        quality: JPEG quality of the recording.
        fringe: shift between the colour channels when the camera moves, pixels (field-sequential colour).
    """

    size: tuple[int, int]
    scale: float
    window: Window
    field: float
    brightness: float
    gamma: float
    lift: tuple[float, float, float]
    blur: float
    sharpening: float
    noise: float
    quality: int
    fringe: float


def visible(window: Window, size: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width) of 0..255: how far each pixel of a frame of ``size`` lies inside the window."""
    width, height = size
    fine = 4
    inside = np.zeros((height, width), np.uint8)
    left, right, top, bottom = window.left * width, window.right * width, window.top * height, window.bottom * height
    if window.shape == "circle":
        centre = round((left + right) / 2 * 2**fine), round((top + bottom) / 2 * 2**fine)
        cv2.circle(inside, centre, round((right - left) / 2 * 2**fine), 255, -1, cv2.LINE_AA, fine)
        return inside
    cut = window.corner * height
    corners = [
        (left + cut, top), (right - cut, top), (right, top + cut), (right, bottom - cut),
        (right - cut, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut),
    ]  # fmt: skip
    cv2.fillPoly(inside, [np.round(np.array(corners) * 2**fine).astype(np.int32)], 255, cv2.LINE_AA, fine)
    return inside


def axes(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation (3, 3), float32: columns are the camera's right, down and forward in scene coordinates; radians."""
    cy, sy, cp, sp, cr, sr = (f(v) for v in (yaw, pitch, roll) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (turn @ nod @ lean).astype(np.float32)


def rays(camera: Camera, columns: np.ndarray, rows: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Unit vectors (3, ...) through places of the frame, given as shares of its width and height (0..1).

    The lens is equidistant: the angle from the optical axis is proportional to the distance from the middle.
    """
    width, height = camera.size
    u = (np.asarray(columns, np.float32) - 0.5) * 2
    v = (np.asarray(rows, np.float32) - 0.5) * (2 * height / width)
    away = np.sqrt(u * u + v * v) + 1e-6
    angle = np.minimum(away * camera.field, 1.5)
    sine = np.sin(angle) / away
    return np.tensordot(orientation, np.stack([sine * u, sine * v, np.cos(angle)]).astype(np.float32), axes=1)


def expose(camera: Camera, radiance: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Linear light (h, w, 3) to a picture of 0..1 (h, w, 3): automatic gain, film-like shoulder, gamma, vignette."""
    height, width = radiance.shape[:2]
    level = np.quantile(radiance[..., 0][inside > 127][::7], 0.8)
    target = -np.log1p(-(camera.brightness**camera.gamma))
    u = np.linspace(-1, 1, width, dtype=np.float32)[None]
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - 0.28 * np.clip(u * u + v * v, 0, 2)
    signal = 1 - np.exp(radiance * (vignette * -(target / max(float(level), 1e-6)))[..., None])
    lift = np.array(camera.lift, np.float32)
    return lift + (1 - lift) * np.power(signal, np.float32(1 / camera.gamma))


def record(camera: Camera, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the camera stores: motion, defocus, colour fringes, edge enhancement, noise, compression, black border.

    Args:
        camera: the endoscope.
        picture: float32 (h, w, 3) of 0..1, at the size rendered.
        rng: of this frame.

    Returns:
        uint8 (height, width, 3), RGB, of the camera's frame size.
    """
    width, height = camera.size
    rendered = picture.shape[1::-1]
    scale = rendered[0] / width
    length, direction = rng.gamma(1.2, 0.0022) * rendered[0], rng.uniform(0, 2 * np.pi)
    picture = _moved(picture, length, direction)
    sigma = camera.blur * rng.uniform(0.6, 1.5) * scale
    if sigma > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    if camera.fringe:
        step = camera.fringe * length * np.array([np.cos(direction), np.sin(direction)])
        for channel, sign in ((0, 1), (2, -1)):
            shift = np.array([[1, 0, sign * step[0]], [0, 1, sign * step[1]]], np.float32)
            picture[..., channel] = cv2.warpAffine(
                picture[..., channel], shift, rendered, borderMode=cv2.BORDER_REPLICATE
            )
    if camera.sharpening:
        picture += camera.sharpening * (picture - cv2.GaussianBlur(picture, (0, 0), rendered[0] / 330))
    levels: np.ndarray = cv2.resize(picture * 255, camera.size, interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.standard_normal((height, width), dtype=np.float32), (0, 0), 0.7)[..., None]
    levels += 2 * camera.noise * grain
    inside = visible(camera.window, camera.size)
    border = inside < 255
    share = inside[border][:, None].astype(np.float32) / 255
    black = camera.window.black + 0.5 * grain[border]
    levels[border] = black + share * (levels[border] - black)
    stored = np.clip(levels, 0, 255, out=levels).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    decoded: np.ndarray = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return decoded[..., ::-1].copy()


def _moved(picture: np.ndarray, length: float, direction: float) -> np.ndarray:
    """Blur along a straight line of ``length`` pixels."""
    if length < 1.5:
        return picture
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    middle, reach = side // 2, length / 2
    ends = [
        (round(middle + sign * reach * np.cos(direction)), round(middle + sign * reach * np.sin(direction)))
        for sign in (-1, 1)
    ]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())
