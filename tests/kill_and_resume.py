"""SIGKILL runs at random moments, let them go on, and compare every number and file with a run that was never stopped.

python tests/kill_and_resume.py --kills 1000 [--methods a,b] [--seed 0] [--tally FILE]

A run is killed again and again until it comes to its end. The moment is a random word that it says (at its start, after
a step, at an evaluation) and a random wait behind it, so that kills fall into steps, validations, writes and resuming. A
kill counts only where the process died of it. Whatever has been compared stands in the tally, a line a run: an
interrupted campaign counts, and the same command goes on with it. Exit code 1 where a number or a file differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

sys.path[0] = str(Path(__file__).parents[1])  # beside this file lie packages of tests, named after what they test

from mtlbench import plugins, records  # noqa: E402
from mtlbench.config import RunConfig  # noqa: E402
from mtlbench.runs import course, runner  # noqa: E402

HELPERS = Path(__file__).parent / "helpers"
FORK = multiprocessing.get_context("fork")  # torch is loaded already
PLACES = ("starting", "training", "evaluating", "ending")
OFTEN = 6  # kills in the time of one run, about
AT_THE_END = 0.5  # the share of runs that are killed behind their last word: between evaluations, files and end line


@dataclass(frozen=True)
class Compared:
    """One run that was killed and went on: where the kills fell, and what differed then (nothing, it is hoped)."""

    method: str
    number: int
    places: tuple[str, ...]
    differs: str = ""


@dataclass(frozen=True)
class Whole:
    """A run that was never stopped: what it left, what it said, and the seconds from its last word to its end."""

    left: dict[str, Any]
    words: int
    seconds: float
    tail: float


def request(method: str, out: Path) -> runner.Request:
    """A run of half a second on noise: four blocks, all kinds of phases, two rules of selection."""
    settings = {"steps": 12, "batch_size": 2, "width": 0.0625, "head": 4, "evaluations": 3, "lr": 5e-3}
    config = RunConfig(
        method=method,
        dataset="toy",
        tasks=("segmentation", "normals", "depth"),
        data={"images": 12, "size": 16},
        backbone=f"{HELPERS / 'few.py'}:few",
        also=("best-val",),
        **settings,
    )
    return runner.Request(config, method, f"{HELPERS / 'toy.py'}:Toy", str(out))


def word(said: runner.Progress) -> str:
    if said.phase != "evaluating":
        return "training"
    return "ending" if said.message == "test" else "evaluating"


def child(method: str, out: Path, every: int, say: Connection) -> None:
    """Run with a checkpoint every few steps and a word after every step."""
    course.SIGN_SECONDS = 0.0
    course.Course._due = lambda self, now: self.trainer.state.step % every == 0  # type: ignore[method-assign]
    runner.execute(request(method, out), lambda said: say.send(word(said)))


def words(method: str, out: Path, every: int) -> Iterator[tuple[Any, str]]:
    """Start a run; the process with every word it says, until it says no more."""
    hear, say = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(method, out, every, say), daemon=True)
    process.start()
    say.close()
    yield process, "starting"
    try:
        while True:
            yield process, hear.recv()
    except EOFError:
        process.join()


def killed(method: str, out: Path, whole: Whole, chance: random.Random) -> str:
    """SIGKILL a run at a random moment; where that was, "" where it came to its end before."""
    at = int(chance.expovariate(OFTEN / whole.words))
    end = chance.random() < AT_THE_END
    for number, (process, place) in enumerate(words(method, out, chance.randint(1, 4))):
        if number == at or (end and place == "ending"):
            time.sleep(chance.random() * (whole.tail if place == "ending" else 2 * whole.seconds / whole.words))
            process.kill()  # somewhere within a step, a validation or a write
            process.join()
            return place if process.exitcode == -signal.SIGKILL else ""
    return ""


def whole_run(method: str, out: Path) -> Whole:
    """The run that all others are compared with."""
    runner.execute(request(method, out / "imports"))  # whatever is imported late is there in every child
    said = [time.perf_counter() for _ in words(method, out, 3)]
    now = time.perf_counter()
    return Whole(left(out), len(said), said[-1] - said[0], now - said[-1])


def left(out: Path) -> dict[str, Any]:
    """Every evaluation, log line and kept file, and what was counted; nothing that time decides."""
    (folder,) = records.record_folders(out)
    run = records.read_run(folder)
    assert run.end is not None, "no end"
    lines = [line.model_dump(exclude={"attempt"}) for line in (*run.evals, *run.logs)]
    files = {a.name: records.verify(folder, a).read_bytes() for a in run.artefacts}
    files["model"], header = _parted(files["model"])
    counted = {"status": run.status, "flops": run.end.training_flops, "step": run.end.deployed_step}
    return {"lines": lines, "counted": counted, "header": header, **files}


def _parted(network: bytes) -> tuple[bytes, Any]:
    """A network's weights, and its header, whose keys are in no order."""
    size = 8 + int.from_bytes(network[:8], "little")
    return network[size:], json.loads(network[8:size])


def compared(method: str, number: int, most: int, whole: Whole, seed: int) -> Compared:
    """Kill one run until it comes to its end, or so many times, and compare what it leaves."""
    chance, places, differs = random.Random(f"{seed} {method} {number}"), [], ""
    with tempfile.TemporaryDirectory() as out:
        while len(places) < most and (place := killed(method, Path(out), whole, chance)):
            places.append(place)
        for _ in words(method, Path(out), 3):
            pass  # to its end, where it is not there yet
        try:
            found = left(Path(out))
            differs = ", ".join(k for k in whole.left if found.get(k) != whole.left[k])
        except Exception as error:  # whatever it is, the run was not gone on with
            differs = f"{type(error).__name__}: {error}"
    return Compared(method, number, tuple(places), differs)


def campaign(method: str, kills: int, seed: int = 0, first: int = 0) -> Iterator[Compared]:
    """Kill and resume until so many kills have fallen, run by run."""
    with tempfile.TemporaryDirectory() as out:
        whole = whole_run(method, Path(out))
    while kills > 0:
        result = compared(method, first, kills, whole, seed)
        kills, first = kills - len(result.places), first + 1
        yield result


def read_tally(path: Path) -> list[Compared]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Compared(**{**json.loads(line), "places": tuple(json.loads(line)["places"])}) for line in lines]


def show(done: list[Compared]) -> None:
    """Kills by method and by where they fell, and what differed."""
    print(f"{'method':22}{'runs':>6}{'kills':>7}" + "".join(f"{p:>12}" for p in PLACES) + f"{'differ':>8}")
    for method in [*sorted({c.method for c in done}), "all"]:
        own = [c for c in done if method in (c.method, "all")]
        fell = Counter(p for c in own for p in c.places)
        counts = "".join(f"{fell[p]:12}" for p in PLACES)
        print(f"{method:22}{len(own):6}{fell.total():7}{counts}{sum(bool(c.differs) for c in own):8}")
    for c in done:
        if c.differs:
            print(f"{c.method} {c.number}, killed while {', '.join(c.places)}: {c.differs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="kills in all")
    parser.add_argument("--methods", default=",".join(plugins.names("methods")))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tally", type=Path, default=Path("kill_and_resume.jsonl"), help="gone on with where it is there"
    )
    a = parser.parse_args()
    torch.set_num_threads(1)
    methods = [m for m in a.methods.split(",") if plugins.load("methods", m).follows(options(m)) is None]
    done = [c for c in read_tally(a.tally) if c.method in methods]
    for number, method in enumerate(methods):
        before = [c for c in done if c.method == method]
        share = a.kills // len(methods) + (number < a.kills % len(methods)) - sum(len(c.places) for c in before)
        for result in campaign(method, share, a.seed, len(before)) if share > 0 else ():
            done.append(result)
            with a.tally.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
    show(done)
    sys.exit(any(c.differs for c in done))


def options(method: str) -> Any:
    return plugins.load("methods", method).Options()


if __name__ == "__main__":
    main()
