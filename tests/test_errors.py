"""Messages are one printable line, whatever the names in them hold."""

import pytest

from mtlbench.errors import LONGEST, DataError, one_line, printable, unknown

HOSTILE = {
    "a\nb": "a b",
    "a\x85b": "a b",
    "a\u2028b": "a b",
    "red\x1b[31m": r"red\x1b[31m",
    "txt\u202egnp": r"txt\u202egnp",
    "\udce9": r"\udce9",
    "\u0394 = 1": "\u0394 = 1",
}


@pytest.mark.parametrize(("given", "shown"), HOSTILE.items())
def test_what_cannot_be_printed_is_escaped(given, shown):
    assert printable(given) == shown
    assert str(DataError(given)) == shown
    assert one_line(ValueError(given)) == f"ValueError: {shown}"
    assert len(str(unknown("method", given, ["x"])).splitlines()) == 1


def test_a_message_is_never_a_file():
    assert len(str(DataError("x" * 10**6))) == LONGEST
