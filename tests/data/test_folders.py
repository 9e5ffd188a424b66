"""What is no data is left out and said; what would be missed, or is somewhere else, is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mtlbench.data import inspect
from mtlbench.data.disk.folders import apart, folders, left_out
from mtlbench.data.domains import Domains
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.data.text import FduMtl, TextFolders
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TaskonomyTruth, Truth

pytestmark = pytest.mark.usefixtures("own_cache")
NO_DATA = [".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", ".git", "lost+found"]


def tree(root: Path) -> Path:
    disk.domains(root, lists=False)
    return root


def classes(root: Path) -> tuple[str, ...]:
    data = Domains(Domains.Options(), root, None)
    assert [t.name for t in data.tasks] == ["photo", "sketch"]
    return data.tasks[0].classes


@pytest.mark.parametrize("name", NO_DATA)
@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("place", ["", "photo", "photo/class 0"])
def test_folders_of_other_programs_are_no_domain_and_no_class(
    tmp_path: Path, name: str, filled: bool, place: str
) -> None:
    root = tree(tmp_path / "d")
    strange = root / place / name
    strange.mkdir()
    if filled:
        for deeper in (strange, strange / "x"):
            disk.png(deeper / "0.png", np.zeros((16, 16, 3), np.uint8))
    assert classes(root) == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("name", ["empty", "notes"])
def test_a_folder_without_an_image_is_no_class_and_no_domain(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path / "d")
    for place in (root / name, root / "photo" / name, root / name / "deeper"):
        place.mkdir()
        if name == "notes":
            (place / "readme.txt").write_text("x")
    assert classes(root) == ("class 0", "class 1", "class 2")


def test_hidden_files_are_no_photos_and_no_lists(tmp_path: Path) -> None:
    root = tree(tmp_path / "a")
    (root / "photo/class 0/._0.png").write_bytes(b"AppleDouble")
    classes(root)
    disk.domains(tmp_path / "b")
    (tmp_path / "b/._photo_train.txt").write_bytes(b"\0")
    classes(tmp_path / "b")
    disk.reviews(tmp_path / "c")
    (tmp_path / "c/._books.task.train").write_bytes(b"\0")
    assert len(FduMtl(FduMtl.Options(), tmp_path / "c", None).tasks) == 2
    root = disk.taskonomy(tmp_path / "e", TaskonomyTruth())
    (root / "rgb/hanson_rgb/.point_0_view_0_domain_rgb.png").write_bytes(b"")
    shutil.copytree(root / "rgb/hanson_rgb", root / "rgb/.old_rgb")
    assert Taskonomy(Taskonomy.Options(), root, ("depth",)).size("train", "all") == disk.TRAIN


@pytest.mark.parametrize(
    "other", ["Class 0", "CLASS 0", "class_0", "class-0", "class 0 ", "\N{FULLWIDTH LATIN SMALL LETTER C}lass 0"]
)
def test_classes_that_differ_in_case_or_spacing_only_are_refused(tmp_path: Path, other: str) -> None:
    root = tree(tmp_path / "d")
    (root / "sketch/class 0").rename(root / "sketch" / other)
    with pytest.raises(DataError, match=r"differ in case or spacing only .expected: one name for each class"):
        classes(root)


def test_names_too_alike_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    root = tree(tmp_path / "a")
    shutil.copytree(root / "photo", root / "Photo")
    with pytest.raises(DataError, match="domain 'Photo' and 'photo' differ"):
        classes(root)
    disk.domains(tmp_path / "b")
    for split in ("train", "test"):
        listing = tmp_path / f"b/photo_{split}.txt"
        listing.write_text(listing.read_text().replace("class 1/", "Class 0/"))
    (tmp_path / "b/photo/class 1").rename(tmp_path / "b/photo/Class 0")
    shutil.rmtree(tmp_path / "b/sketch")
    for split in ("train", "test"):
        (tmp_path / f"b/sketch_{split}.txt").unlink()
    with pytest.raises(DataError, match="class 'class 0' and 'Class 0' differ"):
        Domains(Domains.Options(), tmp_path / "b", None)
    disk.reviews(tmp_path / "c")
    for split in ("train", "test"):
        shutil.copy(tmp_path / f"c/books.task.{split}", tmp_path / f"c/Books.task.{split}")
    with pytest.raises(DataError, match="task 'Books' and 'books' differ"):
        FduMtl(FduMtl.Options(), tmp_path / "c", None)
    apart(["e\N{COMBINING ACUTE ACCENT}", "f"], "class", tmp_path)
    with pytest.raises(DataError, match="differ"):
        apart(["e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"], "class", tmp_path)


@pytest.mark.parametrize("ending", [".tif", ".TIFF", ".gif", ".jfif", ".PNG"])
def test_images_of_every_ending_that_is_read_are_taken(tmp_path: Path, ending: str) -> None:
    root = tree(tmp_path / "d")
    for path in list((root / "photo/class 0").iterdir()):
        path.rename(path.with_suffix(ending))
    before = Domains(Domains.Options(), tree(tmp_path / "e"), None)
    data = Domains(Domains.Options(), root, None)
    assert data.fingerprint == before.fingerprint


@pytest.mark.parametrize("ending", [".heic", ".AVIF", ".jp2", ".ppm"])
def test_images_that_no_reader_takes_are_refused_and_not_dropped(tmp_path: Path, ending: str) -> None:
    root = tree(tmp_path / "d")
    (root / f"photo/class 0/9{ending}").write_bytes(b"x")
    with pytest.raises(DataError, match=rf"9{ending}': an image of a kind that is not read .expected: .png .jpg"):
        classes(root)


def test_images_below_a_class_are_refused_and_not_dropped(tmp_path: Path) -> None:
    root = tree(tmp_path / "d")
    disk.png(root / "photo/class 0/more/0.png", np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(DataError, match="class 0/more': images below a class"):
        classes(root)


@pytest.mark.parametrize("splits", [("train", "val"), ("Train", "test"), ("training", "validation"), ("photo", "test")])
def test_the_parts_of_one_set_are_no_domains(tmp_path: Path, splits: tuple[str, str]) -> None:
    disk.domains(tmp_path / "d", splits, lists=False)
    for look in (
        lambda: Domains(Domains.Options(), tmp_path / "d", None),
        lambda: inspect._open(tmp_path / "d", "domains"),
    ):
        with pytest.raises(DataError, match=r"would be a domain .expected: .*parts .* of one domain"):
            look()
    assert any("would be a domain" in problem for problem in inspect.check(tmp_path / "d").problems)


ABOVE = {
    "nyuv2": lambda p: disk.nyuv2_adashare(p, Truth()),
    "nyuv2 or cityscapes": lambda p: disk.libmtl(p, Truth()),
    "taskonomy": lambda p: disk.taskonomy(p, TaskonomyTruth()),
    "fdu-mtl": disk.reviews,
    "domains": lambda p: disk.domains(p),
    "domains ": tree,
}


@pytest.mark.parametrize("name", ABOVE)
@pytest.mark.parametrize("beside", [False, True])
def test_the_folder_above_the_data_is_not_taken_for_data(tmp_path: Path, name: str, beside: bool) -> None:
    above = tmp_path / "above"
    ABOVE[name](above / "mine")
    if beside:
        (above / "notes").mkdir()
    with pytest.raises(DataError, match=rf"holds data sets in its folders: 'mine' \({name.strip()}"):
        inspect.check(above)
    with pytest.raises(DataError, match=r"in its folders: 'mine'|no domain"):
        Domains(Domains.Options(), above, None)


def test_data_check_says_what_it_took_and_what_it_left_out(tmp_path: Path) -> None:
    root = tree(tmp_path / "d")
    (root / "README").write_text("x")
    (root / "photo/notes.txt").write_text("x")
    (root / "photo/class 0/labels.txt").write_text("x")
    disk.png(root / "sketch/overview.png", np.zeros((4, 4), np.uint8))
    disk.png(root / ".ipynb_checkpoints/0.png", np.zeros((4, 4), np.uint8))
    report = inspect.check(root)
    assert (report.problems, report.took) == ([], 30)
    count, kinds = report.left
    assert count == 5
    assert sorted(kinds) == ["1 .png (sketch/overview.png)", "1 hidden (.ipynb_checkpoints/0.png)", "1 without ending (README)",
                             "2 .txt (photo/class 0/labels.txt)"]  # fmt: skip
    text = "\n".join(report.lines())
    assert "took" in text and "30 files" in text
    assert "5 files: 2 .txt (photo/class 0/labels.txt), " in text
    assert "could also be" not in text


def test_lists_are_taken_and_images_they_do_not_name_are_left_out(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d")
    disk.png(tmp_path / "d/photo/class 0/99.png", np.zeros((4, 4), np.uint8))
    report = inspect.check(tmp_path / "d")
    assert report.took == 30 + 4
    assert report.left == (1, ["1 .png (photo/class 0/99.png)"])


def test_data_check_says_what_else_the_folder_could_be(tmp_path: Path) -> None:
    root = disk.libmtl(tmp_path / "d", Truth())
    report = inspect.check(root)
    assert (report.dataset, report.others) == ("nyuv2", ["cityscapes"])
    assert any(line.split() == ["could", "also", "be", "cityscapes"] for line in report.lines())


def test_what_has_no_label_is_said_so_and_is_a_problem(tmp_path: Path) -> None:
    truth = Truth()
    truth.fields["depth"][:] = np.nan
    truth.fields["segmentation"][:] = -1
    report = inspect.check(disk.nyuv2_adashare(tmp_path / "d", truth))
    assert report.findings["depth"] == "depth, no label in any of 8 items"
    assert report.findings["segmentation"] == "segmentation, no label in any of 8 items"
    assert report.problems == [
        f"'{t}' has no label in any item (expected: labels for some)" for t in ("segmentation", "depth")
    ]


def test_nothing_that_can_be_read_has_no_range(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    for path in (root / "depth").iterdir():
        path.write_bytes(b"nonsense")
    for path in sorted((root / "img").iterdir())[1:]:
        path.write_bytes(b"nonsense")
    report = inspect.check(root)
    assert report.findings["depth"] == "nothing that can be read"
    assert "inf" not in "".join(report.findings.values())
    assert len(report.problems) >= 8


@pytest.mark.parametrize(("make", "missing", "kind"), [
    (disk.domains, "photo_train.txt", Domains), (disk.domains, "photo_test.txt", Domains),
    (disk.reviews, "books.task.train", FduMtl), (disk.reviews, "books.task.test", FduMtl),
    (disk.tables, "ag/train.csv", TextFolders), (disk.tables, "ag/test.csv", TextFolders),
])  # fmt: skip
def test_half_a_task_is_refused_and_not_dropped(tmp_path: Path, make: object, missing: str, kind: type) -> None:
    root = tmp_path / "d"
    make(root)
    (root / missing).unlink()
    with pytest.raises(DataError, match=f"{missing}': no such file"):
        kind(kind.Options(), root, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    root = tree(tmp_path / "d")
    (root / "photo").chmod(0)
    try:
        with pytest.raises(DataError):
            classes(root)
    finally:
        (root / "photo").chmod(0o755)


def test_many_kinds_left_out_are_counted(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"x.{i}").write_text("")
    count, kinds = left_out(tmp_path, ())
    assert count == 12
    assert kinds[-1] == "4 kinds more"


def test_a_folder_that_may_not_be_looked_at_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc has links that only their owner may follow: no reason to end `data check /`."""
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    real = os.stat

    def stat(path: object, **options: object) -> os.stat_result:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    assert [place.name for place in folders(tmp_path)] == ["open"]
