"""SIGKILL runs at random steps, let them go on, and compare every recorded number with a run that was never stopped.

python tests/kill_and_resume.py [--kills 10] [--methods a,b]    (tests/runs/test_runner.py runs it with two kills)
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

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


def child(method: str, out: str) -> None:
    """Run with a checkpoint every few steps and a line after every step."""
    course.SIGN_SECONDS, course.SAVE_SECONDS = 0.0, 0.2
    runner.execute(request(method, out), lambda p: print(p.step, p.phase, flush=True))


def killed_at(method: str, out: str, step: int) -> str:
    """Start a run, SIGKILL it once it has passed a step, and say where that was."""
    command = [sys.executable, __file__, "--child", method, "--out", out]
    where = "before the first step"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            where = line.strip()
            if int(where.split()[0]) >= step:
                process.send_signal(signal.SIGKILL)
                break
    return where


def numbers(folder: Path) -> list[dict]:
    """Every evaluation and log line, and what was counted; nothing that time decides."""
    run = records.read_run(folder)
    assert run.end is not None
    lines = [line.model_dump(exclude={"attempt"}) for line in (*run.evals, *run.logs)]
    return [*lines, {"status": run.status, "flops": run.end.training_flops, "step": run.end.deployed_step}]


def check(method: str, kills: int) -> list[str]:
    """Kill and resume `kills` times; where each kill fell. Raises AssertionError at the first number that differs."""
    places = []
    with tempfile.TemporaryDirectory() as temporary:
        whole = numbers(runner.execute(request(method, f"{temporary}/whole")).folder)
        for index in range(kills):
            out = f"{temporary}/{index}"
            step = random.Random(f"{method} {index}").randrange(1, STEPS)
            places.append(killed_at(method, out, step))
            assert runner.plan(request(method, out)).status in ("new", "unfinished"), "it was not killed in time"
            assert numbers(runner.execute(request(method, out)).folder) == whole, f"killed at {places[-1]}"
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--methods", default=",".join(plugins.names("methods")))
    parser.add_argument("--child")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.out)
        return
    for method in arguments.methods.split(","):
        places = check(method, arguments.kills)
        print(f"{method}: {len(places)} kills, every number equal; killed after step: {', '.join(places)}", flush=True)


if __name__ == "__main__":
    main()
