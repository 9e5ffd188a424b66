"""The ray caster against hand-computed scenes, its own geometry, and itself without shortcuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mtlbench.data.rendering.heat import bump, corner_heat, distance2, edge_heat, edge_pixels, visible_corners
from mtlbench.data.rendering.paint import PATTERNS, pattern, photograph, shadowed
from mtlbench.data.rendering.raycast import (
    BALL,
    BOX,
    CYLINDER,
    FACES,
    FOCAL,
    ROOM,
    STRAIGHT,
    Camera,
    Paint,
    Solid,
    Vector,
    World,
    cast,
    rays,
    view,
)
from mtlbench.data.rendering.rooms import CLASSES, CRATE, Draws, furnish

GREY = Paint(0, ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), 0.5, STRAIGHT, 1)
SEEDS = range(12)


def world(*solids: Solid, pitch: tuple[float, float] = STRAIGHT) -> World:
    """A 4 x 3 x 6 room seen from (0, 1.5, 1), straight ahead: the far wall is 5 m away."""
    room = Solid(ROOM, (0.0, 1.5, 3.0), (2.0, 1.5, 3.0), (2, 2, 0, 1, 2, 2), (GREY,), corners=True)
    return World((room, *solids), Camera((0.0, 1.5, 1.0), STRAIGHT, pitch), (0.0, 2.8, 3.0), (1.0, 1.0, 1.0))


def solid(shape: int, centre: Vector, half: Vector, turn: tuple[float, float] = STRAIGHT) -> Solid:
    return Solid(shape, centre, half, (CRATE,), (GREY,), turn, corners=shape == BOX)


def test_an_empty_room_by_hand() -> None:
    size = 64
    seen = view(world(), size)
    focal = FOCAL * size
    assert seen.depth[32, 32] == pytest.approx(5.0)
    assert seen.label[32, 32] == 2
    assert seen.normals[:, 32, 32] == pytest.approx([0, 0, -1])  # a wall facing the camera
    # Bottom row: y = -(31.5 / f) z reaches the floor, 1.5 m below, at z = 1.5 f / 31.5.
    assert seen.depth[63, 32] == pytest.approx(1.5 * focal / 31.5)
    assert seen.normals[:, 63, 32] == pytest.approx([0, 1, 0])
    assert seen.label[63, 32] == 0
    assert seen.normals[:, 0, 32] == pytest.approx([0, -1, 0])
    assert seen.label[0, 32] == 1
    # Leftmost column: x = -(31.5 / f) z reaches the left wall, 2 m away, at z = 2 f / 31.5.
    assert seen.depth[32, 0] == pytest.approx(2.0 * focal / 31.5)
    assert seen.normals[:, 32, 0] == pytest.approx([1, 0, 0])


def test_solids_by_hand() -> None:
    for shape, half in ((BALL, (0.5, 0.5, 0.5)), (BOX, (0.5, 0.7, 0.5)), (CYLINDER, (0.5, 0.7, 0.5))):
        seen = view(world(solid(shape, (0.0, 1.5, 3.0), half)), 64)
        assert seen.depth[32, 32] == pytest.approx(1.5, abs=2e-3)  # its front, 2 m less the half extent
        assert seen.normals[:, 32, 32] == pytest.approx([0, 0, -1], abs=0.05)
        assert seen.label[32, 32] == CRATE
        assert seen.label[32, 0] == 2
    turned = view(world(solid(BOX, (0.0, 1.5, 3.0), (0.5, 0.7, 0.5), (0.5**0.5, 0.5**0.5))), 64)
    assert turned.depth[32, 31:33].min() == pytest.approx(2 - 0.5 * 2**0.5, abs=0.02)  # its edge
    assert np.abs(turned.normals[:, 32, 32]) == pytest.approx([0.5**0.5, 0, 0.5**0.5])


def test_looking_down_turns_the_floor_towards_the_camera() -> None:
    down = (0.8, -0.6)
    seen = view(world(pitch=down), 64)
    floor = seen.label == 0
    assert floor.any()
    assert seen.normals[:, floor] == pytest.approx(np.tile([[0], [0.8], [-0.6]], floor.sum()))


@pytest.mark.parametrize("seed", SEEDS)
def test_depth_and_focal_length_give_the_labelled_normals(seed: int) -> None:
    """Planes fitted to each planar face; balls and cylinders by their distance from centre and axis."""
    size, scene = 64, furnish(seed)
    seen = view(scene, size)
    x, y, z = (np.asarray(d).reshape(-1) for d in np.broadcast_arrays(*rays(size)))
    points = np.stack([x, y, z], 1) * seen.depth.reshape(-1, 1)
    normals, checked = seen.normals.reshape(3, -1), 0
    assert np.sqrt((normals**2).sum(0)) == pytest.approx(1.0)
    assert (np.einsum("ca,ac->a", normals, points) < 0).all()  # every visible surface faces the camera
    for number in np.unique(seen.face):
        where = seen.face.reshape(-1) == number
        shape = scene.solids[number // FACES].shape
        if shape in (BOX, ROOM) or (shape == CYLINDER and number % FACES):
            cloud = points[where] - points[where].mean(0)
            spread = np.linalg.svd(cloud, full_matrices=False)[1]
            if where.sum() >= 8 and spread[1] > 1e-3:
                assert np.abs(cloud @ normals[:, where].mean(1)).max() < 1e-9  # the points lie in the labelled plane
                checked += 1
        if shape == BALL:
            ball = scene.solids[number // FACES]
            centre = np.array(
                scene.camera.local(tuple(c - e for c, e in zip(ball.centre, scene.camera.place, strict=True)))  # type: ignore[arg-type]
            )
            assert points[where] - centre == pytest.approx(normals[:, where].T * ball.half[0], abs=1e-9)
    assert checked >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mirrored_room_has_the_mirrored_labels(seed: int) -> None:
    scene = furnish(seed)
    seen, mirror = view(scene, 64), view(scene.mirrored(), 64)
    assert np.array_equal(mirror.depth, seen.depth[:, ::-1])
    assert np.array_equal(mirror.label, seen.label[:, ::-1])
    assert np.array_equal(mirror.normals, seen.normals[:, :, ::-1] * np.array([-1, 1, 1]).reshape(3, 1, 1))
    assert np.array_equal(edge_heat(mirror.face), edge_heat(seen.face)[:, ::-1])
    assert np.array_equal(corner_heat(scene.mirrored(), 64), corner_heat(scene, 64)[:, ::-1])
    assert not np.array_equal(mirror.depth, seen.depth)


@pytest.mark.parametrize("seed", SEEDS)
def test_bounding_rectangles_hide_nothing(seed: int) -> None:
    scene = furnish(seed)
    direction = tuple(np.broadcast_to(d, (48 * 48,)) for d in scene.camera.world(rays(48)))
    quick, plain = cast(scene, direction, 48), cast(scene, direction)  # type: ignore[arg-type]
    assert np.array_equal(quick.solid, plain.solid)
    assert np.array_equal(quick.depth, plain.depth)


@pytest.mark.parametrize("seed", SEEDS)
def test_light_cones_lose_no_shadow(seed: int) -> None:
    """Against a march along every ray of light, which knows only what lies inside a solid."""
    scene = furnish(seed)
    size = 16
    seen = view(scene, size)
    eye = scene.camera.place
    direction = scene.camera.world(rays(size))
    point = tuple(e + seen.depth.reshape(-1) * d for e, d in zip(eye, direction, strict=True))
    way = [light - p for light, p in zip(scene.light, point, strict=True)]
    distance = np.sqrt(way[0] ** 2 + way[1] ** 2 + way[2] ** 2)
    dark = shadowed(scene, point, tuple(w / distance for w in way), distance)  # type: ignore[arg-type]
    inside = np.zeros(size * size, bool)
    for share in np.linspace(0.01, 0.99, 197):
        here = tuple(p + share * w for p, w in zip(point, way, strict=True))
        for thing in scene.solids[1:]:
            x, y, z = thing.local(here)  # type: ignore[arg-type]
            a, b, c = thing.half
            if thing.shape == BOX:
                inside |= (np.abs(x) < a) & (np.abs(y) < b) & (np.abs(z) < c)
            elif thing.shape == BALL:
                inside |= x * x + y * y + z * z < a * a
            else:
                inside |= (x * x + z * z < a * a) & (np.abs(y) < b)
    normals = scene.camera.world(tuple(seen.normals.reshape(3, -1)))  # type: ignore[arg-type]
    lit = sum(w * n for w, n in zip(way, normals, strict=True)) / distance > 0.02  # not its own shade
    assert lit.mean() > 0.3
    assert (dark[lit & inside]).mean() > 0.98  # a march from a contact starts inside by rounding
    assert (dark != inside)[lit].mean() < 0.04  # grazing rays pass between the march's steps


def test_a_table_top_shades_the_floor_below() -> None:
    top = solid(BOX, (0.0, 1.0, 3.0), (0.6, 0.05, 0.6))
    point = tuple(np.array(v) for v in ([0.0, 1.9], [0.0, 0.0], [3.0, 3.0]))
    scene = world(top)
    way = [light - p for light, p in zip(scene.light, point, strict=True)]
    distance = np.sqrt(way[0] ** 2 + way[1] ** 2 + way[2] ** 2)
    dark = shadowed(scene, point, tuple(w / distance for w in way), distance)  # type: ignore[arg-type]
    assert dark.tolist() == [True, False]


@pytest.mark.parametrize("seed", SEEDS)
def test_pictures_are_finite_and_in_range(seed: int) -> None:
    picture = photograph(furnish(seed), 32)
    assert picture.shape == (3, 32, 32)
    assert np.isfinite(picture).all()
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.02


def test_every_pattern_is_finite_and_none_is_flat() -> None:
    u, v = np.meshgrid(np.linspace(-3, 3, 40), np.linspace(-3, 3, 40))
    for number in range(PATTERNS):
        share = pattern(replace(GREY, pattern=number), u.ravel(), v.ravel())
        assert np.isfinite(share).all()
        assert share.min() >= -0.2
        assert share.max() <= 1.2
        assert share.std() > 0.01


# Heat maps.


def test_distances_equal_the_brute_force() -> None:
    marked = np.random.default_rng(0).random((20, 27)) < 0.02
    row, column = np.nonzero(marked)
    i, j = np.mgrid[:20, :27]
    brute = ((i[..., None] - row) ** 2 + (j[..., None] - column) ** 2).min(-1)
    limit = 6
    found = distance2(marked, limit)
    near = brute <= limit * limit
    assert np.array_equal(found[near], brute[near])
    assert (found[~near] > limit * limit).all()


def test_the_bump_falls_from_one_to_zero() -> None:
    assert bump(np.array([0.0, 4.0, 16.0, 25.0]), 4.0) == pytest.approx([1.0, 0.5625, 0.0, 0.0])


def test_edges_are_where_a_neighbour_is_another_face() -> None:
    face = np.zeros((5, 6), int)
    face[:, 3:] = 1
    assert edge_pixels(face).sum(0).tolist() == [0, 0, 5, 5, 0, 0]
    assert not edge_pixels(np.zeros((4, 4), int)).any()


def test_corners_by_hand() -> None:
    # The far wall's four corners, 5 m away: (+-2, +-1.5) / 5 lies within half a frame (0.5 / 0.9) of the centre.
    x, y = visible_corners(world())
    assert sorted(zip(x.round(6), y.round(6), strict=True)) == [(-0.4, -0.3), (-0.4, 0.3), (0.4, -0.3), (0.4, 0.3)]
    heat = corner_heat(world(), 64)
    peaks = heat[(32 + np.array([-1, 1])[:, None] * 17.28).astype(int), (32 + np.array([-1, 1]) * 23.04).astype(int)]
    assert (peaks > 0.98).all()
    assert heat[32, 32] < 0.05


def test_hidden_corners_are_no_keypoints() -> None:
    near = solid(BOX, (1.0, 0.75, 3.0), (0.5, 0.75, 0.2))
    shown = set(zip(*(c.round(3).tolist() for c in visible_corners(world(near))), strict=True))
    front, back = (1.5 / 1.8, -1.5 / 1.8), (0.5 / 2.2, -1.5 / 2.2)
    assert (round(0.5 / 1.8, 3), round(0.0, 3)) in shown  # front, top, left
    assert tuple(round(v, 3) for v in front) not in shown  # outside the frame
    assert tuple(round(v, 3) for v in back) not in shown  # behind the box itself


# Furnishing.


def test_furnishing_is_a_pure_function_of_the_seed() -> None:
    assert furnish(5) == furnish(5)
    assert furnish(5) != furnish(6)


def test_draws_are_uniform_and_their_stream_is_fixed() -> None:
    draws = Draws(0)
    values = np.array([draws.uniform() for _ in range(4000)])
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(values.std() - 12**-0.5) < 0.01
    raw = np.random.PCG64(0).random_raw(3)
    assert values[:3].tolist() == [(int(r) >> 11) / 2**53 for r in raw]
    assert sorted(Draws(1).shuffled(range(9))) == list(range(9))
    cos, sin = Draws(2).turn()
    assert cos * cos + sin * sin == pytest.approx(1.0)


def test_furniture_stands_inside_the_room_clear_of_the_camera() -> None:
    for seed in range(60):
        scene = furnish(seed)
        room, eye = scene.solids[0], scene.camera.place
        for thing in scene.solids[1:]:
            low, high = thing.centre[1] - thing.half[1], thing.centre[1] + thing.half[1]
            assert low > -1e-9
            assert high < 2 * room.half[1] + 1e-9
            if thing.half[1] < 0.2 * room.half[1] or thing.labels[0] == CLASSES.index("lamp"):
                continue  # table tops may reach over their floor disc's edge
            away = (thing.centre[0] - eye[0]) ** 2 + (thing.centre[2] - eye[2]) ** 2
            assert away > 0.5
