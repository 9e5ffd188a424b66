"""The bootstrap of test images against a plain loop, its pairing, and the files it refuses."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mtlbench.report.analysis import bootstrap
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY
from mtlbench.report.report import read
from mtlbench.tasks import Task, figures
from mtlbench.tasks.reductions import reduce


def test_blocks_are_consecutive_and_cover_everything() -> None:
    starts = bootstrap.block_starts(654)
    assert starts[0] == 0
    assert set(np.diff(starts)) == {9}  # 654 ** (1/3) = 8.7
    assert list(bootstrap.block_starts(1)) == [0]
    weights = bootstrap.draws(654)
    assert weights.shape == (bootstrap.DRAWS, len(starts))
    assert (weights.sum(1) == len(starts)).all()


def test_a_resample_is_the_whole_metric_of_the_drawn_images(synthetic: ModuleType) -> None:
    """Against a loop that really draws images, in the classes' case: mIoU of the sums, never a mean of mIoUs."""
    rng = np.random.default_rng(0)
    rows = {k: rng.integers(0, 40, (23, 5)).astype(float) for k in ("intersection", "truth", "predicted")}
    rows["intersection"] = np.minimum(rows["truth"], rows["predicted"])
    found = bootstrap.resampled(synthetic.TASKS[0], rows)
    weights, starts = bootstrap.draws(23), bootstrap.block_starts(23)
    ends = [*starts[1:], 23]
    for draw in (0, 7, 999):
        images = [i for b, times in enumerate(weights[draw]) for i in [*range(starts[b], ends[b])] * int(times)]
        sums = {k: sum(r[i] for i in images) for k, r in rows.items()}
        assert found[draw] == pytest.approx(figures(Task("s", "segmentation", 4).metrics, sums)["miou"])


@pytest.mark.parametrize(
    ("kind", "widths"),
    [
        ("segmentation", {"intersection": 4, "truth": 4, "predicted": 4, "count": 1}),
        ("classification", {"intersection": 4, "truth": 4, "predicted": 4, "count": 1}),
        ("normals", {"count": 1, "angle": 1, "within": 3}),
        ("depth", {"count": 1, "abs": 1, "square": 1, "relative": 1, "delta": 3}),
        ("edges", {"count": 1, "abs": 1}),
        ("regression-l1", {"count": 2, "abs": 2, "square": 2, "label": 2, "label_square": 2}),
        ("multi-label", {"intersection": 4, "truth": 4, "predicted": 4, "yes_histogram": 480, "no_histogram": 480}),
        ("ordinal", {"count": 1, "abs": 1, "confusion": 25}),
    ],
)
def test_many_sums_are_each_summarised(kind: str, widths: dict[str, int]) -> None:
    rng = np.random.default_rng(1)
    stack = {k: rng.integers(0, 30, (6, w)).astype(float) for k, w in widths.items()}
    for values in stack.values():
        values[3] = 0  # nothing labelled
    metrics = Task("task", kind, 4).metrics
    many = {m.name: reduce(m.reduction, stack) for m in metrics}
    for i in range(6):
        one = figures(metrics, {k: v[i] for k, v in stack.items()})
        for name, value in one.items():
            assert many[name][i] == pytest.approx(value, nan_ok=True)


def test_the_interval_covers_other_test_sets() -> None:
    """Independent images: the percentile interval of a mean contains the truth in about 95 % of test sets."""
    from mtlbench.records import MetricInfo, TaskInfo

    task = TaskInfo(
        name="e", kind="edges", channels=1, metrics=[MetricInfo(name="error", unit="", higher=False, primary=True)]
    )
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(300):
        rows = {"count": np.ones((216, 1)), "abs": rng.normal(2.0, 0.5, (216, 1))}
        low, high = np.quantile(bootstrap.resampled(task, rows), [0.025, 0.975])
        inside += low <= 2.0 <= high
    assert 0.88 <= inside / 300 <= 0.98


def test_blocks_see_that_neighbours_are_alike() -> None:
    """Six neighbours of one room each: drawing blocks gives a wider interval than the images' own deviation says."""
    from mtlbench.records import MetricInfo, TaskInfo

    task = TaskInfo(
        name="e", kind="edges", channels=1, metrics=[MetricInfo(name="error", unit="", higher=False, primary=True)]
    )
    rooms = np.random.default_rng(2).normal(2.0, 0.5, (36, 1))
    rows = {"count": np.ones((216, 1)), "abs": np.repeat(rooms, 6, axis=0)}
    naive = rows["abs"].std(ddof=1) / math.sqrt(216)
    assert bootstrap.resampled(task, rows).std() > 2.0 * naive


def test_gains_are_paired_on_the_same_images(small: Path) -> None:
    """Methods fail on the same images: the gain's interval is far narrower than either figure's."""
    result = read(small).aggregates[1]
    key = ("depth", "abs_error")
    span, gain = result.test.spans["nddr"][key], result.test.gains["nddr"][key]
    assert gain.high - gain.low < 0.2 * (span.high - span.low)
    assert span.low < span.figure < span.high
    assert result.test.spans["single-task"][DELTA_PRIMARY].figure == 0.0


def test_statistics_that_contradict_the_record_are_refused(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = synthetic.run(tmp_path, "nddr", 0)
    with np.load(folder / "test_statistics.npz") as arrays:
        changed = {name: arrays[name] * (1.01 if name == "depth/abs" else 1.0) for name in arrays.files}
    np.savez_compressed(folder / "test_statistics.npz", **changed)
    (result,) = read(tmp_path).aggregates
    assert "its images give" in result.test.problems[0]
    assert not result.test.spans["nddr"]


@pytest.mark.parametrize("how", ["text", "cut", "pickle", "nan", "flat", "lengths", "huge"])
def test_broken_statistics_are_named_and_the_rest_stands(
    synthetic: ModuleType, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = synthetic.run(tmp_path, "nddr", 0)
    path = folder / "test_statistics.npz"
    good = path.read_bytes()
    bad = {
        "pickle": {"depth/abs": np.array([{"a": 1}], dtype=object)},
        "nan": {"depth/count": np.full((5, 1), np.nan), "depth/abs": np.ones((5, 1))},
        "flat": {"depth/abs": np.ones(5)},
        "lengths": {"depth/count": np.ones((5, 1)), "depth/abs": np.ones((6, 1))},
    }
    if how in bad:
        np.savez_compressed(path, **bad[how])  # type: ignore[arg-type]
    elif how == "huge":
        monkeypatch.setattr(bootstrap, "LIMIT", 1000)
    else:
        path.write_bytes(b"not a zip" if how == "text" else good[: len(good) // 2])
    (result,) = read(tmp_path).aggregates
    assert len(result.test.problems) == 1
    assert "nddr, seed 0" in result.test.problems[0]
    assert result.lines[0].values["depth", "abs_error"]


STRANGE = {
    "none known": ('{"by":"run","of":"abs"}', 1),
    "no sum's": ('{"by":"mean","of":"gone"}', 0),  # not kept: no interval, as for a median
    "beyond the columns": ('{"by":"mean","of":"abs","column":7}', 1),
    "of another shape": ('{"by":"average-precision","bins":0,"yes":"abs","no":"abs"}', 1),
    "a number for a name": ('{"by":"mean","of":1}', 1),
    "older than reductions": ("{}", 0),
}


@pytest.mark.parametrize("how", STRANGE)
def test_a_strange_reduction_costs_an_interval_and_no_table(synthetic: ModuleType, tmp_path: Path, how: str) -> None:
    data, problems = STRANGE[how]
    record = synthetic.run(tmp_path, "nddr", 0) / "record.jsonl"
    first, *rest = record.read_text().splitlines()
    start = json.loads(first)
    (depth,) = (t for t in start["tasks"] if t["name"] == "depth")
    depth["kind"], depth["metrics"][0]["reduction"] = "own", json.loads(data)
    record.write_text("\n".join([json.dumps(start), *rest]) + "\n")
    (result,) = read(tmp_path).aggregates
    assert result.lines[0].values["depth", "abs_error"]
    assert len(result.test.problems) == problems
    assert ("depth", "abs_error") not in result.test.spans.get("nddr", {})


def test_an_artefact_outside_the_runs_folder_is_not_read(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = synthetic.run(tmp_path, "nddr", 0)
    (folder / "test_statistics.npz").rename(tmp_path / "outside.npz")
    record = folder / "record.jsonl"
    record.write_text(record.read_text().replace('"path":"test_statistics.npz"', '"path":"../../outside.npz"'))
    (result,) = read(tmp_path).aggregates
    assert not result.test.spans["nddr"]


def test_damaged_statistics_are_said_and_not_used(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = synthetic.run(tmp_path, "nddr", 0)
    record, kept = folder / "record.jsonl", folder / "test_statistics.npz"
    whole = hashlib.sha256(kept.read_bytes()).hexdigest()
    for sha256, wrong in ((whole, False), (whole.replace(whole[0], "g"), True)):
        named = f'"path":"{kept.name}","sha256":"{sha256}"'
        text = re.sub(r'"path":"test_statistics.npz"(,"sha256":"\w*")?', named, record.read_text())
        record.write_text(text)
        (result,) = read(tmp_path).aggregates
        assert any("the file is damaged: its checksum is not the record's" in p for p in result.test.problems) is wrong
        assert bool(result.test.spans["nddr"]) is not wrong


def test_what_a_record_says_of_going_on_stands_on_the_runs_page(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = synthetic.run(tmp_path, "nddr", 0, per_image=False)
    lines = (folder / "record.jsonl").read_text().splitlines()
    lines.insert(2, '{"attempt":1,"kind":"resume","step":200,"note":"from step 200 on with 2 threads, not 1"}')
    (folder / "record.jsonl").write_text("\n".join(lines) + "\n")
    (result,) = read(tmp_path).aggregates
    (run,) = (r for line in result.lines for r in line.row.runs.values())
    assert run.resumed == ("from step 200 on with 2 threads, not 1",)
