"""A record keeps every line it says it has, on a disk that takes a byte at a time, fills up, or changes a bit."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.errors import RecordError
from mtlbench.records.files import write_whole

LINES = (
    records.Start(method="m", dataset="d", seed=0, config={}, tasks=[]),
    records.Log(step=1, phase="train", losses={"a": 0.5}),
    records.End(status="finished", step=1),
)


def written(folder: Path) -> bytes:
    writer = records.Writer(folder, 1)
    for line in LINES:
        writer.write(line)
    return (folder / records.FILE).read_bytes()


def test_a_disk_that_takes_a_byte_at_a_time(tmp_path, monkeypatch):
    whole = written(tmp_path / "whole")
    take = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: take(handle, data[:1]))
    assert written(tmp_path / "slow") == whole
    assert write_whole(tmp_path / "file", b"abc") == records.digest(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"abc"


@pytest.mark.parametrize("mended", [True, False])
def test_a_disk_that_fills_and_empties_at_every_byte_loses_no_line(tmp_path, monkeypatch, mended):
    whole = written(tmp_path / "whole")
    take, left = os.write, 0

    def write(handle, data):
        nonlocal left
        if left == 0:
            left = 10**9  # somebody makes room
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = take(handle, data[:left])
        left -= taken
        return taken

    monkeypatch.setattr(os, "write", write)
    if not mended:  # nor can what was written of the line be taken back
        monkeypatch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "")))
    for room in range(len(whole)):
        left, folder = room, tmp_path / str(room)
        writer, said = records.Writer(folder, 1), []
        for line in LINES:
            try:
                writer.write(line)
            except RecordError as error:
                said.append(str(error))
                records.Writer(folder, 1).write(line)  # as the same command does, later
        assert said == [f"cannot write the record in '{folder}': No space left on device"]
        found = [line.kind for line in records.read_lines(folder / records.FILE)]
        assert list(dict.fromkeys(found)) == ["start", "log", "end"]
        assert len(found) == 3 or not mended  # twice only where it lacked its line break and could not be taken back
        assert not mended or (folder / records.FILE).read_bytes() == whole


def test_a_line_after_one_that_failed_stands_on_its_own(tmp_path, monkeypatch):
    writer, take = records.Writer(tmp_path, 1), os.write
    writer.write(LINES[0])

    def write(handle, data):
        if len(data) > 20:
            return take(handle, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(os, "ftruncate", lambda *_: write(0, b""))  # fails, too
        with pytest.raises(RecordError):
            writer.write(LINES[1])
    writer.write(LINES[2])
    assert [line.kind for line in records.read_lines(tmp_path / records.FILE)] == ["start", "end"]


def test_one_changed_bit_anywhere_in_a_record_is_found(tmp_path):
    whole = written(tmp_path)
    path = tmp_path / records.FILE
    assert [line.kind for line in records.read_lines(path)] == ["start", "log", "end"]
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(RecordError, match="is damaged"):
            records.read_lines(path)


def test_a_line_that_is_missing_moved_or_there_twice_is_found(tmp_path):
    lines = written(tmp_path).splitlines(keepends=True)
    path = tmp_path / records.FILE
    first, second, third = lines
    for wrong in (
        (second, third),
        (first, third),
        (first, third, second),
        (first, second, second, third),
        (*lines, first),
    ):
        path.write_bytes(b"".join(wrong))
        with pytest.raises(RecordError, match="its checksum does not fit, or a line before it is missing"):
            records.read_lines(path)


def test_lines_whose_checksums_stand_alone_are_read_and_gone_on_with(tmp_path):
    path = tmp_path / records.FILE
    for line in LINES[:2]:  # as version 0.1 wrote them
        rest = line.model_dump_json().encode()[1:]
        with path.open("ab") as file:
            file.write(b'{"crc":"%08x",' % zlib.crc32(rest) + rest + b"\n")
    records.Writer(tmp_path, 1).write(LINES[2])
    assert [line.kind for line in records.read_lines(path)] == ["start", "log", "end"]
    older = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(older[0] + older[2])
    with pytest.raises(RecordError, match="is missing"):
        records.read_lines(path)


def test_a_record_cut_anywhere_is_read_up_to_there_and_gone_on_with(tmp_path):
    whole = written(tmp_path)
    path = tmp_path / records.FILE
    ends = [i for i, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = sum(length >= end for end in ends)
        assert len(records.read_lines(path)) == kept
        if not kept:
            assert records.status_of(tmp_path) == "new"
        records.Writer(tmp_path, 1).write(LINES[2])
        assert len(records.read_lines(path)) == kept + 1


def test_one_changed_bit_in_a_kept_file_is_found(tmp_path):
    path = tmp_path / "policy.json"
    line = records.ArtefactLine(name="policy", path=path.name, sha256=write_whole(path, b'{"a": [1, 0]}'))
    assert records.verify(tmp_path, line) == path
    for bit in range(8 * path.stat().st_size):
        data = bytearray(b'{"a": [1, 0]}')
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(RecordError, match="is damaged"):
            records.verify(tmp_path, line)
    for other in ("../policy.json", "none.json", "", ".", "..", "a\0b", "\ud800", "é" * 200, "x" * 5000):
        with pytest.raises(RecordError, match="there is no file"):
            records.verify(tmp_path, line.model_copy(update={"path": other}))


def test_a_file_on_a_full_disk_is_named_and_the_old_one_stays(tmp_path, monkeypatch):
    path = tmp_path / "policy.json"
    write_whole(path, b"old")
    take = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: take(handle, data[:3]) if len(data) > 4 else 0)
    with pytest.raises(RecordError, match=rf"cannot write '{path}': No space left on device"):
        write_whole(path, b"newer!!")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["policy.json"]
