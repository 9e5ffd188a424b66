"""Photos and labels: exact values, or one clear error; nothing is stretched, clipped, mixed or turned without a word."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench.data.disk.images import FORMATS, label_image, photo
from mtlbench.data.domains import Domains
from mtlbench.data.nyuv2 import NYUv2
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.deployed import predict
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TaskonomyTruth, Truth

GREY, COLOURS, PALETTE = 0, 2, 3
ORIENTATION = 0x0112


def raw_png(path: Path, values: np.ndarray, bits: int, colour: int = GREY) -> Path:
    """A PNG of any number of bits, written by hand: values (H, W) or (H, W, C) below 2^bits."""
    height, width = values.shape[:2]
    rows = b""
    for row in values.reshape(height, -1):
        digits = "".join(format(int(v), f"0{bits}b") for v in row)
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    if colour == PALETTE:
        chunks.append((b"PLTE", bytes(range(3 * min(1 << bits, 256) % 256)) if bits < 7 else bytes(768)))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    )
    return path


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_fewer_bits_are_refused_and_not_stretched(tmp_path: Path, bits: int) -> None:
    path = raw_png(tmp_path / "l.png", np.arange(12).reshape(3, 4) % (1 << bits), bits)
    with pytest.raises(DataError, match=r"(bits a channel \(mode L\)|mode 1).*expected: mode L or P"):
        label_image(path, ("L", "P"))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_in_a_palette_are_its_numbers(tmp_path: Path, bits: int) -> None:
    values = np.arange(12).reshape(3, 4) % (1 << bits)
    assert label_image(raw_png(tmp_path / "l.png", values, bits, PALETTE), ("L", "P")).tolist() == values.tolist()


@pytest.mark.parametrize(("bits", "modes"), [(8, ("L", "P")), (16, ("I;16", "I"))])
def test_labels_of_whole_bytes_are_read_exactly(tmp_path: Path, bits: int, modes: tuple[str, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 1 << bits, (3, 4))
    assert label_image(raw_png(tmp_path / "l.png", values, bits), modes).tolist() == values.tolist()


def test_normals_of_16_bits_a_channel_are_refused_and_not_cut(tmp_path: Path) -> None:
    path = raw_png(tmp_path / "n.png", np.full((3, 4, 3), 32768), 16, COLOURS)
    with pytest.raises(DataError, match=r"16 bits a channel .mode RGB"):
        label_image(path, ("RGB",))


@pytest.mark.parametrize("kind", [f for f in FORMATS if f != "PNG"])
@pytest.mark.parametrize("name", ["l.png", "l.jpg"])
def test_labels_in_files_that_may_mix_them_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16) % 3
    Image.fromarray(values).save(tmp_path / name, kind)
    with pytest.raises(DataError, match=rf"labels in a {kind} file .expected: a PNG"):
        label_image(tmp_path / name, ("L", "P", "RGB"))


def test_labels_that_are_turned_or_move_are_refused(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((3, 4), np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    picture.save(tmp_path / "moves.png", save_all=True, append_images=[Image.fromarray(np.ones((3, 4), np.uint8))])
    for name, message in (("turned", "turned by EXIF"), ("moves", "several pictures")):
        with pytest.raises(DataError, match=message):
            label_image(tmp_path / f"{name}.png", ("L",))


@pytest.mark.parametrize("colour", [GREY, COLOURS, 4, 6])
def test_photos_of_16_bits_are_refused_and_not_clipped(tmp_path: Path, colour: int) -> None:
    channels = {GREY: 1, COLOURS: 3, 4: 2, 6: 4}[colour]
    path = raw_png(tmp_path / "p.png", np.full((3, 4, channels), 300), 16, colour)
    for read in (photo, lambda p: predict.read(p, 3, 4)):
        with pytest.raises(DataError, match=r"16 bits a channel .*expected: a photo of 8 bits a channel"):
            read(path)


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_tiff_photos_of_more_than_8_bits_are_refused(tmp_path: Path, dtype: str) -> None:
    Image.fromarray(np.full((3, 4), 300, dtype)).save(tmp_path / "p.tif")
    with pytest.raises(DataError, match="bits a channel"):
        photo(tmp_path / "p.tif")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_photos_of_fewer_bits_span_black_to_white(tmp_path: Path, bits: int) -> None:
    values = np.arange(1 << bits)[None]
    read = photo(raw_png(tmp_path / "p.png", values, bits))
    assert read[..., 0].tolist() == (values * 255 // ((1 << bits) - 1)).tolist()


@pytest.mark.parametrize("kind", [f for f in FORMATS if f != "JPEG"])
def test_photos_of_every_lossless_kind_are_exact(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    values[..., :] = values[..., :1] if kind == "GIF" else values  # 256 colours suffice for greys
    Image.fromarray(values).save(tmp_path / "p", kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(photo(tmp_path / "p"), values)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_moving_pictures_are_no_photos(tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), v, np.uint8)) for v in (0, 200)]
    frames[0].save(tmp_path / "p", kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=f"several pictures in one {kind} file"):
        photo(tmp_path / "p")


CORNERS = {  # where the upper left pixel of what was seen is stored, and whether the sides are exchanged (EXIF 2.3, 4.6.4)
    1: ((0, 0), False), 2: ((0, -1), False), 3: ((-1, -1), False), 4: ((-1, 0), False),
    5: ((0, 0), True), 6: ((-1, 0), True), 7: ((-1, -1), True), 8: ((0, -1), True),
}  # fmt: skip


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_photos_are_turned_as_the_camera_says(tmp_path: Path, orientation: int, kind: str) -> None:
    values = np.full((16, 32, 3), 128, np.uint8)
    (row, column), exchanged = CORNERS[orientation]
    values[:8, :8], values[-8:, :8], values[:8, -8:], values[-8:, -8:] = 0, 60, 180, 240
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(values).save(tmp_path / "p", kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    size = (32, 16) if exchanged else (16, 32)
    seen = photo(tmp_path / "p", size)
    assert seen.shape == (*size, 3)
    assert abs(int(seen[0, 0, 0]) - int(values[row, column, 0])) < 8  # JPEG is not exact
    assert np.array_equal(predict.read(tmp_path / "p", *size), seen)
    with pytest.raises(DataError, match="expected: a"):
        photo(tmp_path / "p", (size[0] + 1, size[1]))


def exif(value: int) -> bytes:
    said = Image.Exif()
    said[ORIENTATION] = value
    return said.tobytes()


@pytest.mark.parametrize("said", [exif(0), exif(9), exif(65535), b"Exif\0\0nonsense", exif(6)[:15]], ids=range(5))
def test_orientations_that_are_none_turn_nothing(tmp_path: Path, said: bytes) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "p.png", exif=said)
    assert np.array_equal(photo(tmp_path / "p.png"), values)


@pytest.mark.usefixtures("own_cache")
def test_every_data_set_reads_by_these_two(tmp_path: Path) -> None:
    scenes = disk.nyuv2_adashare(tmp_path / "n", Truth())
    raw_png(scenes / "seg/0001.png", np.ones((12, 16)), 4)
    with pytest.raises(DataError, match=r"seg/0001.png': 4 bits"):
        NYUv2(NYUv2.Options(), scenes, None)
    views = disk.taskonomy(tmp_path / "t", TaskonomyTruth())
    Image.new("RGB", (12, 12)).save(views / "normal/hanson_normal/point_1_view_0_domain_normal.png", "JPEG")
    with pytest.raises(DataError, match="labels in a JPEG file"):
        Taskonomy(Taskonomy.Options(), views, ("normals",))
    disk.domains(tmp_path / "d")
    raw_png(tmp_path / "d/photo/class 1/2.png", np.full((16, 16), 300), 16)
    with pytest.raises(DataError, match=r"class 1/2.png': 16 bits a channel"):
        Domains(Domains.Options(), tmp_path / "d", None)


def test_one_changed_bit_anywhere_in_a_png_is_found(tmp_path: Path) -> None:
    path = disk.png(tmp_path / "label.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(DataError):
            label_image(path, ("L",))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            label_image(path, ("L",))
    path.write_bytes(whole + b"what some cameras leave behind")
    assert label_image(path, ("L",)).max() == 11
