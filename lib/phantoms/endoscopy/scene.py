"""Geometry of a colonoscopy scene: a folded, bent tube with a polyp, and the rays that meet it.

Lengths are in units of the tube's mean radius. The tube runs along z; its wall is a radius map over angle and z, the
polyp is made of spheres and a stalk blended into the wall. Rays are followed by sphere tracing (Hart 1996, "Sphere
tracing: a geometric method for the antialiased ray tracing of implicit surfaces"), coarsely first, then from just
before the coarse hit at full resolution.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from phantoms.texture import fractal_noise, smooth_noise

PERIOD = 8.0  # length of tube after which the wall repeats
_MAP = (512, 402)  # rows along z, columns round the angle: about square cells on the wall
_FAR = 14.0
_NUDGE = 2e-3  # for slopes by differences
_COARSE = 4  # pixels of the picture per coarse ray


@dataclass(frozen=True)
class Polyp:
    """Lobes, a stalk for a pedunculated polyp, and lumps on both, in the polyp's own stretched coordinates.

    Attributes:
        foot: (3,) place on the wall where it grows.
        stretch: (3, 3) from scene coordinates relative to ``foot`` to the polyp's own; near a rotation.
        lobes: (n, 4) centre and radius of each sphere, own coordinates.
        stalk: (7,) both ends of a capsule and its radius, own coordinates, or None. All arrays are float32.
        lumps: height of the lumps on the surface and their frequency per unit length.
        blend: width over which lobes and wall flow together.
    """

    foot: np.ndarray
    stretch: np.ndarray
    lobes: np.ndarray
    stalk: np.ndarray | None
    lumps: tuple[float, float]
    blend: float

    @property
    def radius(self) -> float:
        """Radius of the largest lobe."""
        return float(self.lobes[:, 3].max())

    @property
    def bound(self) -> tuple[np.ndarray, float]:
        """Centre (3,) and radius, in the scene, of a sphere round everything that the polyp changes."""
        back = np.linalg.inv(self.stretch)
        points = self.foot + self.lobes[:, :3] @ back.T
        radii = self.lobes[:, 3] * np.linalg.norm(back, 2)
        if self.stalk is not None:
            points, radii = np.vstack([points, self.foot]), np.append(radii, self.stalk[6])
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
        reach = np.linalg.norm(points - centre, axis=1) + radii
        return centre.astype(np.float32), float(reach.max() + self.blend + 2 * self.lumps[0])

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance (nearly) of points to the polyp, negative inside."""
        x, y, z = x - self.foot[0], y - self.foot[1], z - self.foot[2]
        x, y, z = (row[0] * x + row[1] * y + row[2] * z for row in self.stretch)
        first, *others = (np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - r for cx, cy, cz, r in self.lobes)
        total = first
        for one in others:
            total = blended(total, one, self.blend)[0]
        if self.stalk is not None:
            foot, axis, radius = self.stalk[:3], self.stalk[3:6] - self.stalk[:3], self.stalk[6]
            px, py, pz = x - foot[0], y - foot[1], z - foot[2]
            along = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / float(axis @ axis), 0, 1)
            one = np.sqrt((px - along * axis[0]) ** 2 + (py - along * axis[1]) ** 2 + (pz - along * axis[2]) ** 2)
            total = blended(total, one - radius, self.blend)[0]
        height, rate = self.lumps
        return total - height * (np.sin(rate * (x + 0.8 * y)) + np.sin(rate * (z - 0.6 * x)))


def blended(first: np.ndarray, second: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth minimum of two distances (polynomial) and the weight of ``second`` in it (0..1)."""
    weight = np.clip(0.5 + 0.5 * (first - second) / width, 0, 1)
    return first + weight * (second - first) - width * weight * (1 - weight), weight


@dataclass(frozen=True)
class Folds:
    """The haustral folds: their spacing along the tube, height over the wall and width, in tube radii."""

    spacing: float
    height: float
    width: float


class Tube:
    """Wall of the colon: radius over (z, angle), bent along a curve.

    Attributes:
        hollow: float32 map, how far each place of the wall lies back behind its neighbourhood: shadowed there.
    """

    def __init__(self, rng: np.random.Generator, folds: Folds, bend: np.ndarray) -> None:
        rows, columns = _MAP
        self.bend = bend.astype(np.float32)
        z = (np.arange(rows, dtype=np.float32) * (PERIOD / rows))[:, None]
        angle = (np.arange(columns, dtype=np.float32) * (2 * np.pi / columns))[None]
        radius = 1 + 0.10 * smooth_noise(rng, _MAP, (5, 3)) + 0.012 * fractal_noise(rng, _MAP, (16, 12), 2)
        count = max(round(PERIOD / folds.spacing), 1)
        taenia = rng.uniform(0, 2 * np.pi)  # the three bands between which the folds hang
        for number in range(count):
            centre = (number + rng.uniform(-0.35, 0.35)) * PERIOD / count
            tilt = rng.normal(0, 0.16) * np.cos(angle - rng.uniform(0, 2 * np.pi)) + rng.normal(0, 0.05) * np.sin(
                3 * angle + rng.uniform(0, 2 * np.pi)
            )
            strength = 0.35 + 0.65 * np.sqrt(0.02 + np.sin(1.5 * (angle - taenia) + rng.normal(0, 0.2)) ** 2)
            strength = strength * (1 + 0.45 * np.cos(angle - rng.uniform(0, 2 * np.pi)))
            away = (z - centre - tilt + PERIOD / 2) % PERIOD - PERIOD / 2
            slope = np.where(away < 0, 1.25, 0.8) / (folds.width * rng.uniform(0.75, 1.35))
            radius -= folds.height * rng.uniform(0.6, 1.2) * strength * np.exp(-np.square(away * slope))
        self._settle(radius, least=0.3, softness=1.2)

    def _settle(self, radius: np.ndarray, *, least: float, softness: float) -> None:
        """Keep a map (rows, columns) of the wall's distance from the middle, softened, with its slopes and hollows."""
        rows, columns = radius.shape
        radius = np.maximum(radius, least).astype(np.float32)
        self.radius = cv2.GaussianBlur(np.pad(radius, 8, mode="wrap"), (0, 0), softness)[8:-8, 8:-8].copy()
        slope_z, slope_angle = np.gradient(np.pad(self.radius, 1, mode="wrap"))
        self.slope_z = (slope_z[1:-1, 1:-1] * (rows / PERIOD)).astype(np.float32)
        self.slope_angle = (slope_angle[1:-1, 1:-1] * (columns / (2 * np.pi))).astype(np.float32)
        pad = 96
        around = cv2.GaussianBlur(np.pad(self.radius, pad, mode="wrap"), (0, 0), 22)[pad:-pad, pad:-pad]
        self.hollow = self.radius - around

    def centre(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the tube's middle at depth z."""
        along = z * np.abs(z) / (2 + np.abs(z))
        return self.bend[0] * along, self.bend[1] * along

    def chart(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from the middle and angle in 0..2 pi of points; 2-D float32 arrays."""
        middle_x, middle_y = self.centre(z)
        r, angle = cv2.cartToPolar(x - middle_x, y - middle_y)
        return r, angle

    def sample(self, which: np.ndarray, angle: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Value of a map that covers the wall once, at chart coordinates."""
        rows, columns = which.shape[:2]
        return cv2.remap(
            which, angle * (columns / (2 * np.pi)), z * (rows / PERIOD), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Radial distance of points to the wall, negative behind it."""
        r, angle = self.chart(x, y, z)
        return self.sample(self.radius, angle, z) - r


@dataclass
class Hits:
    """Where the rays of one picture meet the scene; 2-D float32 arrays of the picture's shape.

    Attributes:
        depth: length of the ray.
        point: x, y and z of the meeting place.
        normal: components of the unit normal, towards the camera's side.
        angle: of the place round the tube, 0..2 pi; with z the place on the wall.
        weight: 0 (wall) .. 1 (polyp), half where they meet.
        gap: distance of the place to the polyp's own surface.
    """

    depth: np.ndarray
    point: tuple[np.ndarray, np.ndarray, np.ndarray]
    normal: tuple[np.ndarray, np.ndarray, np.ndarray]
    angle: np.ndarray
    weight: np.ndarray
    gap: np.ndarray


@dataclass(frozen=True)
class Scene:
    """A tube, and the polyp in it unless it is None."""

    tube: Tube
    polyp: Polyp | None

    @property
    def body(self) -> Polyp:
        """The polyp.

        Raises:
            ValueError: there is none.
        """
        if self.polyp is None:
            raise ValueError("this scene shows no polyp")
        return self.polyp

    def trace(self, origin: np.ndarray, rays: np.ndarray) -> Hits:
        """Follow the rays of a picture.

        Args:
            origin: float32 (3,), the camera.
            rays: float32 (3, height, width), unit vectors.
        """
        height, width = rays.shape[1:]
        small = np.stack([cv2.resize(component, (-(-width // _COARSE), -(-height // _COARSE))) for component in rays])
        depth = self._march(origin, small, np.full(small.shape[1:], 0.05, np.float32), steps=48)[0]
        depth = cv2.erode(depth, np.ones((3, 3), np.uint8))  # from the nearest hit near by: silhouettes come out sharp
        depth = cv2.resize(depth, (width, height)) * 0.97 - 0.01
        depth, free = self._march(origin, rays, depth, steps=7)
        loose = np.flatnonzero(np.abs(free) > 0.005 * depth)  # mostly rays that graze a fold
        if len(loose):
            loose = np.resize(loose, (-(-len(loose) // width), width))
            depth.flat[loose] = self._march(origin, rays.reshape(3, -1)[:, loose], depth.flat[loose], steps=28)[0]
        x, y, z = (origin[axis] + depth * rays[axis] for axis in range(3))
        r, angle = self.tube.chart(x, y, z)
        normal = self._wall_normal(x, y, z, r, angle)
        weight, gap = np.zeros_like(depth), np.full_like(depth, _FAR)
        near, polyp = self._near(origin, rays), self.polyp
        if polyp is not None and len(near):
            wall = (self.tube.sample(self.tube.radius, angle, z) - r).ravel()[near]
            here = [component.ravel()[near] for component in (x, y, z)]
            own = polyp.distance(*here)
            share = blended(wall, own, polyp.blend)[1]
            weight.flat[near], gap.flat[near] = share, own
            for axis, component in enumerate(normal):
                beside = (place + _NUDGE * (axis == i) for i, place in enumerate(here))
                slope = (polyp.distance(*beside) - own) / _NUDGE
                component.flat[near] += share * (slope - component.ravel()[near])
        length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-6
        return Hits(depth, (x, y, z), tuple(component / length for component in normal), angle, weight, gap)

    def _march(
        self, origin: np.ndarray, rays: np.ndarray, depth: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move on from ``depth`` along the rays; the new depth and how much free way was left before the last step."""
        near, polyp = self._near(origin, rays), self.polyp
        for _ in range(steps):
            x, y, z = (origin[axis] + depth * rays[axis] for axis in range(3))
            free = self.tube.distance(x, y, z)
            if polyp is not None and len(near):
                own = polyp.distance(*(component.ravel()[near] for component in (x, y, z)))
                free.flat[near] = blended(free.ravel()[near], own, polyp.blend)[0]
            # The radial distance does not see a fold ahead, hence short steps, growing with the pixel's footprint.
            depth = np.clip(depth + np.clip(0.5 * free, -0.1, 0.04 + 0.06 * depth), 0.01, _FAR)
        return depth, free

    def _near(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Flat indices of the rays that can meet the polyp."""
        if self.polyp is None:
            return np.empty(0, np.intp)
        centre, radius = self.polyp.bound
        towards = centre - origin
        along = rays[0] * towards[0] + rays[1] * towards[1] + rays[2] * towards[2]
        return np.flatnonzero(towards @ towards - along * np.maximum(along, 0) < radius**2)

    def _wall_normal(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, r: np.ndarray, angle: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradient of :meth:`Tube.distance`, not yet of unit length."""
        tube = self.tube
        middle_x, middle_y = tube.centre(z)
        out_x, out_y = (x - middle_x) / np.maximum(r, 1e-3), (y - middle_y) / np.maximum(r, 1e-3)
        turn = tube.sample(tube.slope_angle, angle, z) / np.maximum(r, 0.1)
        lean = np.abs(z) * (4 + np.abs(z)) / (2 + np.abs(z)) ** 2  # derivative of the middle's z |z| / (2 + |z|)
        forward = tube.sample(tube.slope_z, angle, z) + lean * (out_x * tube.bend[0] + out_y * tube.bend[1])
        return -out_x - turn * out_y, -out_y + turn * out_x, forward
