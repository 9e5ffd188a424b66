"""Mutate every kind of file that mtlbench reads, and see what it makes of it.

python tests/fuzz.py [--count 10000] [--seed 0] [--only KIND] [--keep DIR]

Records, kept files, checkpoints and caches have checksums: what is read must be what was written, or refused in one line
that names what is wrong (a record may also be read up to where it was cut). Configurations and users' data have none:
another value is another input, and only an exception that is not mtlbench's own, a hang or a flood of memory is a fault.
Prints counts by kind and verdict; exit code 1 on any fault, each of which is kept in a folder with its files.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])  # beside this file lie packages of tests, named after what they test

import torch  # noqa: E402

from mtlbench.errors import MtlbenchError  # noqa: E402
from tests.fuzzing.subjects import Subject, all_subjects  # noqa: E402

SECONDS = 20.0  # of the processor, for one file
MEMORY = 2**30  # bytes more than the start
VERDICTS = ("refused", "same", "cut off", "other input", "FAULT")


class Hangs(BaseException):
    """Nothing in the suite catches it."""


@contextmanager
def limited() -> Iterator[None]:
    """Hangs where the time of the processor is over."""

    def over(*_: object) -> None:
        raise Hangs(f"more than {SECONDS:g} seconds")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def frugal() -> Iterator[None]:
    """A MemoryError where much more memory is asked for than there was in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    before = resource.getrlimit(resource.RLIMIT_AS)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def verdict(subject: Subject, expected: Any) -> tuple[str, str]:
    """What the suite makes of the files as they lie there, and why it is a fault if it is one."""
    try:
        with limited():
            found = subject.read(subject.root)
    except MtlbenchError as error:
        return ("refused", "") if len(str(error).splitlines()) == 1 else ("FAULT", f"a message of many lines: {error}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "FAULT", "".join(traceback.format_exception(error)[-6:])
    if found == expected:
        return "same", ""
    if subject.kind == "record" and found == expected[: len(found)]:
        return "cut off", ""
    return ("FAULT", f"read without a word: {str(found)[:300]}") if subject.sealed else ("other input", "")


def tried(subject: Subject, expected: Any, chance: random.Random, keep: Path) -> tuple[str, str]:
    """The verdict on one mutation; the files are put back."""
    path = chance.choice(subject.files)
    original = path.read_bytes()
    changed = original
    while changed == original:
        changed = subject.change(original, chance)
    path.write_bytes(changed)
    try:
        found, why = verdict(subject, expected)
    finally:
        if not path.parent.exists():
            path.parent.mkdir()  # a cache that was damaged is made anew
        path.write_bytes(original)
    if found == "FAULT":
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{len(list(keep.iterdir()))}-{path.name}").write_bytes(changed)
    return found, why


def fuzz(count: int, seed: int, root: Path, keep: Path, only: str = "") -> tuple[dict[str, Counter[str]], list[str]]:
    """Mutate `count` files, each kind in turn; counts of verdicts by kind, and what the faults are."""
    os.environ["MTLBENCH_CACHE"] = str(root / "cache")
    torch.set_num_threads(1)
    subjects = [s for s in all_subjects(root / "files") if only in s.kind]
    expected = [s.read(s.root) for s in subjects]
    table: dict[str, Counter[str]] = {s.kind: Counter() for s in subjects}
    faults = []
    with frugal(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            subject, right = subjects[number % len(subjects)], expected[number % len(subjects)]
            found, why = tried(subject, right, random.Random(f"{seed} {number}"), keep)
            table[subject.kind][found] += 1
            if why:
                faults.append(f"{subject.kind}, number {number}: {why}")
    return table, faults


def show(table: dict[str, Counter[str]]) -> None:
    print(f"{'kind':28}{'mutated':>9}" + "".join(f"{v:>13}" for v in VERDICTS))
    for kind, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        print(f"{kind:28}{counts.total():9}" + "".join(f"{counts[v]:13}" for v in VERDICTS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="mutations in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="where files that show a fault are kept")
    a = parser.parse_args()
    root = Path(tempfile.mkdtemp())
    started = time.process_time()
    try:
        table, faults = fuzz(a.count, a.seed, root, a.keep, a.only)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print("\n".join(faults))
    show(table)
    print(f"{time.process_time() - started:.0f} seconds of the processor, seed {a.seed}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
