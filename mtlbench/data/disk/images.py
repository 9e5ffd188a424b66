"""The one reader of photos and the one of label images: a file whose values a library would change is an error.

PIL stretches greys of 2 and 4 bits to 8 (class 3 becomes 51), cuts 16 bits off at white, and takes a moving picture's first
frame, all without a word; compression mixes classes; a camera stores a portrait lying on its side and says so in EXIF.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from mtlbench.data.disk.files import MAX_PIXELS, Array, bad, opened
from mtlbench.errors import DataError, one_line

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff")
"""The endings of photos."""
EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK")
_ORIENTATION, _TIFF_BITS = 0x0112, 258
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_BITS = 24  # where a PNG says its bits a channel; what kind of channels follows

Check = Callable[[Path, Image.Image, bytes], None]


def photo(path: Path, size: tuple[int, int] | None = None) -> Array:
    """A photo of 8 bits a channel as RGB, turned upright as its EXIF says: uint8 (H, W, 3)."""
    return _decode(path, size, _check_photo, lambda picture: upright(picture).convert("RGB"))


def label_image(path: Path, modes: Sequence[str], size: tuple[int, int] | None = None) -> Array:
    """A lossless picture's own values, unconverted: a PNG of whole bytes (or a palette) in one of PIL's `modes`."""

    def check(path: Path, picture: Image.Image, head: bytes) -> None:
        _check_label(path, picture, head, modes)

    def as_stored(picture: Image.Image) -> Image.Image:
        if orientation(picture) != 1:
            bad(path, "labels turned by EXIF", "a label image stored upright")
        return picture

    return _decode(path, size, check, as_stored)


def upright(picture: Image.Image) -> Image.Image:
    """A photo as it was seen; one whose EXIF cannot be read is taken as it is stored, as every viewer does."""
    return ImageOps.exif_transpose(picture) if orientation(picture) in range(2, 9) else picture


def orientation(picture: Image.Image) -> int:
    """What EXIF says of how a picture is turned: 1 is upright."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF may be anything, and PIL raises of every kind
        return 1


def _decode(
    path: Path, size: tuple[int, int] | None, check: Check, convert: Callable[[Image.Image], Image.Image]
) -> Array:
    what = f"a {'x'.join(map(str, size))} image (height x width)" if size else "an image"
    with opened(path, what) as file:
        try:
            head = file.read(32)
            if head.startswith(_PNG):
                _check_chunks(path, file)
            file.seek(0)
            with _unwarned(file) as picture:
                _check_pixels(path, picture)
                check(path, picture, head)
                picture.load()  # before EXIF is asked for, which may lie at the end
                _check_size(path, picture, size, what)
                return np.array(convert(picture))
        except DataError:
            raise
        except Image.DecompressionBombError:
            bad(path, "too large, like a decompression bomb", f"at most {MAX_PIXELS:,} pixels")
        except Exception as error:  # the bytes may be anything, and PIL raises of every kind
            raise DataError(f"'{path}': no readable image, {one_line(error)[:200]} (expected: {what})") from error


def _check_chunks(path: Path, file: IO[bytes]) -> None:
    """A DataError where a PNG is cut or a chunk's checksum does not fit: PIL reads pixels without looking at theirs."""
    file.seek(len(_PNG))
    while len(head := file.read(8)) == 8:
        left, checksum = int.from_bytes(head[:4], "big"), zlib.crc32(head[4:])
        while left and (part := file.read(min(left, 2**20))):
            left, checksum = left - len(part), zlib.crc32(part, checksum)
        if len(stated := file.read(4)) < 4:
            break
        if stated != checksum.to_bytes(4, "big"):
            bad(path, "no readable image, a damaged PNG (its checksum does not fit)", "the file as it was written")
        if head[4:] == b"IEND":
            return
    bad(path, "no readable image, a PNG that is cut off", "the whole file")


def _unwarned(file: IO[bytes]) -> Image.Image:
    """A picture's header; what PIL only warns of here, so many pixels, is refused next."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=FORMATS)


def _check_pixels(path: Path, picture: Image.Image) -> None:
    if picture.height * picture.width > MAX_PIXELS:
        bad(path, f"{picture.height}x{picture.width} (mode {picture.mode})", f"at most {MAX_PIXELS:,} pixels")


def _check_size(path: Path, picture: Image.Image, size: tuple[int, int] | None, what: str) -> None:
    turned = orientation(picture) in range(5, 9)
    seen = picture.size if turned else picture.size[::-1]  # (H, W)
    if size is not None and seen != size:
        bad(path, f"{seen[0]}x{seen[1]} (mode {picture.mode}{', turned by its EXIF' if turned else ''})", what)


def _check_photo(path: Path, picture: Image.Image, head: bytes) -> None:
    bits = _bits(picture, head)
    if not 1 <= bits <= 8 or picture.mode not in EIGHT_BITS:
        bad(path, f"{bits} bits a channel (mode {picture.mode})", "a photo of 8 bits a channel")
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        bad(path, f"several pictures in one {picture.format} file", "a photo, one a file")


def _check_label(path: Path, picture: Image.Image, head: bytes, modes: Sequence[str]) -> None:
    if picture.format != "PNG":
        bad(path, f"labels in a {picture.format} file", "a PNG, which keeps every value")
    bits, whole = _bits(picture, head), f"mode {' or '.join(modes)}"
    if picture.mode not in modes:
        bad(path, f"{picture.height}x{picture.width} (mode {picture.mode})", whole)
    if picture.mode != "P" and bits != (16 if picture.mode.startswith("I") else 8):
        bad(path, f"{bits} bits a channel (mode {picture.mode})", f"{whole}, in whole bytes as they are")
    if getattr(picture, "is_animated", False):
        bad(path, "several pictures in one file", "one label image a file")


def _bits(picture: Image.Image, head: bytes) -> int:
    """Bits a channel as the file has them, which may be more or fewer than PIL's mode holds."""
    if picture.format == "PNG":
        return head[_PNG_BITS] if head[12:16] == b"IHDR" else 0
    if picture.format == "TIFF":
        tags: Any = picture
        said = tags.tag_v2.get(_TIFF_BITS, 1)
        return max(said) if isinstance(said, tuple) else int(said)
    return 8
