"""The batches of training, read ahead by threads while the device computes; which batch comes when is not theirs to decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from mtlbench.data.base import Batch

Place = tuple[str, int]
"""A part of the training data, and a draw from it."""


@dataclass
class _Ahead:
    place: Place
    batches: Future[dict[str, Batch]]


class Feed:
    """`draw` as if it were called for one place after another; with `readers` threads, called for those to come too.

    `to_come` gives the places that follow one. What is asked for is always what `draw` gives for that place: where another
    one than foreseen is asked for, what was read ahead is thrown away. At most two batches a reader wait in memory. An
    error that a reader meets is raised, as it is, when its batch is asked for.
    """

    def __init__(
        self,
        draw: Callable[[Place], dict[str, Batch]],
        to_come: Callable[[int], Iterable[Place]],
        readers: int = 0,
    ) -> None:
        self._draw, self._to_come, self.readers = draw, to_come, readers
        self._ahead: deque[_Ahead] = deque()
        self._places: Iterator[Place] = iter(())
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="reader") if readers else None

    def __call__(self, step: int, place: Place) -> dict[str, Batch]:
        """The batches of a step, which are those of a place."""
        if self._threads is None:
            return self._draw(place)
        if not self._ahead or self._ahead[0].place != place:
            self.forget()
            self._places = iter(self._to_come(step))
        self._read(self._threads)
        first = self._ahead.popleft()
        if first.place != place:
            raise AssertionError(f"{place} was to come, not {first.place}")
        batches = first.batches.result()
        self._read(self._threads)
        return batches

    def _read(self, threads: ThreadPoolExecutor) -> None:
        for place in islice(self._places, 2 * self.readers - len(self._ahead)):
            self._ahead.append(_Ahead(place, threads.submit(self._draw, place)))

    def forget(self) -> None:
        """Throw away what was read ahead."""
        while self._ahead:
            self._ahead.pop().batches.cancel()

    def close(self) -> None:
        """Let the readers go; one that waits for a file does not keep the process."""
        self.forget()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
