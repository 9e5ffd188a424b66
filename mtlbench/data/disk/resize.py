"""Scenes at another size than their files': images by area or bilinearly, labels by nearest pixels, never mixed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import BeforeValidator, Field

from mtlbench.data.disk.cache import Column, Handler
from mtlbench.data.disk.files import Array
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT

Side = Annotated[int, Field(ge=16, le=4096)]
Size = tuple[int, int]


def _sides(value: Any) -> Any:
    """Text like "96" or "96x128" as sides; what it is not is left to the type."""
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", value) if isinstance(value, str) else None
    return value if match is None else (int(match[1]), int(match[2])) if match[2] else int(match[1])


ImageSize = Annotated[Side | tuple[Side, Side] | None, BeforeValidator(_sides)]
"""The shorter side (the longer one follows), or HEIGHTxWIDTH; None is the files' own size."""


def sides(wanted: int | Size | None, size: Size) -> Size:
    """What images of `size` (H, W) are brought to."""
    if wanted is None or not isinstance(wanted, int):
        return wanted or size
    short = min(size)
    height, width = (max(1, round(n * wanted / short)) for n in size)
    return height, width


def resized(source: Source, wanted: int | Size | None) -> Source:
    """The source at another size. Intrinsics shrink with the image: depth and normals stay what they are."""
    size = sides(wanted, source.size)
    if size == source.size:
        return source
    columns = {key: _column(column, key[1] == INPUT, size) for key, column in source.columns.items()}
    return replace(source, size=size, columns=columns)


def _column(column: Column, image: bool, size: Size) -> Column:
    change = partial(smooth if image else nearest, size=size)
    tolerant = column.tolerant

    def rows() -> Iterator[Array]:
        return map(change, column.rows())

    def tolerantly(handle: Handler) -> Iterable[Array]:
        assert tolerant is not None
        return map(change, tolerant(handle))

    return replace(
        column,
        shape=(*size, *column.shape[2:]),
        rows=rows,
        tolerant=tolerantly if tolerant else None,
        settings=f"{column.settings} at {size[0]}x{size[1]}",
    )


def smooth(image: Array, size: Size) -> Array:
    """An image uint8 (H, W, 3) at a size (H', W'): areas are averaged where it shrinks."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def nearest(values: Array, size: Size) -> Array:
    """Labels (H, W, ...) at a size (H', W'): every output pixel's centre looked up."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, values.shape[:2], strict=True))
    found: Array = values[rows[:, None], columns]
    return found
