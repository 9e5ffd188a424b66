"""Other rules of selection read off one training: their Delta by hand, paired with what was deployed."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest
from scipy import stats

from mtlbench.records import Writer
from mtlbench.report.report import read
from mtlbench.report.tables.rules import ALONE, CHOSEN_ON_TEST, table

RULE = "best-test-oracle"


@pytest.fixture
def results(synthetic: ModuleType, tmp_path: Path) -> Path:
    """Three seeds; under the oracle every metric of nddr is one per cent of its value better than deployed."""
    for method in ("single-task", "hard-sharing", "nddr"):
        for seed in range(3):
            folder = synthetic.run(tmp_path, method, seed, per_image=False, curve=1, timed=False)
            if method != "nddr":
                continue
            final = synthetic.metrics(method, "scenes", seed, synthetic.TASKS)
            for task in synthetic.TASKS:
                for metric in task.metrics:
                    final[task.name][metric.name] *= 1.01 + seed / 1000 if metric.higher else 0.99
            line = synthetic.evaluation(500, "test", "rule", final, synthetic.TASKS).model_copy(update={"rule": RULE})
            path = folder / "record.jsonl"
            *before, end = path.read_text().splitlines(keepends=True)
            path.write_text("".join(before))
            Writer(folder, 1).write(line)
            with path.open("a") as file:
                file.write(end)
    return tmp_path


def test_the_difference_is_the_choices_alone(results: Path) -> None:
    """Delta of the rule over single-task as deployed, less Delta as deployed, by hand from the metrics."""
    (result,) = read(results).aggregates
    lines = {x.label: x for x in result.lines}
    gains = []
    for seed in range(3):
        parts = []
        for task in result.study.tasks:
            metric = next(m for m in task.metrics if m.primary)
            single = lines["single-task"].values[task.name, metric.name][seed]
            own = lines["nddr"].values[task.name, metric.name][seed]
            new = lines["nddr"].row.runs[seed].rules[RULE][task.name][metric.name]
            assert new is not None
            parts.append(100 * (new - own) / single * (1 if metric.higher else -1))
        gains.append(sum(parts) / len(parts))
    found = table(result)
    ((name, cells),) = found.rows
    assert name == "nddr"
    assert [c.group for c in found.columns] == ["last, as deployed", RULE, RULE]
    difference = cells[2].value
    assert not isinstance(difference, str)
    assert difference.mean == pytest.approx(sum(gains) / 3)
    low, high = stats.t.interval(0.95, 2, loc=sum(gains) / 3, scale=stats.sem(gains))
    assert (difference.low, difference.high) == pytest.approx((low, high))
    assert any("CHOOSES ON THE TEST SPLIT" in note for note in found.notes)


def test_without_single_task_the_gain_is_over_what_was_deployed(results: Path) -> None:
    """One per cent where less is better; 1 %, 1.1 % and 1.2 % by seed where more is."""
    for folder in (results / "records").glob("single-task-*"):
        shutil.rmtree(folder)
    (result,) = read(results).aggregates
    higher = [next(m for m in t.metrics if m.primary).higher for t in result.study.tasks]
    assert any(higher) and not all(higher)
    gains = [sum(1 + seed / 10 if up else 1 for up in higher) / len(higher) for seed in range(3)]
    found = table(result)
    ((name, (cell,)),) = found.rows
    assert name == "nddr"
    assert [(c.group, c.head) for c in found.columns] == [(RULE, "gain over last, as deployed")]
    assert not isinstance(cell.value, str)
    assert cell.value.mean == pytest.approx(sum(gains) / 3)
    low, high = stats.t.interval(0.95, 2, loc=sum(gains) / 3, scale=stats.sem(gains))
    assert (cell.value.low, cell.value.high) == pytest.approx((low, high))
    assert found.notes == [ALONE, CHOSEN_ON_TEST]


def test_without_other_rules_there_is_no_table(small: Path) -> None:
    assert all(not table(r).rows for r in read(small).aggregates)
