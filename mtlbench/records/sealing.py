"""A checksum in front of every line, so that not one changed bit of a record is read as if nothing had happened.

A sealed line is `{"crc":"89abcdef",` and the rest of the JSON object; the CRC-32 is of that rest. Lines of older records
have none.
"""

from __future__ import annotations

import re
import zlib

PREFIX = b'{"crc":"'
_SEALED = re.compile(PREFIX + rb'([0-9a-f]{8})",')


def seal(line: bytes) -> bytes:
    """A JSON object's bytes with their checksum in front."""
    rest = line[1:]
    return PREFIX + b'%08x",' % zlib.crc32(rest) + rest


def is_sealed(line: bytes) -> bool:
    """Whether the line was written with a checksum; one changed bit in the checksum's own key is no way around it."""
    if line.startswith(PREFIX):
        return True
    changed = int.from_bytes(line[: len(PREFIX)], "big") ^ int.from_bytes(PREFIX, "big")
    return changed.bit_count() <= 1


def is_whole(line: bytes) -> bool:
    """Whether a sealed line is what was written."""
    found = _SEALED.match(line)
    return found is not None and int(found[1], 16) == zlib.crc32(line[found.end() :])
