"""Names as people give them: no task, domain or class breaks a run for what it is called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from mtlbench.data import inspect
from mtlbench.data.base import module_name
from mtlbench.data.domains import Domains
from mtlbench.data.text import FduMtl, TextFolders
from mtlbench.errors import DataError
from mtlbench.study.settings import gather
from mtlbench.study.study import resolve, runs
from tests.helpers import layouts_on_disk as disk

pytestmark = pytest.mark.usefixtures("own_cache")
STRANGE = [
    "v1.0",
    "type",
    "forward",
    "keys",
    "training",
    "a.b.c",
    "T_destination",
    "é",
    "a b",
    "_modules",
    "x\N{ZERO WIDTH SPACE}",
]


@pytest.mark.parametrize("name", STRANGE)
def test_every_name_becomes_one_that_a_module_bears_and_stays_so(name: str) -> None:
    fit = module_name(name)
    heads = nn.ModuleDict({fit: nn.Identity()})
    assert list(dict(heads.named_children())) == [fit]
    assert module_name(fit) == fit
    assert (fit == name) == (name in ("é", "a b"))


def test_a_run_on_domains_of_strange_names_is_finished(tmp_path: Path) -> None:
    from mtlbench.runs.runner import execute

    names = ("v1.0", "type", "photo")
    disk.domains(tmp_path / "d", names, each=10, lists=False)
    flags = {"dataset": "domains", "data_dir": str(tmp_path / "d"), "methods": "hard-sharing", "steps": "2", "batch_size": "2",
             "out": str(tmp_path / "out"), "set": ["domains.size=16"], "workers": "1", "device": "cpu"}  # fmt: skip
    study = resolve(gather(flags))
    assert [t.name for t in study.dataset.tasks] == ["photo", "type_", "v1_0"]
    (request,) = runs(study)
    assert execute(request).status == "finished"
    named = resolve(gather({**flags, "tasks": "v1.0,type"}))
    assert [t.name for t in named.dataset.tasks] == ["v1_0", "type_"]


@pytest.mark.parametrize("other", ["v1_0", "v1-0", "v1:0"])
def test_names_that_would_become_one_are_refused(tmp_path: Path, other: str) -> None:
    disk.domains(tmp_path / "d", ("v1.0", other))
    with pytest.raises(DataError, match=r"domain 'v1.*' and 'v1.*' differ"):
        Domains(Domains.Options(), tmp_path / "d", None)


def test_names_that_are_not_utf_8_are_data_and_can_be_printed(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d", ("a", "b"), lists=False)
    root = os.fsencode(tmp_path / "d")
    os.rename(root + b"/a", root + b"/caf\xe9")
    for domain in (b"caf\xe9", b"b"):
        os.rename(root + b"/" + domain + b"/class 0", root + b"/" + domain + b"/class \xff")
        os.rename(root + b"/" + domain + b"/class 1/0.png", root + b"/" + domain + b"/class 1/\xfe.png")
    (tmp_path / "d" / os.fsdecode(b"b/notes\xff.txt")).write_text("x")
    data = Domains(Domains.Options(), tmp_path / "d", None)
    assert [t.name for t in data.tasks] == ["b", "caf_xe9"]
    assert data.tasks[0].classes == ("class 1", "class 2", r"class \xff")
    report = inspect.check(tmp_path / "d")
    assert report.problems == []
    "\n".join(report.lines()).encode()
    (tmp_path / "d" / os.fsdecode(b"b/class 1/\xfe.png")).write_bytes(b"nonsense")
    with pytest.raises(DataError) as caught:
        Domains(Domains.Options(), tmp_path / "d", None)
    str(caught.value).encode()


def test_tasks_of_texts_have_names_a_network_can_bear(tmp_path: Path) -> None:
    disk.reviews(tmp_path / "a", ("v1.0", "items"))
    assert [t.name for t in FduMtl(FduMtl.Options(), tmp_path / "a", None).tasks] == ["items_", "v1_0"]
    assert [t.name for t in FduMtl(FduMtl.Options(), tmp_path / "a", ("v1.0",)).tasks] == ["v1_0"]
    disk.tables(tmp_path / "b", ("v1.0", "items"))
    assert [t.name for t in TextFolders(TextFolders.Options(), tmp_path / "b", None).tasks] == ["items_", "v1_0"]


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("change", [
    lambda b: BOM + b, lambda b: b + b"\n", lambda b: b + b"  \n\n", lambda b: b.replace(b"\n", b"\r\n"),
    lambda b: b.replace(b"\n", b"\n\n", 1), lambda b: b.rstrip(b"\n"), lambda b: BOM + b.replace(b"\n", b"\r\n") + b"\r\n\r\n",
], ids=range(7))  # fmt: skip
def test_text_files_as_people_have_them_are_the_same_data(tmp_path: Path, change: object) -> None:
    sets = ((disk.reviews, FduMtl, "*.task.*"), (disk.tables, TextFolders, "*/*.csv"), (disk.domains, Domains, "*.txt"))
    for place, (write, kind, files) in enumerate(sets):
        root = tmp_path / str(place)
        write(root)
        for path in root.glob("*/*.csv"):
            path.write_bytes(path.read_bytes().replace(b"a\nb", b"a b").replace(b"\r\n", b"\n"))
        before = kind(kind.Options(), root, None)
        for path in root.glob(files):
            path.write_bytes(change(path.read_bytes()))
        after = kind(kind.Options(), root, None)
        assert after.fingerprint == before.fingerprint


@pytest.mark.parametrize("length", [131_073, 1_000_000])
def test_a_long_field_is_cut_to_what_is_used(tmp_path: Path, length: int) -> None:
    disk.tables(tmp_path / "d", ("ag",))
    path = tmp_path / "d/ag/train.csv"
    path.write_text(path.read_text() + f'"1","title","{"x" * length}"\n')
    data = TextFolders(TextFolders.Options(), tmp_path / "d", None)
    row = data.items("train", "ag", [data.size("train", "ag") - 1]).inputs
    assert row.shape == (1, 1024)
    assert torch.unique(row[0, 6:]).numel() == 1


def test_a_blank_line_within_a_quoted_text_stays_in_it(tmp_path: Path) -> None:
    disk.tables(tmp_path / "d", ("ag",))
    path = tmp_path / "d/ag/train.csv"
    path.write_text(path.read_text() + '"1","title","one\n\ntwo"\n')
    data = TextFolders(TextFolders.Options(), tmp_path / "d", None)
    (shown,) = data.shown(data.items("train", "ag", [data.size("train", "ag") - 1]).inputs)
    assert shown.strip() == "title one  two"
