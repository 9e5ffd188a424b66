"""The cache: decoded once, rebuilt when the source moves or the cache is damaged, shared, and bounded in memory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.data.disk import cache
from mtlbench.data.disk.cache import Column, Stored
from mtlbench.errors import ConfigError, DataError

COUNT = 10


class Counted:
    """A column over files of one byte each that counts how often a file is decoded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.decoded = 0
        root.mkdir(parents=True, exist_ok=True)
        self.files = [root / f"{i}" for i in range(COUNT)]
        for i, file in enumerate(self.files):
            file.write_bytes(bytes([i]))

    def column(self, settings: str = "", read: Callable[[Path], np.ndarray] | None = None) -> Column:
        return Column.of_files("x", self.files, (3,), "u1", read or self.read, torch.from_numpy, settings=settings)

    def read(self, path: Path) -> np.ndarray:
        self.decoded += 1
        return np.full(3, path.read_bytes()[0], np.uint8)

    def load(self, settings: str = "") -> Stored:
        return cache.load(self.column(settings), self.root, "test")


@pytest.fixture
def source(tmp_path: Path, own_cache: Path) -> Counted:
    return Counted(tmp_path / "source")


def files(home: Path, name: str) -> list[Path]:
    return list(home.glob(f"*/{name}"))


def test_values_come_back_in_order_and_are_decoded_once(source: Counted) -> None:
    for _ in range(3):
        stored = source.load()
        assert stored.read([7, 2, 7]).tolist() == [[7] * 3, [2] * 3, [7] * 3]
    assert source.decoded == COUNT
    assert isinstance(stored.values, np.memmap)


def test_a_changed_source_is_decoded_anew(source: Counted) -> None:
    before = source.load()
    source.files[4].write_bytes(b"\x63")
    os.utime(source.files[4], ns=(1, 1))
    after = source.load()
    assert after.read([4]).tolist() == [[99] * 3]
    assert after.fingerprint != before.fingerprint
    assert source.decoded == 2 * COUNT


def test_a_touched_source_is_decoded_anew_with_the_same_fingerprint(source: Counted) -> None:
    before = source.load().fingerprint
    os.utime(source.files[4], ns=(1, 1))
    assert source.load().fingerprint == before
    assert source.decoded == 2 * COUNT


def rewritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def replaced(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


@pytest.mark.parametrize("change", [rewritten, replaced])
def test_another_content_of_the_same_size_and_time_is_decoded_anew(
    source: Counted, change: Callable[[Path, bytes], None]
) -> None:
    old = source.load()
    times = source.files[3].stat()
    change(source.files[3], bytes([77]))
    os.utime(source.files[3], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert source.files[3].stat().st_mtime_ns == times.st_mtime_ns
    new = source.load()
    assert new.read([3]).tolist() == [[77] * 3]
    assert new.fingerprint != old.fingerprint


@pytest.mark.parametrize("error", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_complete_cache_that_may_only_be_read_is_read(
    source: Counted, monkeypatch: pytest.MonkeyPatch, error: int, own_cache: Path
) -> None:
    before = source.load()

    def refused(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(cache.FileLock, "acquire", refused)
    assert source.load().fingerprint == before.fingerprint
    assert source.decoded == COUNT
    with pytest.raises(
        DataError, match=r"cannot keep 'x' in .*\(set MTLBENCH_CACHE to a folder with room, and of your own"
    ):
        source.load(settings="another")


def test_without_a_home_the_cache_is_a_folder_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MTLBENCH_CACHE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def homeless(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    place = cache.home()
    assert (place.parent, place.stat().st_mode & 0o777) == (tmp_path, 0o700)
    assert cache.home() == place
    place.rmdir()
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="belongs to somebody else"):
        cache.home()


def test_a_home_that_is_no_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MTLBENCH_CACHE", raising=False)
    monkeypatch.setenv("HOME", "relative")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache.home().parent == tmp_path


def test_the_named_cache_is_a_path_as_people_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MTLBENCH_CACHE", "~/mine")
    assert cache.home() == tmp_path / "mine"
    monkeypatch.setenv("MTLBENCH_CACHE", "$NOWHERE_AT_ALL/x")
    with pytest.raises(ConfigError, match=r"MTLBENCH_CACHE .*no variable NOWHERE_AT_ALL"):
        cache.home()


def test_rebuilding_leaves_no_old_copy(source: Counted, own_cache: Path) -> None:
    source.load()
    os.utime(source.files[4], ns=(1, 1))
    source.load()
    assert len(files(own_cache, "data.npy")) == 1
    assert not list(own_cache.glob("*.draft"))


def test_other_settings_and_folders_have_their_own_place(source: Counted, tmp_path: Path, own_cache: Path) -> None:
    source.load("a")
    source.load("b")
    Counted(tmp_path / "other").load("a")
    assert len(files(own_cache, "data.npy")) == 3


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "one bit": ("data.npy", flip),
    "truncated": ("data.npy", lambda p: p.write_bytes(p.read_bytes()[:-1])),
    "longer": ("data.npy", lambda p: p.write_bytes(p.read_bytes() + b"x")),
    "empty": ("data.npy", lambda p: p.write_bytes(b"")),
    "missing": ("data.npy", Path.unlink),
    "no meta": ("meta.json", Path.unlink),
    "meta is no JSON": ("meta.json", lambda p: p.write_text("{")),
    "meta is a list": ("meta.json", lambda p: p.write_text("[]")),
    "meta is empty": ("meta.json", lambda p: p.write_text("{}")),
    "meta is binary": ("meta.json", lambda p: p.write_bytes(b"\xff\xfe")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_rebuilt(source: Counted, own_cache: Path, damage: str) -> None:
    fingerprint = source.load().fingerprint
    name, act = DAMAGE[damage]
    act(files(own_cache, name)[0])
    stored = source.load()
    assert stored.fingerprint == fingerprint
    assert stored.read(range(COUNT)).tolist() == [[i] * 3 for i in range(COUNT)]
    assert source.decoded == 2 * COUNT


def test_what_a_killed_builder_left_is_no_obstacle(source: Counted, own_cache: Path) -> None:
    source.load()
    place = files(own_cache, "data.npy")[0].parent
    place.rename(f"{place}.draft")
    assert source.load().read([1]).tolist() == [[1] * 3]


def test_a_damaged_source_leaves_nothing_behind(source: Counted, own_cache: Path) -> None:
    def read(path: Path) -> np.ndarray:
        if path.name == "6":
            raise DataError(f"'{path}': damaged")
        return np.zeros(3, np.uint8)

    with pytest.raises(DataError, match="6': damaged"):
        cache.load(source.column(read=read), source.root, "test")
    assert not files(own_cache, "data.npy")
    assert not list(own_cache.glob("*.draft"))


def test_the_first_damaged_item_in_order_is_the_one_named(source: Counted) -> None:
    def read(path: Path) -> np.ndarray:
        if int(path.name) in (3, 8):
            raise DataError(path.name)
        return np.zeros(3, np.uint8)

    for _ in range(5):
        with pytest.raises(DataError, match=r"^3$"):
            list(source.column(read=read).rows())


def test_a_source_that_vanished_is_named(source: Counted) -> None:
    source.files[3].unlink()
    with pytest.raises(DataError, match="3': No such file"):
        source.load()


def test_rows_of_another_form_than_promised_are_refused(source: Counted) -> None:
    with pytest.raises(TypeError, match="column 'x' decodes float64"):
        cache.load(source.column(read=lambda _: np.zeros(3)), source.root, "test")


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").is_dir(), reason="needs a folder that cannot be written")
def test_a_cache_that_cannot_be_written_says_what_to_set(source: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTLBENCH_CACHE", "/proc/nowhere")
    with pytest.raises(DataError, match="set MTLBENCH_CACHE to a folder with room"):
        source.load()


def test_a_full_disk_is_an_error(source: Counted, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    with pytest.raises(DataError, match="No space left on device"):
        source.load()
    assert not list(own_cache.glob("*.draft"))


def test_large_files_are_checked_in_blocks_spread_over_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "BLOCK", 16)
    monkeypatch.setattr(cache, "BLOCKS", 4)
    path = tmp_path / "x"
    path.write_bytes(bytes(1000))
    intact = cache._check(path)
    for place, noticed in ((0, True), (999, True), (335, True), (100, False)):
        data = bytearray(1000)
        data[place] = 1
        path.write_bytes(data)
        assert (cache._check(path) != intact) == noticed, place


SCRIPT = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from mtlbench.data.disk.cache import Column, load

    root = Path(sys.argv[1])

    def read(path):
        time.sleep(0.02)
        with (root / "log").open("a") as log:
            log.write("x")
        return np.full(3, path.read_bytes()[0], np.uint8)

    files = [root / str(i) for i in range(10)]
    stored = load(Column.of_files("x", files, (3,), "u1", read, lambda rows: rows), root, "test")
    assert stored.read(range(10)).tolist() == [[i] * 3 for i in range(10)]
    print(stored.fingerprint)
"""


def test_two_processes_build_one_cache_between_them(source: Counted) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(source.root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert (source.root / "log").read_text() == "x" * COUNT


BOUNDED = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from mtlbench.data.disk.cache import Column, load

    LIMIT, ITEM, COUNT = 48 << 20, 1 << 20, 160  # bytes, bytes, items: the set is more than three times the limit
    root = Path(sys.argv[1])
    rows = lambda: (np.full(ITEM, i, np.uint8) for i in range(COUNT))
    column = Column("x", COUNT, (ITEM,), "u1", (), rows, lambda rows: rows)
    used = next(int(l.split()[1]) << 10 for l in open("/proc/self/status") if l.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + LIMIT, used + LIMIT))
    try:
        np.ones(LIMIT * 2, np.uint8)
    except MemoryError:
        print("the limit holds")
    for _ in range(2):  # built, then opened
        stored = load(column, root, "test")
        for start in range(0, COUNT, 8):
            assert stored.read(range(start, start + 8))[:, -1].tolist() == list(range(start, start + 8))
    print("read", stored.values.nbytes // LIMIT)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's memory as Linux does")
def test_a_set_larger_than_the_memory_is_built_and_read(tmp_path: Path, own_cache: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(BOUNDED), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split("\n")[:2] == ["the limit holds", "read 3"], done.stderr


def test_one_changed_bit_in_what_is_noted_of_a_column_is_found(source: Counted, own_cache: Path) -> None:
    fingerprint = source.load().fingerprint
    (noted,) = files(own_cache, "meta.json")
    whole = noted.read_bytes()
    for bit in range(0, 8 * len(whole), 3):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        noted.write_bytes(data)
        assert source.load().fingerprint == fingerprint
