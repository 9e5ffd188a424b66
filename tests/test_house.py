"""The house: imports go down only, no method is named in the harness, and what pyproject declares is what there is."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers.late_imports import guards, in_functions

ROOT = Path(__file__).parent.parent
LEVELS = [
    {"errors", "machine", "neighbours", "seeding"},
    {"given"},
    {"config", "plugins", "records"},
    {"tasks"},
    {"backbones", "data", "report"},
    {"method"},
    {"training", "deployed"},
    {"checks", "runs"},
    {"study"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


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
    """What in a file of room `name` goes up out of the house."""
    out = []
    for module in imports(source):
        top, _, rest = module.partition(".")
        if top in ("adashare", "baselines"):
            out.append(f"{name} imports {module}")
        target = rest.split(".")[0]
        if top != "mtlbench" or target not in LEVEL or target == name:
            continue
        if target == "report" and LEVEL[name] < LEVEL["cli"]:
            out.append(f"{name} imports report")
        if LEVEL[target] >= LEVEL[name]:
            out.append(f"{name} (level {LEVEL[name]}) imports {target} (level {LEVEL[target]})")
    return out


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules of one circle of imports; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def module(path: Path) -> str:
    """The dotted name of a file; a package's is its folder's."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = sorted((ROOT / "mtlbench").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    if path.name == "__init__.py" and path.parent.name == "mtlbench":
        return
    assert room(path) in LEVEL, f"{path} has no room in the house"
    assert faults(room(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("method", "import adashare.policy"),
        ("tasks", "from mtlbench.training import Trainer"),
        ("training", "def f():\n    from mtlbench.runs import runner"),
        ("report", "from mtlbench import data"),
        ("deployed", "import mtlbench.report.tables"),
        ("deployed", "import mtlbench.training.loop"),
    ],
)
def test_the_test_above_can_fail(name, source):
    assert len(faults(name, source)) >= 1


def test_no_circle_of_imports():
    names = {module(path) for path in FILES}
    assert circle({module(path): imports(path.read_text()) & names - {module(path)} for path in FILES}) == []


def test_a_circle_is_found():
    assert set(circle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})) == {"a", "b", "c"}


def test_imports_that_are_late_are_found():
    assert in_functions("class A:\n  def f(self):\n    def g():\n      import b, c") == {"f:2": ["import b, c"]}
    assert guards("if TYPE_CHECKING:\n  import b\nif typing.TYPE_CHECKING: ...\nif a: ...") == 2


def test_imports_stand_at_the_top_but_for_few():
    """What is torch-free stands in files of its own, so that the rest is loaded in few places: a command's one."""
    late = {path: in_functions(path.read_text()) for path in FILES}
    for path, found in late.items():
        if room(path) in ("cli", "study"):
            assert [f for f, lines in found.items() if len(lines) > 1] == [], path
    assert sum(len(lines) for found in late.values() for lines in found.values()) <= 60
    assert sum(guards(path.read_text()) for path in FILES) <= 10


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

    for kind in ("methods", "datasets", "backbones", "kinds", "weightings"):
        declared = entry_points()[f"mtlbench.{kind}"]
        assert sorted(plugins.names(kind)) == sorted(declared)
        for name in declared:
            found = plugins.load(kind, name)
            assert getattr(found, "name", name) == name


@pytest.mark.parametrize(
    "module",
    ["mtlbench.report.build", "mtlbench.report.page.page", "mtlbench.cli.app", "mtlbench.records", "mtlbench.tasks"],
)
def test_the_report_and_the_command_line_start_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_command_line_starts_with_little():
    heavy = {"torch", "numpy", "pandas", "scipy", "matplotlib", "rich", "tabulate"}
    code = f"import sys, mtlbench.cli.app; print(*sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def test_packages_in_pyproject_are_those_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    tops = ("mtlbench", "adashare", "baselines")
    there = {".".join(p.parent.relative_to(ROOT).parts) for top in tops for p in (ROOT / top).rglob("__init__.py")}
    assert set(listed) == there


def test_files_stay_short():
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 320}
    assert long == {}


def test_an_extra_of_another_package_is_spelled_as_that_package_does():
    """An older pip passes over `quadprog_projector` with a warning where the package says `quadprog-projector`."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for requirement in [Requirement(text) for group in extras.values() for text in group]:
        if requirement.extras and requirement.name != "mtlbench":
            offered = metadata(requirement.name).get_all("Provides-Extra")
            assert requirement.extras <= set(offered or ()), requirement
