"""Pictures of ray-cast worlds: painted surfaces under a point light with shadows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mtlbench.data.rendering.raycast import Array, Paint, Vector, World, along, cast, interval, rays, surface

AMBIENT = 0.34
PATTERNS = 7


def photograph(world: World, size: int, samples: int = 2) -> Array:
    """The picture (3, H, W) in [0, 1]: textures, a point light with shadows, ambient light; samples**2 rays a pixel."""
    direction = world.camera.world(rays(size, samples, np.float32))
    hits = cast(world, direction, size * samples)
    point = along(world.camera.place, direction, hits.depth)
    colour, normals = np.zeros((2, 3, len(hits.depth)), np.float32)
    for index, solid in enumerate(world.solids):
        seen = np.flatnonzero(hits.solid == index)
        if len(seen):
            side, normal, u, v = surface(solid, solid.local(tuple(p[seen] for p in point)))
            colour[:, seen] = _painted(solid.paints, side, u, v)
            for axis, value in enumerate(solid.world(normal, direction=True)):
                normals[axis, seen] = value
    light = _light(world, point, normals)
    picture = np.sqrt(np.clip(colour * light, 0.0, 1.0))  # gamma 2: shadows stay readable in 8 bits
    fine = picture.reshape(3, size, samples, size, samples)
    total = sum(fine[:, :, i, :, j] for i in range(samples) for j in range(samples))
    return np.asarray(total) / samples**2


def _light(world: World, point: Vector, normals: Array) -> Array:
    """Colour of the light on every point: (3, rays)."""
    way = [light - p for light, p in zip(world.light, point, strict=True)]
    distance2 = way[0] * way[0] + way[1] * way[1] + way[2] * way[2]
    distance = np.sqrt(distance2)
    facing = way[0] * normals[0] + way[1] * normals[1] + way[2] * normals[2]
    lit = np.maximum(facing, 0.0) / (distance * (1.0 + 0.1 * distance2))
    x, y, z = (w / distance for w in way)
    lit[shadowed(world, point, (x, y, z), distance)] = 0.0
    ambient = AMBIENT * (1.0 + 0.25 * normals[1])
    return np.stack([ambient + shine * lit for shine in world.shine])


def shadowed(world: World, point: Vector, towards: Vector, distance: Array) -> Array:
    """Which points the light does not reach; it lies `towards` (unit vectors) at this distance."""
    dark = np.zeros(len(distance), bool)
    for solid in world.solids[1:]:
        near = _in_cone(world, solid.centre, solid.reach, towards)
        start: Vector = tuple(p[near] for p in point)
        way: Vector = tuple(t[near] for t in towards)
        with np.errstate(divide="ignore", invalid="ignore"):
            enter, leave = interval(solid, start, way)
        dark[near] |= (enter < leave) & (enter > 2e-3) & (enter < distance[near])
    return dark


def _in_cone(world: World, centre: Vector, reach: float, towards: Vector) -> Array:
    """Points that lie, seen from the light, in the cone around a ball."""
    x, y, z = (light - c for light, c in zip(world.light, centre, strict=True))
    far2 = x * x + y * y + z * z
    if far2 <= reach * reach:
        return np.arange(len(towards[0]))
    cosine = math.sqrt(far2 - reach * reach) - 1e-3  # times the distance to the ball's centre
    return np.flatnonzero(x * towards[0] + y * towards[1] + z * towards[2] >= cosine)


def _painted(paints: Sequence[Paint], side: Array, u: Array, v: Array) -> Array:
    """Colours (3, n) of surface points."""
    colour = np.zeros((3, len(u)), u.dtype)
    for index, paint in enumerate(paints):
        which = np.flatnonzero(side == index) if len(paints) > 1 else slice(None)
        share = pattern(paint, u[which], v[which])
        for channel, (first, second) in enumerate(zip(*paint.colours, strict=True)):
            colour[channel, which] = first + share * (second - first)
    return colour


def pattern(paint: Paint, u: Array, v: Array) -> Array:
    """The second colour's share at surface coordinates, slightly mottled."""
    cos, sin = paint.turn
    u, v = (cos * u - sin * v) / paint.scale, (sin * u + cos * v) / paint.scale
    mottled: Array = _figure(paint, u, v) + 0.25 * (noise(3.0 * u, 3.0 * v, paint.key) - 0.5)
    return mottled


def _figure(paint: Paint, u: Array, v: Array) -> Any:
    """Plain, checks, stripes, bricks, blotches, dots or grain."""
    if paint.pattern == 0:
        return 0.2
    if paint.pattern == 1:
        return (np.floor(u) + np.floor(v)) % 2
    if paint.pattern == 2:
        return u % 1.0 < 0.5
    if paint.pattern == 3:
        row = np.floor(2 * v)
        return ((u + 0.5 * (row % 2)) % 1.0 < 0.07) | ((2 * v) % 1.0 < 0.14)
    if paint.pattern == 4:
        return np.clip(3.0 * (noise(u, v, paint.key + 1) - 0.35), 0.0, 1.0)
    if paint.pattern == 5:
        x, y = u % 1.0 - 0.5, v % 1.0 - 0.5
        return x * x + y * y < 0.09
    rings = (2.0 * u + 3.0 * noise(0.4 * u, 0.25 * v, paint.key + 1)) % 1.0
    return np.abs(2.0 * rings - 1.0)


def noise(u: Array, v: Array, key: int) -> Array:
    """Value noise in [0, 1]: random values at whole coordinates, smoothly between them."""
    left, low = np.floor(u), np.floor(v)
    a, b = u - left, v - low
    a, b = a * a * (3.0 - 2.0 * a), b * b * (3.0 - 2.0 * b)
    i, j = left.astype(np.int32).view(np.uint32), low.astype(np.int32).view(np.uint32)
    bottom = _hash(i, j, key) * (1 - a) + _hash(i + 1, j, key) * a
    top = _hash(i, j + 1, key) * (1 - a) + _hash(i + 1, j + 1, key) * a
    value: Array = bottom * (1 - b) + top * b
    return value


def _hash(i: Array, j: Array, key: int) -> Array:
    mixed: Array = i * np.uint32(374761393) + j * np.uint32(668265263) + np.uint32(key * 974711 & 0xFFFFFFFF)  # wraps
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
    value: Array = (mixed >> np.uint32(8)).astype(np.float32) * 2.0**-24  # 24 bits: exact
    return value
