"""Furnished rooms from a seed: what stands where in a scene, and how it is painted and lit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from mtlbench.data.rendering.paint import PATTERNS
from mtlbench.data.rendering.raycast import (
    BALL,
    BOX,
    CYLINDER,
    ROOM,
    STRAIGHT,
    Camera,
    Paint,
    Solid,
    Turn,
    Vector,
    World,
)

CLASSES = (
    "floor", "ceiling", "wall", "door", "picture", "lamp", "cabinet", "table", "crate", "drum", "column", "ball",
)  # fmt: skip
FLOOR, CEILING, WALL, DOOR, PICTURE, LAMP, CABINET, TABLE, CRATE, DRUM, COLUMN, BALL_ = range(len(CLASSES))
CLEAR = 1.1  # metres around the camera without furniture
TRIES = 12

T = TypeVar("T")


class Draws:
    """Random numbers from PCG64's raw output, whose stream numpy guarantees for good."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) * 2.0**-53)

    def below(self, count: int) -> int:
        """A whole number in 0..count-1."""
        return int(self.uniform() * count)

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return self.uniform() < share

    def turn(self, reach: float = 1.0) -> Turn:
        """An angle within 2 atan(reach) of straight: 90 degrees for 1. Rational, so that no cosine is needed."""
        t = self.uniform(-reach, reach)
        return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(len(left))]


class _Room:
    """A room under construction: its size, what stands in it, and the floor that is taken."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.width, self.height, self.length = (
            draws.uniform(3.2, 6.0), draws.uniform(2.3, 3.3), draws.uniform(4.0, 7.5),
        )  # fmt: skip
        eye = (
            draws.uniform(-0.25, 0.25) * self.width, draws.uniform(1.0, 1.8), draws.uniform(0.25, 0.8),
        )  # fmt: skip
        tilt = draws.uniform(-0.16, 0.02)
        pitch = ((1 - tilt * tilt) / (1 + tilt * tilt), 2 * tilt / (1 + tilt * tilt))
        self.camera = Camera(eye, draws.turn(0.22), pitch)
        self.taken: list[tuple[float, float, float]] = [(eye[0], eye[2], CLEAR)]
        self.solids: list[Solid] = []

    def paint(self) -> Paint:
        """Two random colours (linear light) in a random pattern."""
        draws = self.draws
        first, second = self._colour(), self._colour()
        return Paint(
            draws.below(PATTERNS), (first, second), draws.uniform(0.15, 0.7), draws.turn(), draws.below(1 << 20)
        )

    def _colour(self) -> Vector:
        draws = self.draws
        bright, grey = draws.uniform(0.25, 0.95), draws.uniform(0.15, 0.8)
        channels = [grey + (1 - grey) * draws.uniform() for _ in range(3)]
        top = max(channels)
        r, g, b = (bright * c / top for c in channels)
        return r, g, b

    def add(
        self, shape: int, label: int, centre: Vector, half: Vector, turn: Turn = STRAIGHT, corners: bool = True
    ) -> None:
        """One solid in one paint."""
        self.solids.append(Solid(shape, centre, half, (label,), (self.paint(),), turn, corners and shape == BOX))

    def shell(self) -> Solid:
        """The room itself."""
        wall = self.paint()
        paints = (wall, wall, self.paint(), self.paint(), wall, wall)
        labels = (WALL, WALL, FLOOR, CEILING, WALL, WALL)
        half = (self.width / 2, self.height / 2, self.length / 2)
        return Solid(ROOM, (0.0, half[1], half[2]), half, labels, paints, STRAIGHT, True)

    def spot(self, radius: float) -> tuple[float, float] | None:
        """A free place on the floor for something of this radius; None where none was found."""
        for _ in range(TRIES):
            x = self.draws.uniform(radius - self.width / 2, self.width / 2 - radius)
            z = self.draws.uniform(radius, self.length - radius)
            if all((x - a) * (x - a) + (z - b) * (z - b) > (radius + r) * (radius + r) for a, b, r in self.taken):
                self.taken.append((x, z, radius))
                return x, z
        return None

    def on_wall(self, wall: int, label: int, wide: float, high: float, middle: float, thick: float) -> None:
        """A flat box on the far (0), left (1) or right (2) wall, `middle` metres above the floor."""
        if wall == 0:
            x = self.draws.uniform(wide / 2 - self.width / 2, self.width / 2 - wide / 2)
            self.add(BOX, label, (x, middle, self.length - thick / 2), (wide / 2, high / 2, thick / 2))
        else:
            side = self.width / 2 - thick / 2
            z = self.draws.uniform(1.2 + wide / 2, self.length - wide / 2)
            self.add(BOX, label, (side if wall == 2 else -side, middle, z), (thick / 2, high / 2, wide / 2))

    def door(self, wall: int) -> None:
        self.on_wall(wall, DOOR, self.draws.uniform(0.75, 1.0), 2.02, 1.01, 0.05)

    def picture(self, wall: int) -> None:
        wide, high = self.draws.uniform(0.5, 1.3), self.draws.uniform(0.4, 0.9)
        self.on_wall(wall, PICTURE, wide, high, self.draws.uniform(1.3, 1.7), 0.04)

    def cabinet(self) -> None:
        """A tall box with its back to the far, left or right wall."""
        draws, wall = self.draws, self.draws.below(3)
        wide, high, deep = draws.uniform(0.5, 1.2), draws.uniform(1.1, 2.1), draws.uniform(0.35, 0.6)
        radius = max(wide, deep) / 2
        for _ in range(TRIES):
            if wall == 0:
                x, z = draws.uniform(wide / 2 - self.width / 2, self.width / 2 - wide / 2), self.length - deep / 2
            else:
                x, z = (self.width - deep) / 2, draws.uniform(1.2 + wide / 2, self.length - wide / 2)
                x = x if wall == 2 else -x
            if all((x - a) * (x - a) + (z - b) * (z - b) > (radius + r) * (radius + r) for a, b, r in self.taken):
                self.taken.append((x, z, radius))
                half = (wide / 2, high / 2, deep / 2) if wall == 0 else (deep / 2, high / 2, wide / 2)
                self.add(BOX, CABINET, (x, high / 2, z), half)
                return

    def table(self) -> None:
        """A slab on a foot, or on two panels, sometimes with something on it."""
        draws = self.draws
        wide, deep, high = draws.uniform(0.8, 1.5), draws.uniform(0.6, 0.9), draws.uniform(0.6, 0.85)
        place, turn = self.spot(max(wide, deep) / 2 + 0.05), draws.turn()
        if place is None:
            return
        x, z = place
        self.add(BOX, TABLE, (x, high - 0.03, z), (wide / 2, 0.03, deep / 2), turn)
        top = self.solids[-1]
        if draws.chance(0.5):
            self.add(CYLINDER, TABLE, (x, high / 2 - 0.03, z), (0.09, high / 2 - 0.03, 0.09))
        else:
            for side in (-1, 1):
                foot = top.world((side * (wide / 2 - 0.08), -high / 2, 0.0))
                self.add(BOX, TABLE, foot, (0.03, high / 2 - 0.03, deep / 2 - 0.05), turn, corners=False)
        if draws.chance(0.6):
            self.small((x, high, z))

    def small(self, place: Vector) -> None:
        """A small crate, drum or ball on top of something."""
        x, y, z = place
        size, kind = self.draws.uniform(0.1, 0.2), self.draws.below(3)
        if kind == 0:
            self.add(BOX, CRATE, (x, y + size, z), (size, size, size), self.draws.turn())
        elif kind == 1:
            self.add(CYLINDER, DRUM, (x, y + size, z), (0.7 * size, size, 0.7 * size))
        else:
            self.add(BALL, BALL_, (x, y + size, z), (size, size, size))

    def crate(self) -> None:
        """A box on the floor, sometimes with something on it."""
        draws = self.draws
        a, h, b = draws.uniform(0.2, 0.45), draws.uniform(0.15, 0.4), draws.uniform(0.2, 0.45)
        place = self.spot(max(a, b) * 1.25)
        if place is not None:
            self.add(BOX, CRATE, (place[0], h, place[1]), (a, h, b), draws.turn())
            if draws.chance(0.35):
                self.small((place[0], 2 * h, place[1]))

    def drum(self) -> None:
        r, h = self.draws.uniform(0.18, 0.38), self.draws.uniform(0.22, 0.5)
        place = self.spot(r)
        if place is not None:
            self.add(CYLINDER, DRUM, (place[0], h, place[1]), (r, h, r))

    def column(self) -> None:
        r, h = self.draws.uniform(0.1, 0.22), self.height / 2
        place = self.spot(r)
        if place is not None:
            self.add(CYLINDER, COLUMN, (place[0], h, place[1]), (r, h, r))

    def ball(self) -> None:
        r = self.draws.uniform(0.15, 0.42)
        place = self.spot(r)
        if place is not None:
            self.add(BALL, BALL_, (place[0], r, place[1]), (r, r, r))

    def lamp(self) -> None:
        """A flat drum under the ceiling."""
        r, h = self.draws.uniform(0.2, 0.45), self.draws.uniform(0.05, 0.14)
        x = self.draws.uniform(-0.3, 0.3) * self.width
        z = self.draws.uniform(0.4, 0.85) * self.length
        self.add(CYLINDER, LAMP, (x, self.height - h, z), (r, h, r))

    def light(self) -> tuple[Vector, Vector]:
        """A point light below the ceiling, and its colour."""
        draws = self.draws
        place = (
            draws.uniform(-0.35, 0.35) * self.width,
            self.height - draws.uniform(0.3, 0.7),
            draws.uniform(0.15, 0.7) * self.length,
        )
        strength, warm = draws.uniform(0.9, 1.6), draws.uniform(-0.15, 0.15)
        return place, (strength * (1 + warm), strength, strength * (1 - warm))


def furnish(seed: int) -> World:
    """A room with furniture, a camera near its front wall, and a light: a pure function of the seed."""
    draws = Draws(seed)
    room = _Room(draws)
    shell = room.shell()
    walls = draws.shuffled((0, 1, 2))
    if draws.chance(0.75):
        room.door(walls[0])
    for wall in walls[1:]:
        if draws.chance(0.65):
            room.picture(wall)
    if draws.chance(0.7):
        room.lamp()
    makers = (room.cabinet, room.table, room.crate, room.drum, room.column, room.ball)
    for make in [*draws.shuffled(makers)[: 4 + draws.below(3)], *draws.shuffled(makers[1:])[: draws.below(3)]]:
        make()
    place, shine = room.light()
    return World((shell, *room.solids), room.camera, place, shine)
