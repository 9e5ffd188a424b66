"""Latencies are taken in turns, so that what disturbs one network disturbs all; each run's record keeps its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mtlbench import records
from mtlbench.cli.app import main
from mtlbench.config import RunConfig
from mtlbench.deployed import latency
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.runs import runner
from tests.helpers.command import BRANCHES, DISCS
from tests.helpers.networks import tiny_build


class Clock:
    """A machine's time: a pass takes `work` seconds times how slow the machine is by now."""

    def __init__(self) -> None:
        self.now, self.passes = 0.0, 0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.passes += 1
        self.now += seconds * (1.0 if self.passes < 300 else 3.0)  # another program starts half-way


class Busy(nn.Module):
    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds
        self.threads: set[int] = set()

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        assert torch.is_inference_mode_enabled()
        self.threads.add(torch.get_num_threads())
        self.clock.work(self.seconds)
        return dict.fromkeys(tasks, x)


def network(module: nn.Module) -> DeployedNetwork:
    return DeployedNetwork(module, tiny_build(), (), {"all": ["depth"]}, (3, 8, 8))


def test_equal_networks_come_out_equal_on_a_machine_that_slows_down() -> None:
    clock = Clock()
    modules = {"one": Busy(clock, 0.004), "other": Busy(clock, 0.004), "twice": Busy(clock, 0.008)}
    loaders = {name: (lambda m=m: network(m)) for name, m in modules.items()}
    samples = latency.side_by_side(loaders, threads=2, clock=clock)
    one, other, twice = (latency.described(samples[name]) for name in modules)
    assert clock.passes > 300
    assert one["repeats"] == other["repeats"] >= latency.LEAST
    assert one["median_ms"] == pytest.approx(other["median_ms"], rel=0.05)
    assert twice["median_ms"] / one["median_ms"] == pytest.approx(2, rel=0.05)
    assert {t for m in modules.values() for t in m.threads} == {2}


def test_one_after_the_other_they_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the test above can fail: the same two networks, each in a session of its own."""
    clock = Clock()
    found = [latency.side_by_side({0: lambda: network(Busy(clock, 0.004))}, clock=clock)[0] for _ in range(2)]
    one, other = (latency.described(samples)["median_ms"] for samples in found)
    assert other > 1.5 * one


def test_slow_networks_get_fewer_rounds_and_large_ones_are_loaded_for_each_turn(monkeypatch) -> None:
    clock, loaded = Clock(), []
    clock.passes = 300
    monkeypatch.setattr(latency, "RESIDENT", 0)

    def load() -> DeployedNetwork:
        loaded.append(1)
        module = Busy(clock, 2.0)
        module.weight = nn.Parameter(torch.zeros(1))
        return network(module)

    assert len(latency.side_by_side({"slow": load}, clock=clock)["slow"]) == latency.LEAST
    assert len(loaded) == latency.LEAST + 1


def test_quartiles_by_hand() -> None:
    assert latency.described([4.0, 1.0, 3.0, 2.0, 5.0]) == {
        "median_ms": 3.0, "low_ms": 2.0, "high_ms": 4.0, "repeats": 5,
    }  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    for method, options in (("hard-sharing", {}), ("single-task", {})):
        config = RunConfig(
            method=method, options=options, dataset="discs", tasks=("disc", "distance"), steps=1, batch_size=2,
            width=0.0625, head=4, data={"val_fraction": 0.2, "images": 12, "noise": 0.1},
        )  # fmt: skip
        assert runner.execute(runner.Request(config, method, DISCS, str(out))).status == "finished"
    return out


def test_the_command_writes_a_line_of_one_session_into_every_record(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(latency, "BLOCK", 0.0)
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    before = [r.latency for r in records.read_all(copy)[0]]
    assert before == [None, None]
    for _ in range(2):
        assert main(["latency", str(copy), "--threads", "2"]) == 0
    runs = records.read_all(copy)[0]
    lines = [r.latency for r in runs]
    assert len({line.session for line in lines}) == 1
    assert all(line.threads == 2 and line.processor and line.low_ms <= line.median_ms <= line.high_ms for line in lines)
    assert [r.cost.latency for r in runs] == [None, None]
    assert "2 threads of" in capsys.readouterr().out


def test_a_run_that_cannot_be_timed_is_a_row_with_its_reason(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(latency, "BLOCK", 0.0)
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    hard, single = (r.folder for r in records.read_all(copy)[0])
    (single / "model.safetensors").write_bytes(b"damaged")
    rows = latency.measure([hard, single])
    assert rows[0].line is not None and rows[1].line is None
    assert "is damaged" in rows[1].reason
    assert main(["latency", str(copy)]) == 1
    assert "n/a" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' is not a results folder"),
        (["{results}", "--device", "tpu"], "device is 'tpu' (allowed: auto, cpu, cuda"),
        (["{results}", "--plugin", "x"], "--plugin is 'x'"),
    ],
)
def test_wrong_arguments_are_one_line(results, capsys, arguments, message):
    assert main(["latency", *(a.format(results=results) for a in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_study_times_its_networks_at_its_end_and_once(tmp_path, monkeypatch, capsys):
    for name, least in (("BLOCK", 0.0), ("ROUNDS", 1), ("LEAST", 1)):
        monkeypatch.setattr(latency, name, least)
    monkeypatch.chdir(tmp_path)
    command = ["run", "--methods", f"hard-sharing,{BRANCHES}", "--dataset", DISCS, "--set", "discs.images=12"]
    command += ["--set", "run.head=4", "--steps", "1", "--workers", "1", "--device", "cpu", "--no-report"]
    assert main(command) == 0
    first = {r.start.method: r.latency.session for r in records.read_all(Path("results"))[0]}
    assert set(first) == {"hard-sharing", "branches"} and len(set(first.values())) == 1
    assert main(command) == 0  # nothing new: nothing is timed again
    assert {r.start.method: r.latency.session for r in records.read_all(Path("results"))[0]} == first
