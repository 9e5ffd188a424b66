"""A made-up study written through the real writer: eight methods whose figures are pure functions of a key.

python -m tests.helpers.synthetic FOLDER [--methods N] [--datasets N] [--seeds N]
python -m tests.helpers.synthetic --golden
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from mtlbench.records import (
    FILE,
    ArtefactLine,
    Cost,
    End,
    Eval,
    Line,
    Log,
    Macs,
    MetricInfo,
    Parameters,
    ReferenceInfo,
    SideBySide,
    Start,
    TaskInfo,
    Writer,
)

SEGMENTATION = [
    MetricInfo(name="miou", unit="%", higher=True, primary=True),
    MetricInfo(name="pixel_accuracy", unit="%", higher=True),
]
NORMALS = [
    MetricInfo(name="mean_angle", unit="deg", higher=False, primary=True),
    MetricInfo(name="median_angle", unit="deg", higher=False),
    MetricInfo(name="within_11.25", unit="%", higher=True),
]
DEPTH = [
    MetricInfo(name="abs_error", unit="m", higher=False, primary=True),
    MetricInfo(name="rel_error", unit="", higher=False),
    MetricInfo(name="delta_1.25", unit="%", higher=True),
]
TASKS = [
    TaskInfo(name="segmentation", kind="segmentation", channels=5, metrics=SEGMENTATION),
    TaskInfo(name="normals", kind="normals", channels=3, derived=True, metrics=NORMALS),
    TaskInfo(name="depth", kind="depth", channels=1, metrics=DEPTH),
]
BASE = {"miou": 30.0, "pixel_accuracy": 58.0, "mean_angle": 24.0, "median_angle": 17.0, "within_11.25": 36.0,
        "abs_error": 0.58, "rel_error": 0.24, "delta_1.25": 61.0}  # fmt: skip
CONSTANT = {"miou": 3.1, "pixel_accuracy": 22.0, "mean_angle": 37.0, "median_angle": 35.0, "within_11.25": 11.0,
            "abs_error": 0.95, "rel_error": 0.41, "delta_1.25": 33.0}  # fmt: skip

# name -> (gain in per cent, backbone ratio, backbone MACs ratio, anchor)
METHODS: dict[str, tuple[float, float, float, Any]] = {
    "single-task": (0.0, 3.0, 3.0, "independent"),
    "hard-sharing": (1.6, 1.0, 1.0, "shared"),
    "cross-stitch": (3.1, 3.0, 3.0, None),
    "sluice": (2.2, 3.04, 3.05, None),
    "nddr": (3.6, 3.149, 3.2, None),
    "mtan": (2.9, 1.1, 1.4, None),
    "den": (-1.8, 1.12, 1.9, None),
    "adashare": (4.2, 1.0, 2.55, None),
}
LENGTH = 8  # blocks


def draw(*key: object) -> np.random.Generator:
    """A generator of the key's own."""
    return np.random.default_rng([sum(map(ord, str(k))) * 7919 + len(str(k)) for k in key])


def metrics(
    method: str, dataset: str, seed: int, tasks: list[TaskInfo], share: float = 1.0, noise: float = 0.8
) -> dict[str, Any]:
    """A method's figures after `share` of its training; seeds shift all methods alike (they share batches)."""
    gain, *_ = METHODS.get(method, (draw(method).normal(2, 2), 0, 0, None))
    found: dict[str, Any] = {}
    for task in tasks:
        shift = draw(dataset, seed, task.name).normal(0, noise) + draw(method, dataset, seed, task.name).normal(
            0, noise / 2
        )
        lean = draw(method, task.name).normal(0, 2.0) if METHODS.get(method, (0, 0, 0, None))[3] is None else 0.0
        found[task.name] = {}
        for metric in task.metrics:
            factor = 1 + (gain + lean + shift) / 100 * (1 if metric.higher else -1)
            end = BASE[metric.name] * factor
            found[task.name][metric.name] = round(
                end + (CONSTANT[metric.name] - end) * math.exp(-4.0 * share) * 1.02, 5
            )
    return found


def constant(tasks: list[TaskInfo]) -> dict[str, Any]:
    """The constant predictor's figures."""
    return {t.name: {m.name: CONSTANT[m.name] for m in t.metrics} for t in tasks}


def evaluation(step: int, split: Any, purpose: Any, values: dict[str, Any], tasks: list[TaskInfo]) -> Eval:
    """An eval line with skill and score as the harness writes them."""
    skill = {}
    for task in tasks:
        primary = next(m for m in task.metrics if m.primary)
        e, c = values[task.name][primary.name], CONSTANT[primary.name]
        skill[task.name] = 1 - (100 - e) / (100 - c) if primary.higher else 1 - e / c
    score = sum(skill.values()) / len(skill)
    return Eval(step=step, phase="train", split=split, purpose=purpose, metrics=values, skill=skill, score=score)


def config(method: str, dataset: str, seed: int, tasks: list[TaskInfo], **changes: Any) -> dict[str, Any]:
    """A resolved configuration."""
    values = {
        "method": method, "options": {}, "dataset": dataset, "data": {}, "tasks": [t.name for t in tasks], "preset": "quick",
        "seed": seed, "backbone": "resnet18", "width": 0.25, "head": 64, "dropout": 0.0, "init": "kaiming",
        "batchnorm": "domain", "pretrained": None, "steps": 1000, "batch_size": 16, "budget": "total", "optimizer": "adamw",
        "lr": 1e-3, "weight_decay": 1e-4, "schedule": "cosine", "warmup": 0.05, "weighting": "fixed", "precision": "fp32",
        "selection": "last", "evaluations": 5, "role": "study",
    }  # fmt: skip
    return {**values, **changes}


def cost(method: str, tasks: list[TaskInfo]) -> Cost:
    """Parameters and compute from the method's ratios."""
    _, ratio, work, _ = METHODS.get(method, (0, 1 + 2 * draw(method).random(), 1 + 2 * draw(method).random(), None))
    scale = len(tasks) / 3 if ratio > 1.5 else 1.0
    backbone, heads = int(700_000 * ratio * scale), 120_000 * len(tasks)
    macs = 0.62e9 * max(1.0, work * len(tasks) / 3)
    each = {t.name: 0.62e9 + 0.05e9 for t in tasks}
    return Cost(
        parameters=Parameters(backbone=backbone, heads=heads, total=backbone + heads, ratio=ratio * scale),
        macs=Macs(
            backbone=macs, heads=0.05e9 * len(tasks), total=macs + 0.05e9 * len(tasks), each=each, own_pass=macs * 1.05
        ),
        flops=2.1 * macs,
        uncounted=["aten::max_pool2d"],
        peak_memory=180_000_000 + int(macs / 30),
    )


def latency(method: str, tasks: list[TaskInfo], dataset: str) -> SideBySide:
    """Milliseconds from multiply-adds, measured side by side."""
    median = 4.0 * (cost(method, tasks).macs.total - 0.05e9 * len(tasks)) / 0.62e9 + 1.0
    where = {"session": f"{dataset}-{len(tasks)}", "time": "2025-01-02T00:00:00+00:00", "processor": "A processor"}
    return SideBySide(**where, median_ms=median, low_ms=median * 0.97, high_ms=median * 1.06, repeats=50)


def policy(tasks: list[TaskInfo], seed: int, undecided: bool) -> dict[str, Any]:
    """An AdaShare-like artefact."""
    logits = draw("policy", seed).normal(1.2, 2.5, (len(tasks), LENGTH)) * (0.06 if undecided else 1.0)
    alpha = 1 / (1 + np.exp(-logits))
    history = []
    for s in range(0, 501, 100):
        now = (0.5 + (alpha - 0.5) * s / 500).round(4).tolist()
        history.append({"step": s, "alpha": now, "temperature": 5 * 0.9 ** (s // 100), "open": 8})
    entropy = float(-(alpha * np.log(alpha) + (1 - alpha) * np.log(1 - alpha)).mean())
    return {"tasks": [t.name for t in tasks], "alpha": alpha.round(4).tolist(), "decided": (alpha >= 0.5).astype(int).tolist(),
            "undecided": undecided, "entropy": round(entropy, 4), "history": history, "candidates": []}  # fmt: skip


def images(folder: Path, method: str, dataset: str, seed: int, tasks: list[TaskInfo], count: int = 60) -> None:
    """Per-image statistics whose sums give figures near the metrics."""
    values = metrics(method, dataset, seed, tasks)
    arrays: dict[str, Any] = {}
    for task in tasks:
        rng = draw("images", dataset, task.name)
        easy = np.repeat(rng.normal(0, 0.15, (count // 6, 1)), 6, axis=0)  # neighbours share a room
        pixels = np.full((count, 1), 1000.0)
        if task.kind == "segmentation":  # the classes' IoU is the mIoU exactly, over the whole split
            truth = rng.integers(50, 350, (count, task.channels)).astype(float)
            iou = values[task.name]["miou"] / 100
            swing = easy - (truth * easy).sum(0) / truth.sum(0)
            hit = truth * 2 * iou / (1 + iou) * (1 + swing)
            arrays |= {"segmentation/intersection": hit, "segmentation/truth": truth, "segmentation/predicted": truth}
            arrays |= {"segmentation/count": truth.sum(1, keepdims=True)}
            continue
        swing = 1 + easy - easy.mean()
        if task.kind == "normals":
            within = np.tile(pixels * values[task.name]["within_11.25"] / 100, 3)
            angle = pixels * values[task.name]["mean_angle"] * swing
            arrays |= {"normals/count": pixels, "normals/angle": angle, "normals/within": within}
        else:
            error = pixels * values[task.name]["abs_error"] * swing
            delta = np.tile(pixels * values[task.name]["delta_1.25"] / 100, 3)
            arrays |= {"depth/count": pixels, "depth/abs": error, "depth/relative": error * 0.4, "depth/delta": delta}
    np.savez_compressed(folder / "test_statistics.npz", **arrays)


@patch("mtlbench.records.writing.os.fsync", lambda handle: None)
def run(
    results: Path, method: str, seed: int, dataset: str = "scenes", tasks: list[TaskInfo] = TASKS, *,
    status: Any = "finished", reason: str = "", per_image: bool = True, device: str = "cpu", undecided: bool = False,
    curve: int = 5, name: str | None = None, timed: bool = True, **changes: Any,
) -> Path:  # fmt: skip
    """Write one run's record and artefacts; `changes` go into its configuration."""
    settings = config(method, dataset, seed, tasks, **changes)
    options = "".join(f"-{k}{v}" for k, v in settings["options"].items())
    extent = "".join(
        f"-{k}{settings[k]}" for k in ("steps", "role", "selection") if settings[k] != config("", "", 0, [])[k]
    )
    folder = results / "records" / (name or f"{method}-{dataset}-{len(tasks)}t-s{seed}{options}{extent}-{device}")
    writer = Writer(folder, 1)
    steps = settings["steps"]
    environment = {
        "python": "3.11.9", "packages": {"mtlbench": "0.1.0", "torch": "2.7.0"}, "system": "Linux x86_64",
        "processor": "A processor", "device": "cpu" if device == "cpu" else "Some GPU", "threads": 1, "commit": "0123456789ab",
    }  # fmt: skip
    writer.write(Start(
        time="2025-01-01T00:00:00+00:00", method=method, dataset=dataset, seed=seed, role=settings["role"],
        anchor=METHODS.get(method, (0, 0, 0, None))[3], config=settings, tasks=tasks, environment=environment,
        fingerprint="f00d", layout="synthetic", phases=[{"name": "train", "steps": steps, "final": True}],
        command=f"python -m mtlbench run --methods all --dataset {dataset} --seeds 0,1,2",
        reference=[ReferenceInfo(label="AdaShare", source="Sun et al. 2020", metrics={"segmentation": {"miou": 30.2}})],
    ))  # fmt: skip
    for i in range(1, curve + 1):
        step = steps * i // curve
        loss = {t.name: 1.5 * math.exp(-2 * i / curve) + 0.3 for t in tasks}
        writer.write(Log(step=step, phase="train", losses=loss, values={}))
        writer.write(evaluation(step, "val", "curve", metrics(method, dataset, seed, tasks, i / curve), tasks))
    if status == "finished":
        _finish(writer, method, dataset, seed, tasks, per_image, undecided, steps)
    if status != "unfinished":
        _end(writer, status, reason, steps, method, settings["selection"])
    if status == "finished" and timed:
        writer.write(latency(method, tasks, dataset))
    return unsealed(folder)


def unsealed(folder: Path) -> Path:
    """Take the lines' checksums away, as older writers had none: tests may then change what a record says."""
    path = folder / FILE
    path.write_bytes(re.sub(rb'^\{"crc":"[0-9a-f]{8}",', b"{", path.read_bytes(), flags=re.MULTILINE))
    return folder


def _finish(
    writer: Writer, method: str, dataset: str, seed: int, tasks: Any, per_image: bool, undecided: bool, steps: int
) -> None:
    lines: list[Line] = [
        evaluation(0, "test", "constant", constant(tasks), tasks),
        evaluation(steps, "test", "final", metrics(method, dataset, seed, tasks), tasks),
        cost(method, tasks),
    ]
    if method == "adashare":
        (writer.folder / "policy.json").write_text(json.dumps(policy(tasks, seed, undecided)))
        lines.append(ArtefactLine(name="policy", path="policy.json"))
    if per_image:
        images(writer.folder, method, dataset, seed, tasks)
        lines.append(ArtefactLine(name="test-statistics", path="test_statistics.npz"))
    for line in lines:
        writer.write(line)


def _end(writer: Writer, status: Any, reason: str, steps: int, method: str, selection: str) -> None:
    work = METHODS.get(method, (0, 0, 2.0, None))[2]
    writer.write(
        End(
            status=status,
            reason=reason,
            step=steps,
            deployed_step=steps,
            selection=selection,
            seconds=120.0 * work,
            processor_seconds=220.0 * work,
            training_flops=3.7e14 * work,
            timing={"forward": 40.0 * work, "backward": 70.0 * work, "data": 6.0},
        )
    )


@patch("mtlbench.records.writing.os.fsync", lambda handle: None)
def small(results: Path, seeds: int = 3) -> Path:
    """Two data sets, eight methods, seeds, a divergence, a crash, an unfinished run, a control, and a tuning run."""
    for dataset, tasks in (("scenes", TASKS), ("rooms", [TASKS[0], TASKS[2]])):
        for method in METHODS:
            for seed in range(seeds):
                how: dict[str, Any] = {}
                if (method, seed) == ("den", seeds - 1):
                    how = {"status": "diverged", "reason": "loss of depth is not finite at step 400"}
                if (method, seed, dataset) == ("sluice", seeds - 1, "rooms"):
                    how = {"status": "failed", "reason": "RuntimeError: out of | memory"}
                if (method, seed, dataset) == ("mtan", 0, "rooms"):
                    how = {"status": "unfinished"}
                run(results, method, seed, dataset, tasks, undecided=(method == "adashare" and seed == 1), **how)
    for seed in range(seeds):
        run(results, "adashare", seed, options={"objective": "release"})
        run(results, "hard-sharing", seed, steps=3000, role="control")
    run(results, "nddr", 99, role="tune")
    return results


@patch("mtlbench.records.writing.os.fsync", lambda handle: None)
def many(results: Path, methods: int, datasets: int, seeds: int) -> Path:
    """A large study, for measuring."""
    names = [*METHODS, *(f"variant-{i:02d}" for i in range(methods))][:methods]
    for d in range(datasets):
        for method in names:
            for seed in range(seeds):
                failed = (len(method) + seed + d) % 97 == 0
                how: dict[str, Any] = {"status": "failed", "reason": "RuntimeError: a reason"} if failed else {}
                run(results, method, seed, f"data-{d:02d}", per_image=False, curve=10, **how)
    return results


@patch("mtlbench.records.writing.os.fsync", lambda handle: None)
def golden(folder: Path) -> None:
    """The committed fixture and the tables it gives."""
    from mtlbench.report import build

    for part in ("records", "tables"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for method in ("single-task", "hard-sharing", "nddr", "adashare", "den"):
        for seed in range(3):
            lost: dict[str, Any] = {"status": "diverged", "reason": "loss of depth is not finite at step 7"}
            how = lost if (method, seed) == ("den", 1) else {"undecided": seed == 2}
            run(folder, method, seed, per_image=seed == 0, curve=1, **how)
    run(folder, "hard-sharing", 0, steps=3000, role="control", per_image=False, curve=1)
    with tempfile.TemporaryDirectory() as scratch:
        build.write(folder, Path(scratch))
        shutil.copytree(Path(scratch) / "tables", folder / "tables")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "report" / "golden")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--methods", type=int, default=0)
    parser.add_argument("--datasets", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.golden:
        golden(given.folder)
    elif given.methods:
        many(given.folder, given.methods, given.datasets, given.seeds)
    else:
        small(given.folder, given.seeds)
