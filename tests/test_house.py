"""The house: imports go down only, no method is named in the harness, and what pyproject declares is what there is."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEVELS = [
    {"errors", "seeding", "config", "records", "environment", "plugins", "vision", "stopping", "schema"},
    {"tasks", "losses", "metrics", "summaries", "backbones", "outputs", "pictures"},
    {"method", "data"},
    {
        "plan",
        "optimisers",
        "training",
        "evaluation",
        "cost",
        "checkpoint",
        "weighting",
        "deployment",
        "checks",
        "export",
    },
    {"assembly", "runner", "predict", "gallery"},
    {"settings", "study", "tuning", "launch", "display"},
    {"cli", "cli_run", "cli_tools", "cli_cost", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
REPORT_MAY_USE = {"records", "schema", "errors", "summaries", "pictures", "report"}


def room(path: Path) -> str:
    """The room of a file under mtlbench/: its module, or its folder's."""
    return path.relative_to(ROOT / "mtlbench").with_suffix("").parts[0]


def imports(source: str) -> set[str]:
    """Every module a source imports, at the top or inside functions; type-only imports too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return found


def faults(name: str, source: str) -> list[str]:
    """What in a file of room `name` goes up or sideways out of the house."""
    out = []
    for module in imports(source):
        top, _, rest = module.partition(".")
        if top in ("adashare", "baselines"):
            out.append(f"{name} imports {module}")
        target = rest.split(".")[0]
        if top != "mtlbench" or target not in LEVEL | {"report": 0}:
            continue
        if name == "report" and target not in REPORT_MAY_USE:
            out.append(f"report imports {target}")
        elif name != "report" and target != "report" and LEVEL[target] > LEVEL[name]:
            out.append(f"{name} (level {LEVEL[name]}) imports {target} (level {LEVEL[target]})")
        elif target == "report" and name != "report" and LEVEL[name] < LEVEL["cli"]:
            out.append(f"{name} imports report")
    return out


FILES = sorted((ROOT / "mtlbench").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    if path.name == "__init__.py" and path.parent.name == "mtlbench":
        return
    assert room(path) in LEVEL or room(path) == "report", f"{path} has no room in the house"
    assert faults(room(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("method", "import adashare.policy"),
        ("tasks", "from mtlbench.training import Trainer"),
        ("training", "def f():\n    from mtlbench import runner"),
        ("report", "from mtlbench import metrics"),
        ("cost", "import mtlbench.report.tables"),
    ],
)
def test_the_test_above_can_fail(name, source):
    assert len(faults(name, source)) >= 1


def entry_points() -> dict[str, dict[str, str]]:
    """pyproject's entry points, by group."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]


def test_no_methods_name_in_the_harness():
    names = entry_points()["mtlbench.methods"]
    pattern = re.compile(rf"(['\"])({'|'.join(map(re.escape, names))})\1")
    assert pattern.search('if name == "adashare":')
    for path in FILES:
        if room(path) != "data":  # layouts on disk are called after the code that made them common
            assert not pattern.search(path.read_text()), path


def test_every_entry_point_loads_and_its_name_is_its_own():
    from mtlbench import plugins

    for kind in ("methods", "datasets", "backbones"):
        declared = entry_points()[f"mtlbench.{kind}"]
        assert sorted(plugins.names(kind)) == sorted(declared)
        for name in declared:
            found = plugins.load(kind, name)
            assert getattr(found, "name", name) == name


@pytest.mark.parametrize("module", ["mtlbench.report", "mtlbench.cli", "mtlbench.records"])
def test_the_report_and_the_command_line_start_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_packages_in_pyproject_are_those_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    tops = ("mtlbench", "adashare", "baselines")
    there = {".".join(p.parent.relative_to(ROOT).parts) for top in tops for p in (ROOT / top).rglob("__init__.py")}
    assert set(listed) == there


def test_files_stay_short():
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 320}
    assert long == {}
