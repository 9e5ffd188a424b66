"""A small ray caster in numpy: closed rooms of boxes, spheres and cylinders, with the exact geometry of every pixel.

Only +, -, *, / and square roots (float64 for labels, float32 for pictures), comparisons and integers are used: IEEE 754
fixes their results, so that a scene has the same bits on every machine (no sine, exponential, matrix product or sum whose
order a library may choose).

World: x right, y up, z into the room, metres. Camera: x right, y up, z forward; the image plane lies at distance `FOCAL`
times the image's side, pixel (row i, column j) at x = (j + 1/2 - size/2) / f, y = (size/2 - i - 1/2) / f. A ray's
parameter is its depth along z (planar depth), as its direction has z = 1 in the camera's frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Vector = tuple[Any, Any, Any]
Turn = tuple[float, float]
"""Cosine and sine of an angle."""

FOCAL = 0.9
NEAR = 0.05
BOX, BALL, CYLINDER, ROOM = range(4)
FACES = 8  # room for the faces of one solid in a face number
STRAIGHT: Turn = (1.0, 0.0)


@dataclass(frozen=True)
class Paint:
    """A surface's two colours and the pattern that mixes them; `scale` in metres, `turn` turns it, `key` seeds it."""

    pattern: int
    colours: tuple[Vector, Vector]
    scale: float
    turn: Turn
    key: int


@dataclass(frozen=True)
class Solid:
    """A convex solid standing upright, turned about the y axis, or the room itself (a box seen from inside).

    `half` are half extents; a ball's are its radius thrice, a cylinder's its radius, half height and radius. `labels` are
    the classes of its faces (-x, +x, -y, +y, -z, +z), one for all where all are alike. `corners` says that its corners
    are keypoints.
    """

    shape: int
    centre: Vector
    half: Vector
    labels: tuple[int, ...]
    paints: tuple[Paint, ...]
    turn: Turn = STRAIGHT
    corners: bool = False

    @property
    def reach(self) -> float:
        """The radius of a ball around the solid."""
        if self.shape == BALL:
            return float(self.half[0])
        x, y, z = self.half if self.shape != CYLINDER else (self.half[0], self.half[1], 0.0)
        return math.sqrt(x * x + y * y + z * z)

    def local(self, point: Vector, direction: bool = False) -> Vector:
        """World to local coordinates."""
        x, y, z = point if direction else tuple(p - c for p, c in zip(point, self.centre, strict=True))
        cos, sin = self.turn
        return cos * x - sin * z, y, sin * x + cos * z

    def world(self, point: Vector, direction: bool = False) -> Vector:
        """Local to world coordinates."""
        x, y, z = point
        cos, sin = self.turn
        turned = (cos * x + sin * z, y, cos * z - sin * x)
        return turned if direction else tuple(p + c for p, c in zip(turned, self.centre, strict=True))


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and looks: `yaw` about y (positive: right), then `pitch` (positive: up)."""

    place: Vector
    yaw: Turn
    pitch: Turn

    def world(self, direction: Vector) -> Vector:
        """A direction of the camera's frame in the world's."""
        x, y, z = direction
        up, z = self.pitch[0] * y + self.pitch[1] * z, self.pitch[0] * z - self.pitch[1] * y
        return self.yaw[0] * x + self.yaw[1] * z, up, self.yaw[0] * z - self.yaw[1] * x

    def local(self, direction: Vector) -> Vector:
        """A direction of the world in the camera's frame."""
        x, y, z = direction
        x, z = self.yaw[0] * x - self.yaw[1] * z, self.yaw[1] * x + self.yaw[0] * z
        return x, self.pitch[0] * y - self.pitch[1] * z, self.pitch[1] * y + self.pitch[0] * z


@dataclass(frozen=True)
class World:
    """A furnished room (its first solid), a camera inside it, and a point light with its colour."""

    solids: tuple[Solid, ...]
    camera: Camera
    light: Vector
    shine: Vector

    def mirrored(self) -> World:
        """The same world in a mirror: x -> -x. Its labels are the mirrored image's."""

        def flip(point: Vector) -> Vector:
            return -point[0], point[1], point[2]

        solids = tuple(
            replace(
                s,
                centre=flip(s.centre),
                turn=(s.turn[0], -s.turn[1]),
                labels=s.labels if len(s.labels) == 1 else (s.labels[1], s.labels[0], *s.labels[2:]),
                paints=s.paints if len(s.paints) == 1 else (s.paints[1], s.paints[0], *s.paints[2:]),
            )
            for s in self.solids
        )
        camera = replace(self.camera, place=flip(self.camera.place), yaw=(self.camera.yaw[0], -self.camera.yaw[1]))
        return replace(self, solids=solids, camera=camera, light=flip(self.light))


@dataclass(frozen=True)
class Hits:
    """What rays meet first, flat over rays: its depth and its number among the world's solids."""

    depth: Array
    solid: Array


@dataclass(frozen=True)
class View:
    """Exact labels of an image (H, W): planar depth in metres, class, face number, and normals (3, H, W)."""

    depth: Array
    label: Array
    face: Array
    normals: Array


def rays(size: int, samples: int = 1, dtype: type = np.float64) -> Vector:
    """Directions in the camera's frame through the centres of size*samples squared pixels, row by row: flat arrays."""
    count = size * samples
    place: Array = ((np.arange(count) + (0.5 - count / 2)) / (FOCAL * count)).astype(dtype)
    return np.tile(place, count), np.repeat(-place, count), 1.0


def interval(solid: Solid, origin: Vector, direction: Vector) -> tuple[Array, Array]:
    """Where rays enter and leave a solid; it is missed where enter > leave."""
    o, d = solid.local(origin), solid.local(direction, direction=True)
    if solid.shape in (BOX, ROOM):
        return _slabs(o, d, solid.half, (0, 1, 2))
    if solid.shape == BALL:
        return _quadric(o, d, solid.half[0], (0, 1, 2))
    side, caps = _quadric(o, d, solid.half[0], (0, 2)), _slabs(o, d, solid.half, (1,))
    return np.maximum(side[0], caps[0]), np.minimum(side[1], caps[1])


def _slabs(o: Vector, d: Vector, half: Vector, axes: Sequence[int]) -> tuple[Array, Array]:
    enter, leave = None, None
    for axis in axes:  # a ray along a slab meets 0 * inf: fmax and fmin pass over the NaN
        slope = 1.0 / d[axis]
        middle, reach = -o[axis] * slope, half[axis] * np.abs(slope)
        near, far = middle - reach, middle + reach
        enter = near if enter is None else np.fmax(enter, near, out=enter)
        leave = far if leave is None else np.fmin(leave, far, out=leave)
    assert enter is not None and leave is not None
    return enter, leave


def _quadric(o: Vector, d: Vector, radius: float, axes: Sequence[int]) -> tuple[Array, Array]:
    a, b, c = 0.0, 0.0, -radius * radius
    for axis in axes:
        a, b, c = a + d[axis] * d[axis], b + o[axis] * d[axis], c + o[axis] * o[axis]
    root = np.sqrt(b * b - a * c)  # NaN where missed: every comparison with it is false
    return (-b - root) / a, (-b + root) / a


def cast(world: World, direction: Vector, side: int = 0) -> Hits:
    """The first solid on each ray from the camera (world directions).

    Where the rays are an image's, row by row with `side` in a row, each solid is tried in its bounding rectangle only.
    """
    grid = (side, side) if side else (1, len(direction[0]))
    x, y, z = (d.reshape(grid) for d in direction)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = interval(world.solids[0], world.camera.place, (x, y, z))[1]
        solid = np.zeros(grid, np.int64)
        for index, candidate in enumerate(world.solids[1:], 1):
            box = bounds(candidate, world.camera, side) if side else (slice(None), slice(None))
            enter, leave = interval(candidate, world.camera.place, (x[box], y[box], z[box]))
            hit = (enter < leave) & (enter > NEAR) & (enter < depth[box])
            depth[box][hit] = enter[hit]
            solid[box][hit] = index
    return Hits(depth.ravel(), solid.ravel())


def bounds(solid: Solid, camera: Camera, side: int) -> tuple[slice, slice]:
    """The rows and columns of an image that can show a solid: of its bounding ball, a pixel more on every side."""
    away = tuple(c - e for c, e in zip(solid.centre, camera.place, strict=True))
    x, y, z = camera.local((away[0], away[1], away[2]))
    reach = solid.reach + 1e-3
    if z <= reach + NEAR:
        return slice(None), slice(None)

    def span(offset: float) -> slice:
        # The two tangents from the eye to a disc at (offset, z).
        lean = reach * math.sqrt(offset * offset + z * z - reach * reach)
        ends = [(offset * z + sign * lean) / (z * z - reach * reach) * FOCAL * side + side / 2 for sign in (-1, 1)]
        low, high = (min(max(int(end), -2), side + 2) for end in ends)
        return slice(max(low - 2, 0), max(high + 3, 0))

    return span(-y), span(x)


def surface(solid: Solid, point: Vector) -> tuple[Array, Vector, Array, Array]:
    """At local points of a solid's surface: face number, outward local normal, and two surface coordinates in metres."""
    x, y, z = point
    if solid.shape == BALL:
        r = solid.half[0]
        return np.zeros(len(x), np.int64), (x / r, y / r, z / r), x, y
    return _cylinder(solid, x, y, z) if solid.shape == CYLINDER else _box(solid, x, y, z)


def _cylinder(solid: Solid, x: Array, y: Array, z: Array) -> tuple[Array, Vector, Array, Array]:
    r, h, _ = solid.half
    cap = (y * y) * (r * r) > (x * x + z * z) * (h * h)
    around = r * (np.where(z > 0, 1.0, 3.0) + np.where(z > 0, -x, x) / (np.abs(x) + np.abs(z) + 1e-9))  # for an angle
    face = np.where(cap, np.where(y > 0, 3, 2), 0)
    normal = np.where(cap, 0.0, x / r), np.where(cap, np.where(y > 0, 1.0, -1.0), 0.0), np.where(cap, 0.0, z / r)
    return face, normal, np.where(cap, x, around), np.where(cap, z, y)


def _box(solid: Solid, x: Array, y: Array, z: Array) -> tuple[Array, Vector, Array, Array]:
    i, j, k = (np.abs(p) / h for p, h in zip((x, y, z), solid.half, strict=True))
    on_x = (i > j) & (i > k)
    on_y = ~on_x & (j > k)
    on_z = ~(on_x | on_y)
    face = np.where(on_x, x > 0, np.where(on_y, 2 + (y > 0), 4 + (z > 0)))
    out = -1.0 if solid.shape == ROOM else 1.0
    a, b, c = (np.where(on, np.where(p > 0, out, -out), 0.0) for on, p in ((on_x, x), (on_y, y), (on_z, z)))
    return face, (a, b, c), np.where(on_x, z, x), np.where(on_y, z, y)


def along(origin: Vector, direction: Vector, depth: Array) -> Vector:
    return tuple(o + depth * d for o, d in zip(origin, direction, strict=True))


def view(world: World, size: int) -> View:
    """The labels of the pixels' centres."""
    direction = world.camera.world(rays(size))
    hits = cast(world, direction, size)
    label, face = np.zeros(size * size, np.int64), np.zeros(size * size, np.int64)
    normals = np.zeros((3, size * size))
    for index, solid in enumerate(world.solids):
        seen = np.flatnonzero(hits.solid == index)
        if len(seen):
            ray: Vector = tuple(d[seen] for d in direction)
            point = solid.local(along(world.camera.place, ray, hits.depth[seen]))
            side, normal, _, _ = surface(solid, point)
            label[seen] = np.array(solid.labels)[side if len(solid.labels) > 1 else 0]
            face[seen] = index * FACES + side
            for axis, value in enumerate(world.camera.local(solid.world(normal, direction=True))):
                normals[axis, seen] = value
    shape = (size, size)
    return View(hits.depth.reshape(shape), label.reshape(shape), face.reshape(shape), normals.reshape(3, *shape))
