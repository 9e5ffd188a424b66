"""SIGKILL runs at random steps, let them go on, and compare every recorded number with a run that was never stopped.

python tests/kill_and_resume.py [--kills 10] [--methods a,b]    (kills in all; tests/runs/test_runner.py runs it with two)
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch

sys.path[0] = str(Path(__file__).parents[1])  # beside this file lie packages of tests, named after what they test

from mtlbench import plugins, records  # noqa: E402
from mtlbench.config import RunConfig  # noqa: E402
from mtlbench.runs import course, runner  # noqa: E402

TOY = f"{Path(__file__).parent / 'helpers' / 'toy.py'}:Toy"
STEPS = 60


def request(method: str, out: str) -> runner.Request:
    """A run of a minute's tenth on the toy data set."""
    settings = {"steps": STEPS, "batch_size": 4, "width": 0.0625, "head": 8, "evaluations": 4, "lr": 5e-3}
    config = RunConfig(method=method, dataset="toy", tasks=("segmentation", "normals", "depth"), **settings)
    return runner.Request(config, method, TOY, out)


def child(method: str, out: str, say: Connection) -> None:
    """Run with a checkpoint every few steps and a word after every step."""
    course.SIGN_SECONDS, course.SAVE_SECONDS = 0.0, 0.1
    runner.execute(request(method, out), lambda p: say.send((p.step, p.phase)))


def killed_at(method: str, out: str, step: int, wait: float) -> str:
    """Start a run, SIGKILL it `wait` seconds after it has passed a step, and say where that was."""
    fork = multiprocessing.get_context("fork")  # torch is loaded already
    hear, say = fork.Pipe(duplex=False)
    process = fork.Process(target=child, args=(method, out, say), daemon=True)
    process.start()
    say.close()
    where = (0, "before the first step")
    try:
        while where[0] < step:
            where = hear.recv()
        time.sleep(wait)  # somewhere within a step, a validation or a write
    except EOFError:
        pass
    process.kill()
    process.join()
    return " ".join(map(str, where)).strip()


def numbers(folder: Path) -> list[dict]:
    """Every evaluation and log line, and what was counted; nothing that time decides."""
    run = records.read_run(folder)
    assert run.end is not None
    lines = [line.model_dump(exclude={"attempt"}) for line in (*run.evals, *run.logs)]
    return [*lines, {"status": run.status, "flops": run.end.training_flops, "step": run.end.deployed_step}]


def check(method: str, kills: int, first: int = 0) -> list[str]:
    """Kill and resume `kills` times; where each kill fell. Raises AssertionError at the first number that differs."""
    places = []
    with tempfile.TemporaryDirectory() as temporary:
        whole = numbers(runner.execute(request(method, f"{temporary}/whole")).folder)
        for index in range(first, first + kills):
            out, chance = f"{temporary}/{index}", random.Random(f"{method} {index}")
            places.append(killed_at(method, out, chance.randrange(0, STEPS), chance.random() * 0.3))
            assert numbers(runner.execute(request(method, out)).folder) == whole, f"killed at {places[-1]}"
            shutil.rmtree(out)
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="kills in all")
    parser.add_argument("--methods", default=",".join(plugins.names("methods")))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    methods = [m for m in arguments.methods.split(",") if plugins.load("methods", m).follows(options(m)) is None]
    done = 0
    for number, method in enumerate(methods):
        share = arguments.kills // len(methods) + (number < arguments.kills % len(methods))
        places = check(method, share) if share else []
        done += len(places)
        print(f"{method}: {len(places)} kills, every number equal; killed after step: {', '.join(places)}", flush=True)
    print(f"{done} kills, every number equal")


def options(method: str) -> object:
    return plugins.load("methods", method).Options()


if __name__ == "__main__":
    main()
