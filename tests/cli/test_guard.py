"""Whatever happens, a command ends with one line, the right exit code, and no traceback on the screen."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.cli.guard import guarded
from mtlbench.cli.output import Output
from tests.helpers.command import BRANCHES, ONE, ROOT, TINY, refused, run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
HUGE = "9" * 5000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML = {
    "alias bomb": (BOMB, "more than 20000 values with its aliases written out"),
    "holds itself": ("methods: &a [*a]", "more than 20000 values with its aliases"),
    "3,000 deep": ("a: " + "[" * 3000 + "]" * 3000, "nested deeper than 40"),
    "1,400 deep in blocks": ("".join(f"{' ' * i}a:\n" for i in range(1400)), "nested deeper than 40"),
    "very long": (f"tasks: [{'x,' * 30_000}x]", "more than 20000 values"),
    "2 MB": ("#" * 2**21, "is too large"),
    "5,000 digits": (f"steps: {HUGE}", "has 5000 digits (allowed: up to 18)"),
    "5,000 digits in a list": (f"seeds: [{HUGE}]", "has 5000 digits"),
    "NUL": ('out: "a\\0b"', "holds a NUL character"),
    "half a character": ('out: "\\ud800"', "is not UTF-8 text"),
    "a key twice": ("steps: 2\nsteps: 3", "the key 'steps' stands twice"),
    "a Python object": ("steps: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    "two documents": ("steps: 2\n---\nsteps: 3", "is not valid YAML"),
    "binary": ("steps: !!binary aGVsbG8=", "'steps' is"),
    "a list": ("- 1", "holds [1] (a mapping like"),
    "an unhashable key": ("? [a]\n: 1", "is not valid YAML"),
    "no file name": ("out: ''", "out is '' (a path is expected)"),
    "an unknown variable": ("out: $NO_SUCH_THING/x", "no variable NO_SUCH_THING is set"),
    "many trials": (f"tune: {'9' * 17}", "'tune' is 99999999999999999: allowed: from 0, at most 1,000"),
    "not a number": ("lr: .nan", "'lr' is nan"),
}


@pytest.mark.parametrize("name", YAML)
def test_hostile_yaml_is_one_line_and_quick(capsys, tmp_path, name):
    text, message = YAML[name]
    (tmp_path / "study.yaml").write_text(text)
    start = time.process_time()
    error = refused(capsys, "run", *ONE, "--config", "study.yaml", "--dry-run")
    assert message in error
    assert len(error) < 1500
    assert time.process_time() - start < 10  # the bomb took 25 s, and 688 MB


@pytest.mark.parametrize("data", [b"\xff\xfe\x00m", b"methods: \xe9", b"\x00\x01", b"methods: a\x1b[31m"])
def test_a_configuration_that_is_not_text_is_one_line(capsys, tmp_path, data):
    (tmp_path / "study.yaml").write_bytes(data)
    assert "is not valid YAML" in refused(capsys, "run", *ONE, "--config", "study.yaml")


def test_a_configuration_may_begin_with_a_byte_order_mark(capsys, tmp_path):
    (tmp_path / "study.yaml").write_text("steps: many\n", encoding="utf-8-sig")
    assert "'steps' is 'many'" in refused(capsys, "run", *ONE, "--config", "study.yaml")


ARGUMENTS = {
    "seeds of 5,000 digits": (["run", *ONE, "--seeds", HUGE], "of up to 18 digits"),
    "a range of seeds": (["run", *ONE, "--seeds", f"0-{HUGE}"], "of up to 18 digits"),
    "a range that falls": (["run", *ONE, "--seeds", "4-0"], "the first of a range not above its last"),
    "many ranges": (["run", *ONE, "--seeds", "0-9998,10000-10001"], "(allowed: up to 10000 seeds"),
    "an option of 5,000 digits": (["run", *ONE, "--set", f"discs.images={HUGE}"], "has 5000 digits"),
    "a run key of 5,000 digits": (["run", *ONE, "--set", f"run.lr={HUGE}"], "has 5000 digits"),
    "thirty trials' digits": (["run", *ONE, "--tune", "9" * 30], "allowed: from 0, at most 1,000"),
    "steps of 5,000 digits": (["run", *ONE, "--steps", HUGE], "'steps' is"),
    "workers": (["run", *ONE, "--workers", "9" * 30], "'workers' is"),
    "threads": (["run", *ONE, "--threads", "9" * 30], "'threads' is"),
    "nested --set": (["run", *ONE, "--set", "discs.images=" + "[" * 3000], "nested deeper than 40"),
    "NUL in --out": (["run", *ONE, "--out", "a\0b"], "holds a NUL character"),
    "NUL in --data-dir": (["run", *ONE, "--data-dir", "a\0b"], "holds a NUL character"),
    "NUL in a results folder": (["report", "a\0b"], "holds a NUL character"),
    "NUL in a run": (["predict", "a\0b", "x.png"], "holds a NUL character"),
    "an argument that is not UTF-8": (["report", "caf\udce9"], "is not UTF-8 text"),
    "a method that is not UTF-8": (["run", "--methods", "\udcff"], "is not UTF-8 text"),
    "a very long name": (["run", "--methods", "x" * 10_000], "(allowed: adashare"),
    "a very long path": (["report", "x" * 10_000], "is 10000 characters long (allowed: up to 1000)"),
    "a long name": (["report", "x" * 900], "File name too long"),
    "a long configuration": (["run", "--config", "x" * 900], "File name too long"),
    "a long --out": (["run", *ONE, "--out", "x" * 900], "File name too long"),
    "a folder as configuration": (["run", "--config", "."], "Is a directory"),
    "an empty --out": (["run", *ONE, "--out", ""], "out is ''"),
    "an unknown variable": (["report", "$NO_SUCH_THING/x"], "no variable NO_SUCH_THING is set"),
    "a limit of 5,000 digits": (["report", ".", "--max-params", HUGE + "y"], "(allowed: a number such as 1.5x or 30M)"),
    "a tolerance that is no number": (["compare", ".", ".", "--tolerance", "nan"], "--tolerance is nan (allowed"),
    "an image of 5,000 digits": (["cost", "--image-size", HUGE], "(allowed: pixels from 16 to 16384"),
    "channels of 5,000 digits": (["cost", "--tasks", f"depth:{HUGE}"], "whole number from 1 to 99999"),
    "no channels": (["cost", "--tasks", "depth:0"], "whole number from 1 to 99999"),
    "other digits": (["cost", "--image-size", "\u0663\u0663"], "image size is"),
    "threads of a pass": (["cost", "--threads", "0"], "--threads is 0 (allowed: from 1"),
    "a width that is no number": (["cost", "--width", "nan"], "'width' is nan"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_hostile_arguments_are_one_line(capsys, tmp_path, name):
    arguments, message = ARGUMENTS[name]
    error = refused(capsys, *arguments)
    assert message in error
    assert len(error) < 2100
    assert list(tmp_path.iterdir()) == []


# --- paths


@pytest.mark.parametrize("source", ["flag", "file"])
@pytest.mark.parametrize("text", ["~/study", "$PLACE/study", "${PLACE}/study", "study"])
def test_every_path_is_treated_alike(capsys, tmp_path, monkeypatch, source, text):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", str(tmp_path / "home"))
    (tmp_path / "home" / "mine.py").write_text(Path(BRANCHES.partition(":")[0]).read_text())
    methods = f"{text.removesuffix('study')}mine.py:Branches" if text != "study" else "home/mine.py:Branches"
    (tmp_path / "study.yaml").write_text(f"out: {text}\nmethods: {methods}\n")
    given = ["--out", text, "--methods", methods] if source == "flag" else ["--config", "study.yaml"]
    assert run(capsys, "run", *given, *TINY)[0] == 0
    where = tmp_path / ("study" if text == "study" else "home/study")
    assert len(list(records.record_folders(where))) == 1
    assert not (tmp_path / "~").exists()
    assert run(capsys, "compare", text, text)[0] == 0


# --- standard streams


class Full(io.StringIO):
    """A stream on a full device."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_output_spells_what_an_encoding_lacks_and_drops_what_fails():
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    out = Output(narrow)
    print("Δ (%) ↑ é ± —", file=out)
    out.flush()
    assert narrow.buffer.getvalue() == "Delta (%) (up) é ± -\n".encode("latin-1")
    full = Output(Full())
    print("lost", file=full)
    print("more", file=full)
    assert isinstance(full.error, OSError)


def process(*arguments, prefix="", **environment):
    """A command line in a process of its own, through a shell that redirects as told."""
    command = f'"{sys.executable}" -m mtlbench "$@" {prefix}'
    return subprocess.run(
        ["bash", "-c", command, "mtlbench", *arguments],
        capture_output=True, text=True, timeout=120, env={**ENVIRONMENT, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("redirect", "code", "line"),
    [
        (">/dev/full", 1, "mtlbench: standard output cannot be written: No space left on device\n"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        ("<&- >/dev/full 2>/dev/full", 1, ""),
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_a_full_or_closed_standard_stream_is_one_line_at_most(redirect, code, line):
    done = process("list", "backbones", prefix=redirect)
    assert (done.returncode, done.stderr) == (code, line)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_few_characters_reads_ascii(tmp_path, encoding):
    assert "+-" in process("run", "--help", PYTHONIOENCODING=encoding).stdout
    done = process("run", "--methods", "Δ", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown method 'Delta'" in done.stderr


def test_a_log_on_a_full_disk_costs_no_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    code = run(capsys, "run", "--methods", "hard-sharing", *TINY)[0]
    (folder,) = records.record_folders(tmp_path / "results")
    assert (code, records.status_of(folder)) == (1, "finished")


# --- whatever is raised


class Unspeakable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self):
        raise RuntimeError


def deep():
    """Recursion without end."""
    return deep()


def raising(error):
    """Something to do that raises."""

    def act():
        raise error

    return act


RAISED = {
    "bug": (raising(KeyError("x")), 1, "this should not have happened: KeyError: 'x' (traceback in "),
    "memory": (raising(MemoryError()), 1, "out of memory (traceback in "),
    "recursion": (deep, 1, "this should not have happened: RecursionError: "),
    "stopped": (raising(KeyboardInterrupt()), 130, "stopped"),
    "exit": (raising(SystemExit(0)), 2, "a plug-in ended the program (sys.exit(0)) (traceback in "),
    "exit with words": (raising(SystemExit("bye\n")), 2, "a plug-in ended the program (sys.exit('bye\\n'))"),
    "file": (raising(PermissionError(13, "Permission denied", "x")), 2, "'x': Permission denied"),
    "unspeakable": (raising(Unspeakable()), 1, "this should not have happened: Unspeakable: its text cannot be shown"),
    "generator": (raising(GeneratorExit()), 1, "this should not have happened: GeneratorExit"),
    "group": (
        raising(BaseExceptionGroup("two", [KeyError(1), KeyboardInterrupt()])),
        1,
        "this should not have happened: BaseExceptionGroup: two",
    ),
    "control": (raising(ValueError("a\x1b[2Jb\nc")), 1, "this should not have happened: ValueError: a\\x1b[2Jb c"),
}


@pytest.mark.parametrize("name", RAISED)
def test_whatever_is_raised_ends_in_one_line_and_a_code(capsys, tmp_path, monkeypatch, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    act, code, line = RAISED[name]
    assert guarded(act) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"mtlbench: {line}")
    if named := re.search(r"\(traceback in (.*)\)$", err):
        assert "Traceback (most recent call last)" in Path(named[1]).read_text()
    assert len(list(tmp_path.iterdir())) == bool(named)


def test_without_a_place_for_the_traceback_the_line_stands_alone(capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    assert guarded(raising(KeyError("x"))) == 1
    assert capsys.readouterr().err == "mtlbench: this should not have happened: KeyError: 'x'\n"


@pytest.mark.parametrize(
    "act",
    ["sys.exit(0)", "sys.exit('bye')", "raise KeyError('x')", "raise RecursionError", "1/0", "raise GeneratorExit"],
)
def test_a_data_set_whose_file_breaks_is_one_line(capsys, tmp_path, act):
    (tmp_path / "mine.py").write_text(f"import sys\n{act}\n")
    assert "cannot import 'mine.py'" in refused(capsys, "run", "--dataset", "mine.py:Mine")


@pytest.mark.parametrize(("act", "said"), [("sys.exit(0)", "SystemExit: 0"), ("raise GeneratorExit", "GeneratorExit:")])
def test_a_method_that_exits_at_import_fails_and_the_others_run(capsys, tmp_path, act, said):
    (tmp_path / "mine.py").write_text(f"import sys\n{act}\n")
    code, out, _ = run(capsys, "run", "--methods", "mine.py:Mine,hard-sharing", *TINY)
    assert code == 1
    assert f"cannot import 'mine.py': {said}" in out
    assert "hard-sharing seed 0: finished" in out


def test_advice_to_programmers_of_libraries_is_not_shown(capsys):
    def act():
        warnings.warn("is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("mind this", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "warnoptions", [])
            assert guarded(act) == 0
    assert [str(w.message) for w in shown] == ["mind this"]


def test_without_a_working_directory_a_command_says_so(tmp_path):
    prefix = f'cd "{tmp_path}" && mkdir gone && cd gone && rmdir ../gone && '
    command = f'{prefix} "{sys.executable}" -m mtlbench list methods'
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stderr) == (2, "mtlbench: the working directory is not there any more\n")


def test_terminated_is_stopped_with_one_line(tmp_path):
    script = "import time\nfrom mtlbench.cli.guard import guarded\nguarded(lambda: print('on', flush=True) or time.sleep(60))"
    code = f"import sys\n{script.replace('guarded(lambda', 'sys.exit(guarded(lambda')})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout.readline() == "on\n"
        child.send_signal(signal.SIGTERM)
        assert (child.wait(30), child.stderr.read()) == (130, "mtlbench: stopped\n")
