"""What a kind declares reaches the record whole, old records mean what they meant, and bad reductions are refused."""

import pickle

import numpy as np
import pytest

from mtlbench import plugins
from mtlbench.errors import PluginError, UnknownName
from mtlbench.records import MetricInfo, TaskInfo, older
from mtlbench.tasks import Kind, Task
from mtlbench.tasks.kinds import Values
from mtlbench.tasks.kinds.depth import Depth
from mtlbench.tasks.metric import Metric
from mtlbench.tasks.pictures import VIEWS
from mtlbench.tasks.reductions import KNOWN, Mean, parse, reduce

KINDS = plugins.names("kinds")


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_declares_one_primary_metric_and_a_view_that_is_known(name):
    task = Task("t", name, 3, unit="m")
    assert [m.primary for m in task.metrics].count(True) == 1
    assert task.meaning.view in ("", *VIEWS)
    assert task.meaning.__doc__
    for metric in task.metrics:
        assert parse(metric.reduction.data()) == metric.reduction
        assert MetricInfo(**metric.data()).model_dump() == metric.data()


@pytest.mark.parametrize("name", list(older.REDUCTIONS))
def test_an_old_record_says_what_its_kind_says_today(name):
    task = Task("t", name, 3)
    bare = [{"name": m.name, "unit": m.unit, "higher": m.higher, "primary": m.primary} for m in task.metrics]
    read = TaskInfo.model_validate({"name": "t", "kind": name, "channels": 3, "metrics": bare})
    assert [m.reduction for m in read.metrics] == [m.reduction.data() for m in task.metrics]
    assert read.view == task.meaning.view


def test_a_records_own_reduction_stays():
    own = {"by": "mean", "of": "abs"}
    metric = {"name": "error", "unit": "", "higher": False, "reduction": own}
    read = TaskInfo.model_validate({"name": "t", "kind": "edges", "channels": 1, "metrics": [metric]})
    assert (read.metrics[0].reduction, read.view) == (own, "")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "unknown reduction ''"),
        ({"by": "meen", "of": "abs"}, "unknown reduction 'meen'; did you mean 'mean'?"),
        ({"by": "mean", "of": "abs", "code": "x"}, "reduction 'mean' is .* \\(allowed: column, of, over, scale\\)"),
        ({"by": "mean", "of": ["abs"]}, "reduction 'mean' is"),
        ({"by": "mean"}, "reduction 'mean' lacks of"),
    ],
)
def test_a_reduction_that_is_none_is_a_value_error(data, message):
    with pytest.raises(ValueError, match=message):
        parse(data)


def test_a_sum_that_was_not_kept_gives_nan():
    sums = {"count": np.ones((4, 1))}
    for by in KNOWN.values():
        names = {"of": "gone"} if by.by in ("mean", "root-mean") else {}
        needed = names | ({"of": "gone", "width": 1.0} if by.by == "quantile" else {})
        found = reduce(by(**needed, **({"bins": 2} if by.by == "average-precision" else {})), sums)
        assert found.shape == (4,) and np.isnan(found).all()


def test_a_quantile_is_numpys():
    values = np.random.default_rng(1).uniform(-3, 5, 50001)
    counts, _ = np.histogram(values, 800, (-3, 5))
    for q in (0.1, 0.5, 0.9):
        found = reduce(parse({"by": "quantile", "of": "h", "width": 0.01, "low": -3.0, "q": q}), {"h": counts})
        assert float(found) == pytest.approx(np.quantile(values, q), abs=0.01)


class Own(Values):
    name = "own"
    metrics = (Metric("error", "{unit}", False, Mean("abs"), primary=True),)


def test_a_kind_is_named_by_its_class_its_place_or_its_name():
    by_class, by_place = Task("t", Own, 1, unit="m"), Task("t", f"{__name__}:Own", 1, unit="m")
    assert by_class == by_place
    assert hash(by_class) == hash(by_place)
    assert (by_class.kind, by_class.origin) == ("own", f"{__name__}:Own")
    assert (by_class.primary.unit, by_class.dense) == ("m", False)
    assert Task("t", Depth, 1) == Task("t", "depth", 1)


def test_a_task_travels_without_its_kind_and_finds_it_again():
    task = Task("t", Own, 1)
    there = pickle.loads(pickle.dumps(task))
    assert there == task
    assert "meaning" not in vars(there)
    assert there.primary == task.primary


class Unnamed(Values):
    metrics = Own.metrics


class Taken(Own):
    name = "depth"


class Undecided(Own):
    name = "undecided"
    metrics = (Metric("one", "", False, Mean("abs"), primary=True), Metric("two", "", False, Mean("abs"), primary=True))


class Empty(Kind):
    name = "empty"


WRONG = {
    "an unknown name": ("dept", UnknownName, "unknown task kind 'dept'; did you mean 'depth'?"),
    "an unknown class": (f"{__name__}:Owm", PluginError, "unknown class in '.*' 'Owm'; did you mean 'Own'?"),
    "no kind": (f"{__name__}:Metric", PluginError, "'.*:Metric' is not a kind of task"),
    "no kind at all": (Metric, PluginError, "'Metric' is not a kind of task"),
    "no name": (Unnamed, PluginError, "'Unnamed' is not a kind of task .*with a `name`"),
    "a name that is taken": (Taken, PluginError, "'Taken' is called 'depth', as a registered one"),
    "two primary metrics": (Undecided, PluginError, "'Undecided' has the primary metrics one, two \\(allowed: one\\)"),
    "a kind that lacks things": (
        Empty,
        PluginError,
        "'Empty' lacks constant, example, faults, integers, labelled, loss, metrics, statistics",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_a_kind_is_refused_in_one_line(what):
    kind, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        Task("t", kind, 1)
