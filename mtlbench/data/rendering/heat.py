"""Heat maps in [0, 1] around corners and edges: (1 - d^2 / R^2)^2 within a radius R of the nearest one, 0 beyond.

A Gaussian's shape without an exponential (whose last bit differs between libraries), broad enough for maps an eighth of
the image's size to follow.
"""

from __future__ import annotations

import numpy as np

from mtlbench.data.rendering.raycast import BOX, FOCAL, NEAR, ROOM, Array, Vector, World, cast

CORNER_REACH = 0.25  # R of keypoints, times the image's side
EDGE_REACH = 0.125


def bump(distance2: Array, reach: float) -> Array:
    """The heat at a squared distance in pixels."""
    inside = np.maximum(1.0 - distance2 / (reach * reach), 0.0)
    return inside * inside


def corners(world: World) -> Vector:
    """Every corner of the room and of its boxes: x, y, z in the camera's frame, each (K,)."""
    points = [
        solid.world((i * solid.half[0], j * solid.half[1], k * solid.half[2]))
        for solid in world.solids
        if solid.corners and solid.shape in (BOX, ROOM)
        for i in (-1, 1)
        for j in (-1, 1)
        for k in (-1, 1)
    ]
    x, y, z = (np.array(values) for values in zip(*points, strict=True))
    eye = world.camera.place
    return world.camera.local((x - eye[0], y - eye[1], z - eye[2]))


def visible_corners(world: World) -> tuple[Array, Array]:
    """The corners that the image shows: x and y on the image plane, in focal lengths from the principal point."""
    x, y, z = corners(world)
    ahead = z > NEAR
    x, y, z = x[ahead] / z[ahead], y[ahead] / z[ahead], z[ahead]
    shown = (np.abs(x) < 0.5 / FOCAL) & (np.abs(y) < 0.5 / FOCAL)
    x, y, z = x[shown], y[shown], z[shown]
    free = cast(world, world.camera.world((x, y, np.ones_like(x)))).depth > z * (1 - 1e-3)
    return x[free], y[free]


def corner_heat(world: World, size: int) -> Array:
    """Keypoints (H, W): the heat of the nearest visible corner."""
    x, y = visible_corners(world)
    if not len(x):
        return np.zeros((size, size))
    place, focal = np.arange(size) + (0.5 - size / 2), FOCAL * size
    across = place.reshape(1, -1) - focal * x.reshape(-1, 1)  # (K, W)
    down = -place.reshape(1, -1) - focal * y.reshape(-1, 1)  # (K, H)
    distance2 = (down * down)[:, :, None] + (across * across)[:, None, :]
    return bump(distance2.min(0), CORNER_REACH * size)


def edge_pixels(face: Array) -> Array:
    """Pixels (H, W) with a neighbour on another face: where depth, normal or object break off."""
    edge = np.zeros(face.shape, bool)
    for axis in (0, 1):
        differs = np.diff(face, axis=axis) != 0
        first: list[slice] = [slice(None)] * 2
        second = list(first)
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        edge[tuple(first)] |= differs
        edge[tuple(second)] |= differs
    return edge


def edge_heat(face: Array) -> Array:
    """Edges (H, W): the heat of the nearest edge pixel."""
    reach = EDGE_REACH * face.shape[0]
    return bump(distance2(edge_pixels(face), int(reach) + 1), reach)


def distance2(marked: Array, limit: int) -> Array:
    """Squared distance (H, W) to the nearest marked pixel, exact up to `limit` pixels, larger beyond."""
    far = 4 * limit * limit
    cost = np.where(marked, 0, far)
    for axis in (0, 1):
        best = cost.copy()
        for step in range(1, limit + 1):
            near, away = (slice(None, -step), slice(step, None))
            a = (near, slice(None)) if axis == 0 else (slice(None), near)
            b = (away, slice(None)) if axis == 0 else (slice(None), away)
            np.minimum(best[a], cost[b] + step * step, out=best[a])
            np.minimum(best[b], cost[a] + step * step, out=best[b])
        cost = best
    return cost.astype(np.float64)
