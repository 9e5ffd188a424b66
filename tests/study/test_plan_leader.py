"""The plan of a run that follows another is of the study's own leader, as the run's is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mtlbench.cli.acts import plan


def test_the_plan_asks_for_the_studys_own_leader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By method, seed and point: the folders that runs are given; trials of the leader are none."""

    def request(method: str, role: str, seed: int) -> SimpleNamespace:
        config = SimpleNamespace(method=method, role=role, seed=seed, steps=1)
        return SimpleNamespace(config=config, method=method, point="", out=str(tmp_path))

    asked: list[Any] = []

    def completed(r: Any, folders: Any) -> Any:
        asked.append((r.method, folders))
        return r

    monkeypatch.setattr(plan, "follows", lambda r: "leader" if r.method == "follower" else None)
    monkeypatch.setattr(plan, "completed", completed)
    known = SimpleNamespace(of=lambda r: plan.Preview(Path(r.method), "finished", (), 1))
    requests = [request("follower", "study", 3), request("leader", "tune", 3), request("leader", "study", 3)]
    plans = plan._plans(requests, known)  # type: ignore[arg-type]
    assert [p.folder.name for p in plans] == ["follower", "leader", "leader"]
    assert asked[-1] == ("follower", {("leader", 3, ""): Path("leader")})
