"""What tasks and metrics are called in tables and figures, and with how many decimals their figures stand."""

from __future__ import annotations

from mtlbench.records import MetricInfo, TaskInfo
from mtlbench.report.analysis.aggregate import Line
from mtlbench.report.tables.formats import Column
from mtlbench.report.text import clean

NAMES = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel acc.",
    "mean_angle": "mean angle",
    "median_angle": "median angle",
    "within_11.25": "within 11.25°",
    "within_22.5": "within 22.5°",
    "within_30": "within 30°",
    "abs_error": "abs. error",
    "rel_error": "rel. error",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "macro_f1": "macro F1",
    "average_precision": "AP",
    "quadratic_kappa": "quadratic κ",
    "delta_1.25": "δ < 1.25",
    "delta_1.25^2": "δ < 1.25²",
    "delta_1.25^3": "δ < 1.25³",
}


def metric_name(metric: MetricInfo) -> str:
    """A metric as papers write it."""
    return NAMES.get(metric.name, clean(metric.name, 40))


def digits(metric: MetricInfo) -> int:
    """Decimals: one for percentages and degrees, four for errors in other units."""
    return 1 if metric.unit in ("%", "deg") else 4


def unit(metric: MetricInfo) -> str:
    """The unit as printed."""
    return {"deg": "°"}.get(metric.unit, clean(metric.unit, 12))


def task_name(task: TaskInfo) -> str:
    """A task's name, saying where its targets are derived."""
    return clean(task.name, 40) + (" (derived)" if task.derived else "")


def metric_column(task: TaskInfo, metric: MetricInfo, sign: bool = False) -> Column:
    """The column of a metric."""
    return Column(metric.name, metric_name(metric), task_name(task), unit(metric), metric.higher, digits(metric), sign)


def label(line: Line) -> str:
    """A row's label, marked where its policy is undecided and where seeds are missing."""
    return " ".join(x for x in (line.label, "‡" * bool(line.row.undecided), of_seeds(line)) if x)


def counted(line: Line) -> str:
    """A row's label, marked where seeds are missing."""
    return " ".join(x for x in (line.label, of_seeds(line)) if x)


def of_seeds(line: Line) -> str:
    """How many seeds a row has, where some are missing: "(1 of 3 seeds)"."""
    row = line.row
    missing = [s for s in row.lost if s not in row.runs]
    return f"({len(row.runs)} of {len(row.runs) + len(missing)} seeds)" if missing else ""
