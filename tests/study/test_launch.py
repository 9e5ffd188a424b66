"""Where runs execute: shares of threads, failures that stop nobody, dying workers, and a clean stop."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.runs import runner
from mtlbench.runs.runner import Outcome, Progress
from mtlbench.study import display, launch, study, words
from mtlbench.study.settings import gather

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
DISCS = f"{EXAMPLES / 'my_dataset.py'}:Discs"

FAKE = """
import os, signal
from pathlib import Path
from mtlbench.runs.runner import Outcome, Progress

def execute(request, progress):
    progress(Progress("train", 1, 2, {}, 1.0))
    if request.config.seed == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    threads = float(os.environ["OMP_NUM_THREADS"])
    return Outcome(Path(str(os.getpid())), "finished", score=request.config.seed + threads / 10)
"""


SEEING = """
import os, time
from pathlib import Path
from mtlbench.runs.request import Outcome

def execute(request, progress):
    time.sleep(1.0)  # so that neither worker does it all
    return Outcome(Path("."), "failed", os.environ["CUDA_VISIBLE_DEVICES"])
"""


class Heard:
    """A display that remembers."""

    def __init__(self):
        self.begun, self.ended, self.updates = [], [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, number, request):
        self.begun.append(number)

    def update(self, number, progress):
        self.updates.append((number, progress))

    def end(self, number, request, outcome):
        self.ended.append((number, outcome.status))


def requests(out, methods="hard-sharing", **flags):
    given = {"methods": methods, "dataset": DISCS, "device": "cpu", "out": str(out), "steps": "2"}
    settings = gather({**given, "set": ["discs.images=24", "run.head=4"], **flags})
    return study.runs(study.resolve(settings))


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"),
    [
        (4, "0,1,2,3", ["0", "1", "2", "3"]),
        (5, "0,1", ["0", "1", "0", "1", "0"]),
        (2, "GPU-a", ["GPU-a"] * 2),
        (2, "", [None] * 2),
    ],
)
def test_a_worker_a_gpu_and_more_share_them(monkeypatch, workers, gpus, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    taken = []
    for _ in range(workers):
        taken.append(launch.place(launch.gpus("cuda"), taken))
    assert taken == expected
    if workers == 5:  # the one on the second GPU died
        assert launch.place(launch.gpus("cuda"), ["0", "0", "1", "0"]) == "1"


def test_gpus_are_those_there_are_unless_one_is_named(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert launch.gpus("cuda") == ("0", "1", "2")
    assert launch.gpus("cuda:1") == launch.gpus("cpu") == ()
    monkeypatch.setattr(launch, "cores", lambda: 12)
    assert launch.share(12, "cuda", gpus=3) == (3, launch.share(12, "cuda", 3)[1])


def test_every_worker_sees_its_own_gpu(tmp_path, monkeypatch):
    (tmp_path / "seeing.py").write_text(SEEING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,9")
    wanted = requests(tmp_path, seeds="0,1,2,3")
    execute = importlib.import_module("seeing").execute
    outcomes = launch.launch(wanted, 2, 1, Heard(), execute, launch.gpus("cuda"))
    assert {o.reason for o in outcomes} == {"7", "9"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7,9"


@pytest.mark.parametrize(
    ("runs", "device", "workers", "threads", "expected"),
    [
        (12, "cpu", None, None, (4, 1)),
        (3, "cpu", None, None, (3, 1)),
        (1, "cpu", None, None, (1, 4)),
        (12, "cpu", 2, None, (2, 2)),
        (12, "cpu", 8, None, (8, 1)),
        (12, "cpu", 2, 3, (2, 3)),
        (12, "cuda", None, None, (1, 4)),
        (12, "cuda", 2, None, (2, 2)),
    ],
)
def test_the_cores_are_shared_out(monkeypatch, runs, device, workers, threads, expected):
    monkeypatch.setattr(launch, "cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert launch.share(runs, device, workers, threads) == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert launch.share(runs, device, workers, threads) == (expected[0], threads or 7)


def test_in_turn_in_order_with_threads_set(tmp_path, monkeypatch):
    seen = []

    def execute(request, progress):
        seen.append((request.config.seed, request.threads))
        progress(Progress("train", 1, 2, {}, 1.0))
        return Outcome(tmp_path, "finished", score=float(request.config.seed))

    monkeypatch.setattr(runner, "execute", execute)
    heard = Heard()
    outcomes = launch.launch(requests(tmp_path, seeds="5,3"), 1, 1, heard)
    assert seen == [(5, 1), (3, 1)]
    assert [o.score for o in outcomes] == [5, 3]
    assert heard.begun == [0, 1]
    assert heard.ended == [(0, "finished"), (1, "finished")]
    assert [number for number, _ in heard.updates] == [0, 1]


def test_what_the_runner_cannot_record_stops_no_other(tmp_path, monkeypatch):
    def execute(request, progress):
        if request.config.seed == 0:
            raise RuntimeError("disk full\nor so")
        return Outcome(tmp_path, "finished")

    monkeypatch.setattr(runner, "execute", execute)
    outcomes = launch.launch(requests(tmp_path, seeds="0,1"), 1, 1, Heard())
    assert [(o.status, o.reason) for o in outcomes] == [("failed", "RuntimeError: disk full or so"), ("finished", "")]


def test_ctrl_c_passes(tmp_path, monkeypatch):
    def execute(request, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "execute", execute)
    with pytest.raises(KeyboardInterrupt):
        launch.launch(requests(tmp_path), 1, 1, Heard())


@pytest.mark.slow
def test_a_killed_worker_is_a_failed_run_and_the_others_finish(tmp_path, monkeypatch):
    (tmp_path / "fake_run.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    heard, wanted = Heard(), requests(tmp_path, seeds="0,1,2")
    outcomes = launch.launch(wanted, 2, 3, heard, importlib.import_module("fake_run").execute)
    assert [o.status for o in outcomes] == ["failed", "finished", "finished"]
    assert outcomes[0].reason == "its worker process was killed by SIGKILL (out of memory?)"
    record = records.read_run(outcomes[0].folder)
    assert (record.status, record.end.reason) == ("failed", outcomes[0].reason)
    assert [o.score for o in outcomes[1:]] == [1.3, 2.3]  # seed, and the threads set before anything was imported
    assert str(os.getpid()) not in {o.folder.name for o in outcomes}
    assert sorted(heard.begun) == sorted(n for n, _ in heard.ended) == sorted(n for n, _ in heard.updates) == [0, 1, 2]


def test_what_is_done_needs_no_process(tmp_path, monkeypatch):
    wanted = requests(tmp_path, seeds="0,1")
    monkeypatch.setattr(launch, "Worker", None)
    monkeypatch.setattr(records, "status_of", lambda folder: "finished")
    done = launch.launch(wanted, 2, 1, Heard(), lambda request, progress: Outcome(tmp_path, "finished", skipped=True))
    assert [(o.status, o.skipped) for o in done] == [("finished", True)] * 2


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(p) for p in text.split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_for(condition, seconds=300.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for child processes in /proc")
@pytest.mark.parametrize(
    ("number", "workers", "group"),
    # `timeout` and batch systems send SIGTERM to every process of a group, and some more than once
    [(signal.SIGINT, 2, False), (signal.SIGTERM, 2, True), (signal.SIGTERM, 1, True)],
)
def test_a_signal_stops_everything_and_says_how_to_go_on(tmp_path, number, workers, group):
    command = ["run", "--methods", "hard-sharing", "--dataset", DISCS, "--set", "discs.images=24", "--out", "results"]
    command += ["--steps", "3000", "--seeds", "0,1", "--workers", str(workers), "--device", "cpu", "--no-report"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mtlbench", *command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background may have Ctrl-C ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    try:
        found = lambda: list((tmp_path / "results" / "records").glob("*/record.jsonl"))  # noqa: E731
        _wait_for(lambda: len(found()) == workers and all('"kind":"log"' in f.read_text() for f in found()))
        children = _children(process.pid)
        process.send_signal(number)
        if group:
            os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "The same command goes on from there:\n  mtlbench run --methods hard-sharing" in err
    _wait_for(lambda: not any(map(_alive, children)), 30)
    for file in found():
        assert records.read_run(file.parent).status == "unfinished"
        assert (file.parent / "checkpoint.pt").exists()


# --- display


def test_a_line_comes_every_ten_seconds_and_at_the_end(tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    (request,) = requests(tmp_path)
    with display.Lines(3) as lines:
        lines.begin(1, request)
        for second in range(26):
            now[0] = float(second)
            lines.update(1, Progress("train", 2 * second, 100, {"disc": 0.5}, 2.5))
        lines.end(1, request, Outcome(tmp_path, "finished", "", 0.25, 187.0))
    assert capsys.readouterr().out.splitlines() == [
        "[2/3] hard-sharing seed 0: step 20/100, train, 2.5 steps/s, disc 0.5, 40 s left",
        "[2/3] hard-sharing seed 0: step 40/100, train, 2.5 steps/s, disc 0.5, 30 s left",
        "[2/3] hard-sharing seed 0: finished in 3:07 min, validation score 0.250",
    ]


def test_side_by_side_they_take_turns_one_line_every_ten_seconds(tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    (request,) = requests(tmp_path)
    with display.Lines(3) as lines:
        for number in (0, 1):
            lines.begin(number, request)
        for second in range(45):
            now[0] = float(second)
            for number in (0, 1):
                lines.update(number, Progress("train", second, 100, {}, 1.0))
            if second == 25:
                lines.end(0, request, Outcome(tmp_path, "finished"))
    shown = [line[:5] + line.rpartition("step ")[2][:2] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["[1/3]10", "[2/3]20", "[1/3]" + "[1", "[2/3]30", "[2/3]40"]


@pytest.mark.parametrize("width", [80, 140])
def test_a_bar_its_count_and_the_time_left_stay_whole_at_any_width(tmp_path, monkeypatch, width):
    import io

    from rich.console import Console

    now = [0.0]
    monkeypatch.setattr("rich.progress.Progress.get_time", lambda self: now[0], raising=False)
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    (request,) = requests(tmp_path)
    bars = display.Bars(12, console)
    bars._bars.get_time = lambda: now[0]
    for task in bars._bars._tasks.values():
        task._get_time = lambda: now[0]
    bars.begin(0, request)
    losses = {f"a long task's name {n}": 0.123 for n in range(5)}
    for second in (0, 10, 20, 30):
        now[0] = float(second)
        bars.update(0, Progress("retrain", 100 * second, 30_000, losses, 100.0))
    with console.capture() as captured:
        console.print(bars._bars.get_renderable())
    study, one = captured.get().splitlines()
    assert len(one) <= width
    assert re.match(r"hard-sharing seed 0 +[━╸╺ ]{16,} 3000/30000 0:04:30 left retrain", one)
    assert re.match(r"runs +[━╸╺ ]{16,} +0/12 ", study)


def test_bars_live_through_a_study(tmp_path, capsys):
    (request,) = requests(tmp_path)
    with display.Bars(2) as bars:
        bars.begin(0, request)
        bars.update(0, Progress("train", 1, 2, {"disc": 0.5}, 2.0))
        bars.end(0, request, Outcome(tmp_path, "failed", "it broke [really]"))
        bars.end(1, request, Outcome(tmp_path, "finished", skipped=True))
    out = capsys.readouterr().out
    assert "hard-sharing seed 0: failed: it broke [really]" in out
    assert re.search(r"runs .* 2/2", out)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (187, "3:07 min"), (7500, "2:05 h")])
def test_clock(seconds, text):
    assert words.clock(seconds) == text
