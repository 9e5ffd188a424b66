"""A checksum in front of every line, so that not one changed bit of a record, and no line less, more or elsewhere, is read
as if nothing had happened.

A sealed line is `{"crc":"89abcdef",` and the rest of the JSON object. The CRC-32 is of that rest, begun at the checksum of
the sealed line before: lines are links of a chain, and one that is taken out is missed by the next. What is cut off at the
end is not missed: a record's beginning is the record as it once was. Records of older versions have checksums that each
stand alone, or none.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

PREFIX = b'{"crc":"'
_SEALED = re.compile(PREFIX + rb'([0-9a-f]{8})",')
_FIRST = zlib.crc32(b"mtlbench record")


def is_sealed(line: bytes) -> bool:
    """Whether the line was written with a checksum; one changed bit in the checksum's own key is no way around it."""
    if line.startswith(PREFIX):
        return True
    changed = int.from_bytes(line[: len(PREFIX)], "big") ^ int.from_bytes(PREFIX, "big")
    return changed.bit_count() <= 1


class Chain:
    """The lines of one record in turn; `last` is the checksum that the next one begins at."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self.last = _FIRST
        for line in lines:
            self.add(line)

    def add(self, line: bytes) -> None:
        """Go on behind a line of the record."""
        found = _SEALED.match(line)
        self.last = self.last if found is None else int(found[1], 16)

    def seal(self, line: bytes) -> bytes:
        """A JSON object's bytes with their checksum in front, as the next line; it is not added yet."""
        rest = line[1:]
        return PREFIX + b'%08x",' % zlib.crc32(rest, self.last) + rest

    def fits(self, line: bytes) -> bool:
        """Whether a sealed line is what was written, where it was written."""
        found = _SEALED.match(line)
        if found is None:
            return False
        rest, crc = line[found.end() :], int(found[1], 16)
        return crc in (zlib.crc32(rest, self.last), zlib.crc32(rest))
