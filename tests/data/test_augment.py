"""Zoom, mirror and crop: against a pixel-by-pixel loop in float64, and by what geometry demands of depth and normals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtlbench.data.augment import (
    Affine,
    Augmentation,
    apply,
    augment,
    draw,
    inverse_depth,
    log_depth,
    metric_depth,
    unscaled_depth,
)
from mtlbench.data.base import Batch
from mtlbench.data.rendering.raycast import BALL, CYLINDER, FACES, FOCAL, view
from mtlbench.data.rendering.rooms import furnish
from mtlbench.errors import ConfigError
from mtlbench.tasks import VOID, Task

TASKS = (
    Task("segmentation", "segmentation", 5),
    Task("normals", "normals", 3),
    Task("depth", "depth", 1),
    Task("edges", "edges", 1),
    Task("domain", "classification", 4),
)


def batch(count: int = 3, height: int = 9, width: int = 11, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    classes = torch.randint(-1, 5, (count, height, width), generator=random)
    normals = torch.nn.functional.normalize(torch.randn(count, 3, height, width, generator=random), dim=1)
    depth = 1 + torch.rand(count, 1, height, width, generator=random)
    depth[torch.rand(depth.shape, generator=random) < 0.2] = torch.nan
    return Batch(
        torch.randn(count, 3, height, width, generator=random),
        {
            "segmentation": classes,
            "normals": normals,
            "depth": depth,
            "edges": torch.rand(count, 1, height, width, generator=random),
            "domain": torch.arange(count),
        },
    )


def affine(zoom: list[float], offset: list[tuple[int, int]], mirror: list[bool]) -> Affine:
    return Affine(
        torch.tensor(zoom, dtype=torch.float64), torch.tensor(offset, dtype=torch.float64), torch.tensor(mirror)
    )


def same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a.nan_to_num(nan=-99.0), b.nan_to_num(nan=-99.0))


def naive(source: Batch, maps: Affine, crop: tuple[int, int]) -> Batch:
    """The whole transformation one pixel at a time, in float64."""
    count, channels, height, width = source.inputs.shape
    image = np.zeros((count, channels, *crop))
    classes = np.full((count, *crop), VOID)
    normals, depth = np.full((count, 3, *crop), np.nan), np.full((count, 1, *crop), np.nan)
    edges = np.full((count, 1, *crop), np.nan)
    t = source.targets
    for b in range(count):
        s, (top, left), mirror = float(maps.zoom[b]), maps.offset[b].tolist(), bool(maps.mirror[b])
        for i in range(crop[0]):
            for j in range(crop[1]):
                y = (i + top + 0.5) / s - 0.5
                x = ((crop[1] - 1 - j if mirror else j) + left + 0.5) / s - 0.5
                row, column = math.floor(y + 0.5), math.floor(x + 0.5)
                if not (0 <= row < height and 0 <= column < width):
                    continue
                classes[b, i, j] = t["segmentation"][b, row, column]
                depth[b, 0, i, j] = float(t["depth"][b, 0, row, column]) / s
                edges[b, 0, i, j] = t["edges"][b, 0, row, column]
                n = t["normals"][b, :, row, column].double().numpy() * np.array([-1 if mirror else 1, 1, s])
                normals[b, :, i, j] = n / np.sqrt((n * n).sum())
                y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                i0, j0 = min(int(y), height - 2), min(int(x), width - 2)
                p = source.inputs[b, :, i0 : i0 + 2, j0 : j0 + 2].double().numpy()
                wy, wx = np.array([1 - (y - i0), y - i0]), np.array([1 - (x - j0), x - j0])
                image[b, :, i, j] = np.einsum("i,cij,j->c", wy, p, wx)
    as_tensor = torch.from_numpy
    return Batch(
        as_tensor(image),
        {
            "segmentation": as_tensor(classes),
            "normals": as_tensor(normals),
            "depth": as_tensor(depth),
            "edges": as_tensor(edges),
        },
    )


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.double(), b.double(), atol=2e-5, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("crop", [(9, 11), (6, 5), (14, 16), (6, 16)])
def test_equals_the_pixel_by_pixel_loop(crop: tuple[int, int]) -> None:
    source, how = batch(6), Augmentation((0.5, 2.0), crop=crop)
    maps = draw(how, 6, (9, 11), torch.Generator().manual_seed(crop[0] * 100 + crop[1]))
    maps.zoom[0] = 1.0  # an unzoomed image among zoomed ones
    maps.offset[0] = 0.0
    result, expected = apply(source, TASKS, maps, how), naive(source, maps, crop)
    assert close(result.inputs, expected.inputs)
    for name, target in expected.targets.items():
        assert close(result.targets[name], target), name
    assert result.targets["segmentation"].dtype == torch.int64


def test_the_loop_notices_a_wrong_offset() -> None:
    source, how = batch(1), Augmentation()
    result = apply(source, TASKS, affine([1.5], [(1, 2)], [False]), how)
    assert not close(result.inputs, naive(source, affine([1.5], [(1, 3)], [False]), (9, 11)).inputs)


def test_identity_is_identity_bit_for_bit() -> None:
    source = batch(4)
    for result in (
        apply(source, TASKS, affine([1.0] * 4, [(0, 0)] * 4, [False] * 4), Augmentation()),
        augment(source, TASKS, Augmentation(mirror=False), torch.Generator().manual_seed(1)),
    ):
        assert same(result.inputs, source.inputs)
        assert all(same(result.targets[name], target) for name, target in source.targets.items())


def test_an_unzoomed_image_keeps_its_bits_beside_zoomed_ones() -> None:
    source = batch(2)
    result = apply(source, TASKS, affine([1.0, 1.3], [(0, 0), (1, 1)], [False, False]), Augmentation())
    assert same(result.inputs[0], source.inputs[0])
    assert all(same(result.targets[name][0], target[0]) for name, target in source.targets.items())


def test_mirroring_twice_is_identity() -> None:
    source, once = batch(2), affine([1.0, 1.0], [(0, 0), (0, 0)], [True, True])
    mirrored = apply(source, TASKS, once, Augmentation())
    assert same(mirrored.inputs, source.inputs.flip(-1))
    assert same(mirrored.targets["segmentation"], source.targets["segmentation"].flip(-1))
    assert same(mirrored.targets["normals"][:, 0], -source.targets["normals"][:, 0].flip(-1))
    twice = apply(mirrored, TASKS, once, Augmentation())
    assert same(twice.inputs, source.inputs)
    assert all(same(twice.targets[name], target) for name, target in source.targets.items())


def test_the_source_batch_is_left_alone() -> None:
    source, copy = batch(2), batch(2)
    augment(source, TASKS, Augmentation((0.5, 1.5)), torch.Generator().manual_seed(0))
    assert same(source.inputs, copy.inputs)
    assert all(same(source.targets[name], target) for name, target in copy.targets.items())


def test_classification_passes_through() -> None:
    source = batch(3)
    result = augment(source, TASKS, Augmentation((0.5, 1.5), crop=(4, 4)), torch.Generator().manual_seed(0))
    assert same(result.targets["domain"], source.targets["domain"])


def test_padding_is_masked_and_nothing_else() -> None:
    source, how = batch(1), Augmentation(crop=(12, 15))
    source.inputs.fill_(7.0)
    source.targets["segmentation"].fill_(3)
    source.targets["depth"].fill_(2.0)
    result = apply(source, TASKS, affine([1.0], [(-2, -3)], [False]), how)
    inside = torch.zeros(1, 12, 15, dtype=torch.bool)
    inside[:, 2:11, 3:14] = True
    assert torch.equal(result.inputs[:, 0] == 7.0, inside)
    assert torch.equal(result.inputs[:, 0] == 0.0, ~inside)
    assert torch.equal(result.targets["segmentation"] == VOID, ~inside)
    assert torch.equal(result.targets["depth"].isnan()[:, 0], ~inside)
    assert torch.equal(result.targets["normals"].isnan().all(1), ~inside)


@given(zoom=st.floats(0.3, 3.0), high=st.floats(0.0, 1.0), crop=st.tuples(st.integers(1, 30), st.integers(1, 30)))
@settings(max_examples=30, deadline=None)
def test_crops_lie_inside_a_larger_image_and_images_inside_a_larger_crop(
    zoom: float, high: float, crop: tuple[int, int]
) -> None:
    how = Augmentation((zoom, zoom + high), crop=crop)
    maps = draw(how, 16, (9, 11), torch.Generator().manual_seed(3))
    assert ((maps.zoom >= zoom) & (maps.zoom <= zoom + high)).all()
    for axis, length in enumerate((9, 11)):
        room = maps.zoom * length - crop[axis]
        offset = maps.offset[:, axis]
        assert torch.equal(offset, offset.round())
        assert ((offset >= room.clamp(max=0)) & (offset <= room.clamp(min=0))).all()


def test_draws_are_a_pure_function_of_settings_and_generator() -> None:
    how = Augmentation((0.5, 1.5), crop=(5, 6))
    one, two = (draw(how, 8, (9, 11), torch.Generator().manual_seed(5)) for _ in range(2))
    other = draw(how, 8, (9, 11), torch.Generator().manual_seed(6))
    assert torch.equal(one.zoom, two.zoom)
    assert torch.equal(one.offset, two.offset)
    assert torch.equal(one.mirror, two.mirror)
    assert not torch.equal(one.zoom, other.zoom)


def test_half_of_the_images_are_mirrored_and_none_without() -> None:
    maps = draw(Augmentation(), 4000, (9, 11), torch.Generator().manual_seed(0))
    assert abs(float(maps.mirror.double().mean()) - 0.5) < 0.04
    assert not draw(Augmentation(mirror=False), 100, (9, 11), torch.Generator().manual_seed(0)).mirror.any()


def test_place_inverts_source() -> None:
    maps = draw(Augmentation((0.5, 2.0), crop=(7, 8)), 12, (9, 11), torch.Generator().manual_seed(2))
    for axis, length in ((0, 7), (1, 8)):
        coordinates = maps.source(axis, length)
        for output in range(length):
            assert torch.allclose(
                maps.place(axis, coordinates[:, output], length), torch.tensor(float(output)).double()
            )


def test_what_a_zoom_does_to_each_kind_of_depth() -> None:
    metres, zoom = torch.tensor([0.5, 2.0, 9.0]), torch.tensor(1.6)
    nearer = metres / 1.6
    assert torch.allclose(metric_depth(metres, zoom), nearer)
    assert torch.allclose(inverse_depth(1 / metres, zoom), 1 / nearer)

    def encoded(d: Tensor) -> Tensor:
        return torch.log(1 + d) / math.log(2**16)

    assert torch.allclose(log_depth(encoded(512 * metres), zoom), encoded(512 * nearer), atol=1e-6)
    assert torch.equal(unscaled_depth(metres, zoom), metres)


def test_the_settings_depth_function_is_the_one_used() -> None:
    source, maps = batch(1), affine([1.5], [(0, 0)], [False])
    near = apply(source, TASKS, maps, Augmentation()).targets["depth"]
    far = apply(source, TASKS, maps, Augmentation(depth=inverse_depth)).targets["depth"]
    assert torch.allclose(far, near * 1.5 * 1.5, equal_nan=True)


@pytest.mark.parametrize("zoom", [(0.0, 1.0), (1.5, 0.5), (-1.0, 1.0), (0.5, math.inf), (math.nan, 1.0)])
def test_impossible_zooms_are_refused(zoom: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"zoom is .* \(allowed: two factors above 0 in rising order\)"):
        Augmentation(zoom)


def test_impossible_crops_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"crop is \(0, 4\)"):
        Augmentation(crop=(0, 4))


# Geometry: with the principal point tracked, the augmented depth and normals describe one rigid world.


def world_batch(seed: int, size: int) -> Batch:
    """A rendered room; "face" numbers its planar faces, VOID on balls and cylinders."""
    world = furnish(seed)
    seen = view(world, size)
    face = torch.from_numpy(seen.face)
    for index, solid in enumerate(world.solids):
        if solid.shape in (BALL, CYLINDER):
            face[face // FACES == index] = VOID
    normals = torch.from_numpy(seen.normals).float().unsqueeze(0)
    depth = torch.from_numpy(seen.depth).float().view(1, 1, size, size)
    return Batch(torch.zeros(1, 3, size, size), {"face": face.unsqueeze(0), "normals": normals, "depth": depth})


GEOMETRY = (Task("face", "segmentation", 500), *TASKS[1:3])


def positions(depth: Tensor, cx: float, cy: float, focal: float) -> Tensor:
    """Planar depth (H, W) -> camera coordinates (H, W, 3)."""
    row, column = torch.meshgrid(*(torch.arange(n).double() for n in depth.shape), indexing="ij")
    z = depth.double()
    return torch.stack(((column - cx) / focal * z, -(row - cy) / focal * z, z), -1)


def worst_angle(points: Tensor, normals: Tensor, face: Tensor) -> float:
    """Degrees, at most, between a large planar face's labelled normal and the plane through its points."""
    worst = 0.0
    for number in face.unique():
        where = face == number
        if number < 0 or where.sum() < 0.02 * face.numel():
            continue
        cloud = points[where]
        fitted = torch.linalg.svd(cloud - cloud.mean(0), full_matrices=False)[2][2]
        truth = torch.nn.functional.normalize(normals[:, where].double().mean(1), dim=0)
        worst = max(worst, math.degrees(math.acos(min(1.0, float((fitted @ truth).abs())))))
    return worst


@pytest.mark.parametrize(("zoom", "mirror"), [(0.6, False), (0.8, True), (1.25, True), (1.7, False)])
def test_augmented_depth_and_normals_describe_one_world(zoom: float, mirror: bool) -> None:
    size, crop = 192, (160, 200)
    right, wrong, moved = [], [], []
    sign = -1.0 if mirror else 1.0
    forgotten = torch.tensor([sign, 1.0, 1.0 if mirror else 1 / zoom]).view(3, 1, 1)
    for seed in range(3):
        source, how = world_batch(seed, size), Augmentation((zoom, zoom), crop=crop)
        maps = draw(how, 1, (size, size), torch.Generator().manual_seed(seed))
        maps.mirror[0] = mirror
        t = apply(source, GEOMETRY, maps, how).targets
        normals, face = t["normals"][0], t["face"][0]
        middle = torch.tensor([size / 2 - 0.5], dtype=torch.float64)
        cy, cx = (float(maps.place(axis, middle, crop[axis])) for axis in (0, 1))
        points = positions(t["depth"][0, 0], cx, cy, FOCAL * size)
        right.append(worst_angle(points, normals, face))
        wrong.append(worst_angle(points, normals * forgotten, face))
        length = normals.square().sum(0).sqrt()
        assert torch.allclose(length[length.isfinite()], torch.ones(()), atol=1e-6)

        # What comes nearer by 1 / s while its picture grows by s keeps its place across the line of sight.
        first = positions(source.targets["depth"][0, 0], size / 2 - 0.5, size / 2 - 0.5, FOCAL * size)
        row, column = ((maps.source(a, crop[a])[0] + 0.5).floor().long().clamp(0, size - 1) for a in (0, 1))
        before = first[row][:, column][..., :2] * torch.tensor([sign, 1.0]).double()
        pixel = float(first[..., 2].max()) / (FOCAL * size)
        inside = t["depth"][0, 0].isfinite()
        moved.append(float((points[..., :2] - before)[inside].abs().max()) / pixel)
    assert max(right) < 2.5  # labels are nearest neighbours': half a pixel of position is left
    assert max(wrong) > 10.0  # the fits do notice a mirror or a turn that was forgotten
    assert max(moved) < 0.51


@pytest.mark.parametrize("seed", range(3))
def test_mirrored_labels_are_those_of_the_mirrored_world(seed: int) -> None:
    size, world = 64, furnish(seed)
    source = world_batch(seed, size)
    t = apply(source, GEOMETRY, affine([1.0], [(0, 0)], [True]), Augmentation()).targets
    seen = view(world.mirrored(), size)
    assert torch.equal(t["depth"][0, 0], torch.from_numpy(seen.depth).float())
    assert torch.equal(t["normals"][0], torch.from_numpy(seen.normals).float())
