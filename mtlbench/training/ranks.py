"""One run in several processes (`torchrun --nproc-per-node N -m mtlbench run ...`), each a rank with its slice of every batch.

Numbers are those of one process with the whole batch, but for rounding: a loss is over all labelled elements of the whole
batch, the method sees the whole batch's losses, gradients are means over ranks of what each finds for N times its slice (so
that penalties, which every rank finds whole, count once), and batch norms use the whole batch's statistics. All ranks take
the same steps with the same seeds; the first one alone reads and writes files and tells the others what follows from them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d
from torch.distributed.rendezvous import rendezvous

from mtlbench.data.base import Batch
from mtlbench.errors import Diverged, RankLost, one_line

T = TypeVar("T")
PATIENCE = timedelta(hours=6)  # of ranks that wait while the first evaluates
TOGETHER = 15.0  # seconds in which all ranks fail, where what failed was the same on all of them


def size() -> int:
    """How many ranks there are, as torchrun says."""
    return max(1, int(os.environ.get("WORLD_SIZE", "1")))


def rank() -> int:
    """This process's number among them."""
    return int(os.environ.get("RANK", "0")) if size() > 1 else 0


def device(given: str) -> str:
    """A rank's own device: CUDA's is the one with its number on its machine."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if size() > 1 and given == "cuda" else given


def bounds(count: int, rank: int, size: int) -> tuple[int, int]:
    """Where a rank's slice of `count` images begins and ends; slices differ by one image at most."""
    return rank * count // size, (rank + 1) * count // size


class World:
    """All ranks together; of one rank everything here is what it is given."""

    def __init__(self, rank: int = 0, size: int = 1, store: Any = None, words: Any = None) -> None:
        self.rank, self.size = rank, size
        self._store, self._words = store, words  # `words`: the group for what is no tensor of the device
        self._failures = 0

    @property
    def first(self) -> bool:
        """Whether this rank reads and writes files."""
        return self.rank == 0

    # --- a step -------------------------------------------------------------------------------------------------------

    def slice(self, batch: Batch) -> Batch:
        """This rank's images of a batch."""
        if self.size == 1:
            return batch
        low, high = bounds(len(batch.inputs), self.rank, self.size)
        return batch.map(lambda x: x[low:high])

    def total(self, values: Tensor) -> Tensor:
        """The sum over ranks, without a gradient."""
        if self.size == 1:
            return values
        summed = values.detach().clone()
        with _told():
            dist.all_reduce(summed)
        return summed

    def whole(self, own: Sequence[Tensor], count: int) -> list[Tensor]:
        """Losses of the whole batch (`count`,) from those of this rank's images; gradients go to these, times the ranks."""
        if self.size == 1 or not own:
            return list(own)
        low, high = bounds(count, self.rank, self.size)
        rows = own[0].new_zeros(len(own), count)
        rows[:, low:high] = torch.stack([o.detach() for o in own])
        whole = self.total(rows).unbind()
        # Each on its own: the gradient of one task's losses reaches nothing of another's, not even as zeros.
        return [_Whole.apply(o, w, low, self.size) for o, w in zip(own, whole, strict=True)]  # type: ignore[no-untyped-call]

    def reduce(self, parameters: Iterable[Tensor]) -> None:
        """Make every gradient its mean over ranks; one that no rank has stays away."""
        if self.size == 1:
            return
        moving = [p for p in parameters if p.requires_grad]
        here = torch.tensor([p.grad is not None for p in moving], dtype=torch.float32)
        anywhere = self.total(here.to(moving[0].device)).tolist()
        some = [p for p, count in zip(moving, anywhere, strict=True) if count]
        for p, mean in zip(
            some, self.means([torch.zeros_like(p) if p.grad is None else p.grad for p in some]), strict=True
        ):
            p.grad = mean

    def means(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Means over ranks of tensors that every rank has, sent together."""
        if self.size == 1 or not values:
            return list(values)
        flat = self.total(torch.cat([v.flatten() for v in values])) / self.size
        parts = flat.split([v.numel() for v in values])
        return [part.view_as(v) for part, v in zip(parts, values, strict=True)]

    # --- decisions ----------------------------------------------------------------------------------------------------

    def any(self, flag: bool) -> bool:
        """Whether it holds on some rank."""
        if self.size == 1:
            return flag
        raised = torch.tensor([int(flag)])
        with _told():
            dist.all_reduce(raised, dist.ReduceOp.MAX, group=self._words)
        return bool(raised.item())

    def agreed(self, find: Callable[[], T]) -> T:
        """What `find` gives on the first rank, on all of them. Where it raises Diverged, all do; any other error there is a
        RankLost on the others."""
        if self.size == 1:
            return find()
        said: list[Any] = [None, "", ()]  # the value, or what was raised
        try:
            said[0] = find() if self.first else None
        except Diverged as error:
            said[2] = (error.what, error.names, error.place)
            raise
        except Exception as error:
            said[1] = one_line(error)
            raise
        finally:
            with _told():
                dist.broadcast_object_list(said, src=0, group=self._words)
        if said[2]:
            raise Diverged(*said[2])
        if said[1]:
            raise RankLost(f"on the first rank: {said[1]}")
        value: T = said[0]
        return value

    def all_failed(self) -> bool:
        """After an error: whether the other ranks came to one too, so that they can go on together."""
        if self.size == 1:
            return True
        self._failures += 1
        key, until = f"failure {self._failures}", time.monotonic() + TOGETHER
        try:
            failed = self._store.add(key, 1)
            while failed < self.size and time.monotonic() < until:
                time.sleep(0.05)
                failed = self._store.add(key, 0)
        except RuntimeError:  # the store went with another rank
            return False
        return bool(failed == self.size)


@contextmanager
def _told() -> Iterator[None]:
    """What torch raises where another rank is gone, as a RankLost."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(f"another rank is gone ({one_line(error)[:200]})") from error


class _Whole(torch.autograd.Function):
    """A task's losses of all images (count,), which are known, as depending on those of this rank's images (b,)."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, whole: Tensor, low: int, size: int) -> Tensor:
        ctx.slice, ctx.size = slice(low, low + len(own)), size
        return whole.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None, None, None]:
        return gradients[0][ctx.slice] * ctx.size, None, None, None


@cache
def join(kind: str) -> World:
    """The ranks that torchrun started, met once a process: over gloo on the CPU, over NCCL on CUDA."""
    if size() == 1:
        return World()
    store, number, count = next(iter(rendezvous("env://", timeout=PATIENCE)))
    backend = "nccl" if kind == "cuda" else "gloo"
    if kind == "cuda":
        torch.cuda.set_device(device("cuda"))
    shared = distributed_c10d.PrefixStore("mtlbench", store)
    dist.init_process_group(backend, store=shared, rank=number, world_size=count, timeout=PATIENCE)
    words = dist.new_group(backend="gloo", timeout=PATIENCE) if kind == "cuda" else None
    return World(number, count, shared, words)
