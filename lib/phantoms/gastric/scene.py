"""Geometry and light of a gastroscopy scene: a wide chamber with rugae, and lesions of four phases on its wall.

The ray tracer, mucosa and lamps are those of the colonoscopy sample; lengths are in units of the chamber's radius.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from phantoms.endoscopy.scene import _MAP, PERIOD, Hits, Polyp, Scene, Tube
from phantoms.endoscopy.shading import Mucosa, PolypLook, radiance
from phantoms.texture import fractal_noise, smooth_noise

PHASES = (1, 2, 3, 4)
_SLOUGH = np.array((0.74, 0.62, 0.34), np.float32)  # fibrin on the floor of an ulcer, linear reflectance
_BLOOD = np.array((0.30, 0.02, 0.015), np.float32)
_TILE = 512


class Stomach(Tube):
    """Wall of the stomach: rugae that run along the chamber and thin out, in place of the colon's rings.

    The maps and their meaning are those of :class:`Tube`.
    """

    def __init__(self, rng: np.random.Generator, rugae: float, bend: np.ndarray) -> None:
        rows, columns = _MAP
        self.bend = bend.astype(np.float32)
        z = (np.arange(rows, dtype=np.float32) * (PERIOD / rows))[:, None]
        angle = (np.arange(columns, dtype=np.float32) * (2 * np.pi / columns))[None]
        radius = 1.15 + 0.12 * smooth_noise(rng, _MAP, (4, 3)) + 0.010 * fractal_noise(rng, _MAP, (14, 12), 2)
        ripple = smooth_noise(rng, _MAP, (10, 5))
        fades = np.clip(0.75 + 0.5 * smooth_noise(rng, _MAP, (5, 4)), 0, 1.4)
        for centre in np.linspace(0, 2 * np.pi, 11, endpoint=False) + rng.uniform(-0.22, 0.22, 11):
            meander = 0.22 * np.sin(2 * np.pi * z / PERIOD * rng.integers(1, 4) + rng.uniform(0, 2 * np.pi))
            away = (angle - centre - meander - 0.05 * ripple + np.pi) % (2 * np.pi) - np.pi
            height = rugae * rng.uniform(0.4, 1.2)
            radius -= height * fades * np.exp(-np.square(away / rng.uniform(0.07, 0.12)))
        # One circular fold: the angular notch, behind which the antrum begins.
        away = (z - 0.62 * PERIOD - 0.12 * np.sin(angle + rng.uniform(0, 2 * np.pi)) + PERIOD / 2) % PERIOD - PERIOD / 2
        radius -= 0.2 * (0.6 + 0.5 * np.cos(angle - rng.uniform(0, 2 * np.pi))) * np.exp(-np.square(away / 0.2))
        self._settle(radius, least=0.35, softness=1.6)


@dataclass(frozen=True)
class Lesion:
    """A lesion of one phase on the wall.

    Attributes:
        phase: 1 (early: flat and pale), 2 (elevated, granular), 3 (ulcer with a raised rim), 4 (fungating mass).
        foot: (3,) its middle on the wall.
        frame: (3, 3) rows: into the chamber, and two directions along the wall.
        radius: its mean radius along the wall.
        outline: (5,) strengths of the waves of its edge, as shares of the radius, and (5,) their phases.
        body: what grows over the wall; None for phases 1 and 3.
    """

    phase: int
    foot: np.ndarray
    frame: np.ndarray
    radius: float
    outline: tuple[np.ndarray, np.ndarray]
    body: Polyp | None

    def coordinates(self, hits: Hits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Along the wall in units of the lesion's own edge (0 middle, 1 edge) and direction, and height over it."""
        x, y, z = (component - at for component, at in zip(hits.point, self.foot, strict=True))
        height, side, other = (row[0] * x + row[1] * y + row[2] * z for row in self.frame)
        away, around = cv2.cartToPolar(side, other)
        edge = np.ones_like(away)
        for wave, (strength, phase) in enumerate(zip(*self.outline, strict=True), 2):
            edge += strength * np.cos(wave * around + phase)
        return away / (self.radius * edge), around, height

    def cover(self, hits: Hits) -> np.ndarray:
        """float32 (h, w) of 0..1: how far each pixel shows the lesion (half at its edge)."""
        if self.body is not None:
            return hits.weight
        share, _, height = self.coordinates(hits)
        soft = np.clip((1 - share) / 0.08 + 0.5, 0, 1)
        return (soft * (np.abs(height) < 0.6 * self.radius)).astype(np.float32)


def grow(rng: np.random.Generator, phase: int, foot: np.ndarray, inward: np.ndarray, radius: float) -> Lesion:
    """A lesion of ``phase`` with its middle at ``foot``, growing ``inward`` (unit vector)."""
    side = np.cross(inward, rng.normal(size=3))
    side /= np.linalg.norm(side)
    frame = np.stack([inward, side, np.cross(inward, side)]).astype(np.float32)
    outline = rng.normal(0, 0.09, 5) / np.arange(1, 6) ** 0.5, rng.uniform(0, 2 * np.pi, 5)
    body = _body(rng, phase, foot, frame, radius) if phase in (2, 4) else None
    return Lesion(phase, foot.astype(np.float32), frame, radius, outline, body)


def absent() -> Polyp:
    """A body that no ray meets, for scenes in which nothing grows."""
    lobe = np.array([[0, 0, 0, 0.01]], np.float32)
    return Polyp(np.array((0, 0, -99), np.float32), np.eye(3, dtype=np.float32), lobe, None, (0.0, 1.0), 0.01)


def light(
    mucosa: Mucosa, scene: Scene, hits: Hits, lesion: Lesion | None, camera: np.ndarray, axes: np.ndarray
) -> np.ndarray:
    """Light that reaches the camera, float32 (h, w, 3), linear; as :func:`radiance` with the lesion's own look."""
    grain = {2: 1.8, 4: 2.4}.get(lesion.phase if lesion else 0, 0.5)
    tint = {2: (1.12, 0.72, 0.80), 4: (0.92, 0.62, 0.72)}.get(lesion.phase if lesion else 0, (1.0, 1.0, 1.0))
    if lesion is None or lesion.body is not None:
        lit = radiance(mucosa, scene, hits, PolypLook(tint, grain), camera, axes)
        return lit if lesion is None else _on_body(mucosa, lesion, hits, lit)
    share, around, height = lesion.coordinates(hits)
    near = np.clip(1.6 - np.abs(height) / lesion.radius, 0, 1)
    # Bumps through the normals alone: a shallow dip for phase 1, a wall round a crater for phase 3.
    if lesion.phase == 1:
        slope = 0.25 * np.exp(-np.square((share - 0.95) / 0.12))
    else:
        slope = -0.9 * (share - 1.05) / 0.2 * np.exp(-np.square((share - 1.05) / 0.22)) + 0.9 * np.exp(
            -np.square((share - 0.72) / 0.12)
        )
    slope = (slope * near).astype(np.float32)
    cosine, sine = np.cos(around), np.sin(around)
    out = [cosine * lesion.frame[1][i] + sine * lesion.frame[2][i] for i in range(3)]
    normal = [n - slope * o for n, o in zip(hits.normal, out, strict=True)]
    length = np.sqrt(sum(component**2 for component in normal)) + 1e-6
    hits = replace(hits, normal=tuple(component / length for component in normal))
    lit = radiance(mucosa, scene, hits, PolypLook(tint, grain), camera, axes)
    return (_pale if lesion.phase == 1 else _ulcer)(mucosa, lesion, hits, lit, share, near)


def _body(rng: np.random.Generator, phase: int, foot: np.ndarray, frame: np.ndarray, radius: float) -> Polyp:
    """Phase 2: a low plaque of many flat lobes. Phase 4: a tall cauliflower."""
    lobes, count = [], 14 if phase == 2 else 22
    for number in range(count):
        around, away = rng.uniform(0, 2 * np.pi), radius * (0.78 if phase == 2 else 0.72) * np.sqrt(number / count)
        size = radius * rng.uniform(*((0.26, 0.38) if phase == 2 else (0.20, 0.42)))
        rise = -0.62 * size if phase == 2 else radius * 0.5 * rng.uniform(0.3, 1.0) * (1.15 - away / radius)
        lobes.append((rise, away * np.cos(around), away * np.sin(around), size))
    lumps = (0.012 * radius, 9 / radius) if phase == 2 else (0.035 * radius, 7 / radius)
    blend = radius * (0.22 if phase == 2 else 0.12)
    return Polyp(foot.astype(np.float32), frame, np.array(lobes, np.float32), None, lumps, float(blend))


def _noise(mucosa: Mucosa, lesion: Lesion, hits: Hits, scale: float) -> np.ndarray:
    """Grain fixed to the lesion, mean about 0; ``scale`` tiles per radius."""
    x, y, z = (component - at for component, at in zip(hits.point, lesion.foot, strict=True))
    up, side, other = ((r[0] * x + r[1] * y + r[2] * z) * (scale * _TILE / lesion.radius) for r in lesion.frame)
    return cv2.remap(
        mucosa.ripple[..., 2].copy(), side + 0.5 * up, other + 0.3 * up, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )


def _mixed(lit: np.ndarray, share: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return lit * (1 + share[..., None] * (factor - 1))


def _pale(
    mucosa: Mucosa, lesion: Lesion, hits: Hits, lit: np.ndarray, share: np.ndarray, near: np.ndarray
) -> np.ndarray:
    inside = np.clip((1 - share) / 0.12 + 0.5, 0, 1) * near
    patchy = _noise(mucosa, lesion, hits, 0.05)
    factor = np.array((1.18, 1.62, 1.68), np.float32) * (1 + 0.10 * patchy[..., None])
    factor = factor * np.where(patchy > 1.1, np.array((1.0, 0.55, 0.6), np.float32)[:, None, None], 1).transpose(
        1, 2, 0
    )
    lit = _mixed(lit, inside * 0.85, factor)
    rim = np.exp(-np.square((share - 1.02) / 0.09)) * near
    return _mixed(lit, rim * 0.5, np.array((1.0, 0.62, 0.68), np.float32))


def _ulcer(
    mucosa: Mucosa, lesion: Lesion, hits: Hits, lit: np.ndarray, share: np.ndarray, near: np.ndarray
) -> np.ndarray:
    colour = np.array(mucosa.tissue.colour, np.float32)
    coarse, fine = _noise(mucosa, lesion, hits, 0.04), _noise(mucosa, lesion, hits, 0.12)
    rim = np.clip((1.12 - share) / 0.16, 0, 1) * near
    lit = _mixed(lit, 0.8 * rim, np.array((1.05, 0.62, 0.62), np.float32) * (1 + 0.12 * fine[..., None]))
    floor = np.clip((0.70 - share + 0.05 * coarse) / 0.08, 0, 1) * near
    lit = _mixed(lit, 0.95 * floor, 0.85 * _SLOUGH / colour * (1 + 0.10 * coarse + 0.08 * fine)[..., None])
    bleeding = np.exp(-np.square((share - 0.74) / 0.07)) * np.clip(coarse + 0.3, 0, 1) * near
    return _mixed(lit, 0.9 * np.minimum(bleeding, 1), _BLOOD / colour)


def _on_body(mucosa: Mucosa, lesion: Lesion, hits: Hits, lit: np.ndarray) -> np.ndarray:
    own = np.clip((hits.weight - 0.4) / 0.3, 0, 1)
    coarse, fine = _noise(mucosa, lesion, hits, 0.03), _noise(mucosa, lesion, hits, 0.10)
    if lesion.phase == 2:
        return _mixed(lit, own, 1 + 0.12 * fine[..., None] * np.array((0.6, 1.2, 1.2), np.float32))
    colour = np.array(mucosa.tissue.colour, np.float32)
    lit = _mixed(lit, own, 1 + 0.16 * fine[..., None])
    necrosis = own * np.clip((coarse - 0.5) / 0.4, 0, 1)
    lit = _mixed(lit, 0.8 * necrosis, 0.7 * _SLOUGH / colour)
    bleeding = own * np.clip((-coarse - 0.8) / 0.3, 0, 1)
    return _mixed(lit, 0.85 * bleeding, _BLOOD / colour)
