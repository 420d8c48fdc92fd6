"""Colour and light of a colonoscopy scene: mucosa with vessels and fluid, two lamps beside the camera, wet highlights.

Colours are linear RGB.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from phantoms.endoscopy.scene import PERIOD, Hits, Scene, Tube
from phantoms.texture import fractal_noise, smooth_noise, vessels

_LAMPS = ((-0.07, -0.02, 0.0), (0.06, -0.03, 0.0))  # in camera coordinates, tube radii
_WRAP = 0.45  # how far light reaches round edges: mucosa is translucent
_FLUID = np.array((0.85, 0.95, 0.5), np.float32)  # factor on the mucosa's reflectance
_ABSORBED = np.array((0.30, 0.75, 0.68), np.float32)  # by blood in a vessel
_DEBRIS = np.array((0.55, 0.36, 0.07), np.float32)


@dataclass(frozen=True)
class Tissue:
    """How one centre's pictures show the mucosa.

    Attributes:
        colour: linear RGB reflectance of clean mucosa.
        vessels: how strongly vessels darken it, 0..1.
        mottle: contrast of its blotches.
        fluid: share of the wall under yellow fluid, 0..1.
        wetness: strength of specular highlights.
        resolution: columns of the wall's texture.
    """

    colour: tuple[float, float, float]
    vessels: float
    mottle: float
    fluid: float
    wetness: float
    resolution: int


@dataclass(frozen=True)
class PolypLook:
    """How a polyp differs from the mucosa round it.

    Attributes:
        tint: factor on the mucosa's reflectance, RGB.
        grain: contrast of its surface pattern.
    """

    tint: tuple[float, float, float]
    grain: float


@dataclass(frozen=True)
class Patterns:
    """What takes long to draw and is shared by all sequences of a centre.

    Attributes:
        vessels: float32 (rows, columns) of 0..1 over (z, angle) of the wall.
        ripple: float32 (512, 512, 3), a periodic tile: two slopes of the wet surface, and grain.
    """

    vessels: np.ndarray
    ripple: np.ndarray


def patterns(rng: np.random.Generator, tissue: Tissue) -> Patterns:
    """Draw the patterns of a centre."""
    half = tissue.resolution // 2
    tree = vessels(rng, (2 * round(half * PERIOD / (2 * np.pi)), 2 * half), trees=70)
    tile = (512, 512)
    slopes = np.gradient(np.pad(fractal_noise(rng, tile, (20, 20), 3, 0.6), 1, mode="wrap"))
    slope_y, slope_x = (slope[1:-1, 1:-1] / slope.std() for slope in slopes)
    return Patterns(tree, np.dstack([slope_y, slope_x, fractal_noise(rng, tile, (40, 40), 3, 0.7)]).astype(np.float32))


class Mucosa:
    """Textures of the wall, one set for all frames of a sequence.

    Attributes:
        colour: float32 (rows, columns, 3) reflectance over (z, angle), without vessels.
        vessels: float32 map of 0..1 of twice the resolution: the centre's, shifted and dimmed at random.
        gloss: float32 map of 0..2, how wet the wall is; highlights gather in patches.
        ripple: as in :class:`Patterns`.
    """

    def __init__(self, rng: np.random.Generator, tissue: Tissue, tube: Tube, shared: Patterns) -> None:
        shape = shared.vessels.shape[0] // 2, shared.vessels.shape[1] // 2
        self.tissue = tissue
        self.ripple = shared.ripple

        def blotches(cells: tuple[int, int], octaves: int = 1, gain: float = 0.6) -> np.ndarray:
            small = fractal_noise(rng, (shape[0] // 2, shape[1] // 2), cells, octaves, gain)
            return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)

        patchy = np.clip(0.7 + 0.5 * blotches((5, 4)), 0.1, 1.3)
        tree = np.roll(shared.vessels, rng.integers(0, shared.vessels.shape), axis=(0, 1))
        strength = cv2.resize(tissue.vessels * patchy, tree.shape[::-1], interpolation=cv2.INTER_LINEAR)
        self.vessels = np.minimum(tree * strength, 1)
        blotch, fine = blotches((8, 6), 4), smooth_noise(rng, shape, (150, 120))
        light = 1 + tissue.mottle * (0.13 * blotch + 0.05 * fine)
        red = tissue.mottle * 0.10 * blotches((10, 8), 3)
        colour = np.dstack([
            reflectance * light * (1 + towards_red * red)
            for reflectance, towards_red in zip(tissue.colour, (0.25, -1.0, -0.8), strict=True)
        ])  # fmt: skip
        # Fluid gathers in the hollows between folds, on the lower side.
        hollow = cv2.resize(tube.hollow, shape[::-1], interpolation=cv2.INTER_LINEAR)
        low = np.cos(np.arange(shape[1], dtype=np.float32) * (2 * np.pi / shape[1]) - rng.normal(np.pi / 2, 0.6))
        pool = 3.0 * hollow + 0.5 * low[None] + 0.45 * blotches((9, 7), 4)
        level = np.quantile(pool[::4, ::4], 1 - max(tissue.fluid * rng.uniform(0, 2), 1e-3))
        film = np.clip((pool - level) / 0.25, 0, 1)
        self.gloss = np.clip(-0.1 + 0.6 * blotches((12, 9), 2) + 0.5 * film, 0, 2)
        stained = np.array(tissue.colour, np.float32) * _FLUID * (0.85 + 0.15 * blotch[..., None])
        colour += (0.6 * film * (0.8 + 0.2 * fine))[..., None] * (stained - colour)
        self.colour = np.clip(_with_debris(rng, colour, tissue.fluid), 0.004, 1.0)


def _with_debris(rng: np.random.Generator, colour: np.ndarray, share: float) -> np.ndarray:
    """Put small yellow-brown crumbs of stool and flecks of mucus on the wall."""
    height, width = colour.shape[:2]
    cover = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.poisson(10 + 200 * share))):
        at = int(rng.integers(width)), int(rng.integers(height))
        size = tuple(int(v) for v in np.maximum(rng.gamma(2.0, 0.0016, 2) * width, 1))
        cv2.ellipse(cover, at, size, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(120, 255)), -1, cv2.LINE_AA)
    weight = cover.astype(np.float32)[..., None] * np.float32(0.8 / 255)
    return colour + weight * (_DEBRIS * np.float32(rng.uniform(0.7, 1.2)) - colour)


def radiance(
    mucosa: Mucosa, scene: Scene, hits: Hits, look: PolypLook, camera: np.ndarray, axes: np.ndarray
) -> np.ndarray:
    """Light that reaches the camera.

    Args:
        mucosa: textures of the wall.
        scene: wall and polyp.
        hits: where each pixel's ray ends.
        look: the polyp's.
        camera: (3,) place of the camera.
        axes: (3, 3) the camera's axes as columns; the lamps move with it.

    Returns:
        float32 (height, width, 3), linear and not yet exposed.
    """
    reflectance, gloss, grain = _surface(mucosa, scene, hits, look)
    slope_z, slope_angle = (grain[..., k] for k in range(2))
    nx, ny, nz = hits.normal
    turn_x, turn_y = -np.sin(hits.angle), np.cos(hits.angle)
    rough = np.float32(0.11)
    wet = [nx + rough * slope_angle * turn_x, ny + rough * slope_angle * turn_y, nz + rough * slope_z]
    scale = 1 / np.sqrt(wet[0] ** 2 + wet[1] ** 2 + wet[2] ** 2)
    wet = [component * scale for component in wet]
    soft = [dry + 0.25 * (film - dry) for dry, film in zip(hits.normal, wet, strict=True)]
    sight = [(camera[i] - hits.point[i]) / hits.depth for i in range(3)]
    diffuse, shine = np.zeros_like(hits.depth), np.zeros_like(hits.depth)
    # Thin rims let light through, so that silhouettes are not black.
    rim = 0.4 * np.square(1 - np.clip(nx * sight[0] + ny * sight[1] + nz * sight[2], 0, 1))
    for lamp in _LAMPS:
        place = camera + axes @ np.array(lamp, np.float32)
        to = [place[i] - hits.point[i] for i in range(3)]
        square = to[0] ** 2 + to[1] ** 2 + to[2] ** 2
        inverse = 1 / np.sqrt(square)
        to = [component * inverse for component in to]
        facing = np.clip((soft[0] * to[0] + soft[1] * to[1] + soft[2] * to[2] + _WRAP) / (1 + _WRAP), 0, 1)
        falloff = 1 / (square + 0.12) ** 1.2
        diffuse += (facing + rim) * falloff
        half = [to[i] + sight[i] for i in range(3)]
        cosine = (wet[0] * half[0] + wet[1] * half[1] + wet[2] * half[2]) / np.sqrt(
            half[0] ** 2 + half[1] ** 2 + half[2] ** 2 + 1e-6
        )
        shine += np.clip((cosine - 0.988) / 0.009, 0, 1) ** 2 * np.minimum(falloff, 4.0)
    tube, polyp = scene.tube, scene.body
    shade = 1 - 1.6 * np.clip(tube.sample(tube.hollow, hits.angle, hits.point[2]), -0.1, 0.35)
    shade *= 1 - 0.5 * (1 - hits.weight) * np.exp(-np.square(hits.gap / (0.22 * polyp.radius)))
    around = 0.05 / (0.6 + hits.depth**2)  # light that has met the wall before
    lit = (diffuse * 0.5 * shade + around * shade**2)[..., None] * reflectance
    return lit + (mucosa.tissue.wetness * shine * gloss)[..., None]


def _surface(mucosa: Mucosa, scene: Scene, hits: Hits, look: PolypLook) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reflectance (height, width, 3), gloss (height, width) and ripple (height, width, 3) where the rays end."""
    tube = scene.tube
    reflectance = tube.sample(mucosa.colour, hits.angle, hits.point[2])
    reflectance *= 1 - _ABSORBED * tube.sample(mucosa.vessels, hits.angle, hits.point[2])[..., None]
    gloss = tube.sample(mucosa.gloss, hits.angle, hits.point[2])
    tile = mucosa.ripple.shape[0]
    across, down = hits.angle * (2 * tile / (2 * np.pi)), hits.point[2] * (3 * tile / PERIOD)
    ripple: np.ndarray = cv2.remap(mucosa.ripple, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    reflectance *= (1 + 0.03 * ripple[..., 2])[..., None]
    own = np.clip((hits.weight - 0.3) / 0.4, 0, 1)
    own = own * own * (3 - 2 * own)
    x, y, z = hits.point
    side, other = ((row[0] * x + row[1] * y + row[2] * z) * (0.8 * tile) for row in scene.body.stretch[1:])
    grain = cv2.remap(mucosa.ripple, side, other, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    clean = np.array(mucosa.tissue.colour, np.float32)
    bare = reflectance + 0.6 * (clean - reflectance)  # vessels and fluid show less on a polyp
    tinted = bare * np.array(look.tint, np.float32) * (1 + look.grain * 0.06 * grain[..., 2:])
    reflectance += own[..., None] * (tinted - reflectance)
    ripple += (own * look.grain)[..., None] * 0.5 * grain
    gloss += own * (0.8 - gloss)
    return reflectance, gloss, ripple
