"""Signals while a run trains: a question first; a second Ctrl-C is immediate, a second SIGTERM is the same one."""

import signal

import pytest

from mtlbench.runs.stopping import polite_stop


@pytest.mark.parametrize(
    ("numbers", "through"),
    [
        ((signal.SIGTERM,), True),
        ((signal.SIGINT,), True),
        ((signal.SIGTERM, signal.SIGTERM, signal.SIGTERM), True),  # to the process, to its group, from its parent
        ((signal.SIGINT, signal.SIGTERM), True),
        ((signal.SIGINT, signal.SIGINT), False),
        ((signal.SIGTERM, signal.SIGINT), False),
    ],
)
def test_signals_ask_once_and_only_a_second_ctrl_c_is_immediate(numbers, through):
    before = [signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)]
    reached = False
    try:
        with pytest.raises(KeyboardInterrupt), polite_stop() as asked:  # noqa: PT012
            assert not asked()
            for number in numbers:
                signal.raise_signal(number)
            assert asked()
            reached = True
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert reached == through
