"""One run from configuration to record: resuming to the same bits, selection, budgets, divergence, failures, locks."""

import json
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from mtlbench import records
from mtlbench.config import RunConfig
from mtlbench.deployed import network as deployment
from mtlbench.deployed.evaluation import evaluate
from mtlbench.errors import CheckpointError, MtlbenchError, RecordError
from mtlbench.records import read_run
from mtlbench.runs import checkpoint, course, runner
from mtlbench.runs.assembly import Assembly
from mtlbench.training.loop import Trainer

HERE = Path(__file__).parents[1] / "helpers"
TOY = f"{HERE / 'toy.py'}:Toy"
DOMAINS = f"{HERE / 'toy.py'}:ToyDomains"
METHODS = ["single-task", "hard-sharing", "cross-stitch", "sluice", "nddr", "adashare"]


def request(out, method="hard-sharing", dataset=TOY, tasks=("segmentation", "depth"), spec=None, **settings):
    """A run of a few steps."""
    known = {k: settings.pop(k) for k in ("force", "command") if k in settings}
    defaults = {"steps": 12, "batch_size": 4, "width": 0.0625, "head": 8, "evaluations": 2, "lr": 5e-3}
    name = "toy" if dataset == TOY else "toy-domains"
    config = RunConfig(method=method, dataset=name, tasks=tasks, **{**defaults, **settings})
    return runner.Request(config, spec or method, dataset, str(out), **known)


def numbers(folder):
    """Everything a run measured, without what time and place decide."""
    run = read_run(folder)
    drop = {"attempt"}
    return {
        "evals": [e.model_dump(exclude=drop) for e in run.evals],
        "logs": [x.model_dump(exclude=drop) for x in run.logs],
        "flops": run.end.training_flops,
        "status": run.status,
    }


class Killed(BaseException):
    """Stands in for SIGKILL: nothing in the harness catches it."""


def kill_at(monkeypatch, step):
    original = Trainer._step

    def dying(self, segment, optimizer, now):
        if now == step:
            raise Killed
        original(self, segment, optimizer, now)

    monkeypatch.setattr(Trainer, "_step", dying)


@pytest.mark.parametrize("weighting", ["fixed", "uncertainty", "dwa"])
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, monkeypatch, method, weighting):
    if weighting != "fixed" and method not in ("hard-sharing", "adashare"):
        pytest.skip("task weights know no method: two stand for all")
    settings = {"method": method, "weighting": weighting, "selection": "best-val", "steps": 20}
    whole = runner.execute(request(tmp_path / "whole", **settings))
    assert whole.status == "finished", whole.reason
    for step in (7, 16):
        again = request(tmp_path / f"cut{step}", **settings)
        with monkeypatch.context() as patch:
            patch.setattr(course, "SAVE_SECONDS", 0.0 if step % 2 else 0.2)  # from just before, or from some way back
            kill_at(patch, step)
            with pytest.raises(Killed):
                runner.execute(again)
        assert runner.plan(again).status == "unfinished"
        outcome = runner.execute(again)
        assert outcome.status == "finished"
        assert numbers(outcome.folder) == numbers(whole.folder)
        first, second = (load_file(o.folder / deployment.FILE) for o in (whole, outcome))
        assert all(torch.equal(first[k].view(torch.uint8), second[k].view(torch.uint8)) for k in first if first[k].ndim)


def test_a_finished_run_is_skipped_and_forced_anew_with_the_same_numbers(tmp_path):
    first = runner.execute(request(tmp_path))
    before = numbers(first.folder)
    again = runner.execute(request(tmp_path))
    assert (again.status, again.skipped, again.score, again.reason) == ("finished", True, first.score, "")
    again = runner.execute(request(tmp_path, force=True))
    assert again.status == "finished"
    assert [r.start.attempt for r in records.read_attempts(again.folder)] == [1, 2]
    assert numbers(again.folder) == before


def test_a_cut_off_last_line_is_survived(tmp_path, monkeypatch):
    whole = runner.execute(request(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(course, "SAVE_SECONDS", 0.0)
        kill_at(patch, 7)
        with pytest.raises(Killed):
            runner.execute(request(tmp_path / "cut"))
    (path,) = (tmp_path / "cut").glob(f"records/*/{records.FILE}")
    path.write_bytes(path.read_bytes() + b'{"kind":"log","step":7,"phase":"tr')
    assert numbers(runner.execute(request(tmp_path / "cut")).folder) == numbers(whole.folder)


def test_two_processes_do_one_run_once(tmp_path):
    folder = runner.plan(request(tmp_path)).folder
    folder.mkdir(parents=True)
    with FileLock(folder / "record.lock"):
        outcome = runner.execute(request(tmp_path))
    assert (outcome.status, outcome.reason, outcome.skipped) == ("busy", "another process is at it", True)


def test_a_loss_that_is_not_finite_ends_the_run_with_step_and_task(tmp_path):
    outcome = runner.execute(request(tmp_path, data={"poison": 7}))
    assert outcome.status == "diverged"
    assert "depth" in outcome.reason
    assert "at step" in outcome.reason
    again = runner.execute(request(tmp_path, data={"poison": 7}))
    assert (again.status, again.reason, again.skipped) == ("diverged", outcome.reason, True)


def test_test_is_evaluated_once_and_tuning_never_sees_it(tmp_path):
    run = read_run(runner.execute(request(tmp_path)).folder)
    assert [(e.purpose, e.split) for e in run.evals if e.split == "test"] == [("constant", "test"), ("final", "test")]
    run = read_run(runner.execute(request(tmp_path, role="tune")).folder)
    assert {e.split for e in run.evals} == {"val"}


@pytest.mark.parametrize(("selection", "split"), [("best-val", "val"), ("best-test-oracle", "test")])
def test_the_best_step_is_what_is_deployed(tmp_path, selection, split):
    outcome = runner.execute(request(tmp_path, selection=selection, evaluations=4, lr=0.05))
    run = read_run(outcome.folder)
    curve = [e for e in run.evals if e.purpose in ("curve", "oracle")]
    assert {e.split for e in curve} == {split}
    best = max(curve, key=lambda e: e.gain)
    assert run.final(split).gain == best.gain
    assert run.end.deployed_step == best.step
    assert run.end.selection == selection


def test_the_last_step_is_deployed_by_default(tmp_path):
    run = read_run(runner.execute(request(tmp_path)).folder)
    assert (run.end.deployed_step, run.end.step, run.end.selection) == (12, 12, "last")
    assert run.final("val").metrics == [e for e in run.evals if e.purpose == "curve"][-1].metrics


def test_under_the_final_budget_the_shipped_network_takes_the_steps(tmp_path):
    plans = {b: runner.plan(request(tmp_path, method="cross-stitch", budget=b, steps=40)) for b in ("total", "final")}
    assert plans["total"].steps == 40
    assert sum(p.steps for p in plans["final"].phases if p.final) == 40
    assert plans["final"].steps > 40


def test_the_kept_network_predicts_what_was_measured(tmp_path):
    outcome = runner.execute(request(tmp_path, method="adashare"))
    loaded = deployment.load_network(outcome.folder)
    parts = Assembly(request(tmp_path, method="adashare"))
    evaluation = evaluate(loaded, parts.dataset, "test", 4)
    measured = read_run(outcome.folder).final().metrics
    for task, metrics in evaluation.metrics.items():
        assert metrics == pytest.approx(measured[task], rel=1e-5)  # another memory layout rounds otherwise


def test_streams_of_their_own_train_through_the_same_loop(tmp_path):
    for method in ("hard-sharing", "cross-stitch"):
        tasks = ("art", "photo", "sketch")
        outcome = runner.execute(request(tmp_path, method=method, dataset=DOMAINS, tasks=tasks, steps=30, batch_size=6))
        assert outcome.status == "finished", outcome.reason
        run = read_run(outcome.folder)
        assert run.start.streams == {t: [t] for t in tasks}
        assert outcome.score > 0.1


BROKEN = """
from mtlbench.method import Method
class Signature(Method):
    name = "signature"
    def __init__(self, options):
        pass
class Shape(Method):
    name = "shape"
    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
    def forward(self, x, tasks):
        return {t: self.backbone(x) for t in tasks}
class Late(Method):
    name = "late"
    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
        import torch
        self.heads = torch.nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})
    def forward(self, x, tasks):
        if self.where.step == 5:
            raise ValueError("step five\\nis bad")
        return {t: self.heads[t](self.backbone(x)) for t in tasks}
"""


@pytest.mark.parametrize(("cls", "reason"), [("Signature", "argument"), ("Shape", ""), ("Late", "step five is bad")])
def test_a_broken_method_is_a_failed_run_with_its_reason(tmp_path, cls, reason):
    (tmp_path / "mine.py").write_text(BROKEN)
    spec = f"{tmp_path / 'mine.py'}:{cls}"
    outcome = runner.execute(request(tmp_path, method=cls.lower(), spec=spec))
    assert outcome.status == "failed"
    assert reason in outcome.reason
    assert "\n" not in outcome.reason
    assert cls != "Late" or "mine.py" in (outcome.folder / "traceback.txt").read_text()
    assert read_run(outcome.folder).status == "failed"


def test_a_mended_method_is_another_run(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN)
    wanted = request(tmp_path, method="late", spec=f"{tmp_path / 'mine.py'}:Late")
    before = runner.plan(wanted).folder
    (tmp_path / "mine.py").write_text(BROKEN.replace("== 5", "== 99"))
    assert runner.plan(wanted).folder != before


def test_abandoned_runs_are_failed_and_go_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            runner.execute(request(tmp_path))
    runner.abandon(request(tmp_path), "worker died")
    plan = runner.plan(request(tmp_path))
    assert plan.status == "failed"
    assert read_run(plan.folder).end.reason == "worker died"
    assert runner.execute(request(tmp_path)).status == "finished"


def test_names_do_not_depend_on_paths_workers_or_threads(tmp_path):
    one = request(tmp_path / "a")
    other = runner.Request(one.config, "hard-sharing", TOY, str(tmp_path / "b"), threads=2, command="x")
    assert runner.plan(one).folder.name == runner.plan(other).folder.name
    assert runner.plan(request(tmp_path, seed=1)).folder.name != runner.plan(one).folder.name


def test_an_unwritable_folder_and_a_newer_record_are_clear_errors(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write results in"):
        runner.execute(request(tmp_path / "file"))
    folder = runner.execute(request(tmp_path / "new")).folder
    path = folder / records.FILE
    lines = path.read_text().splitlines()
    first = json.loads(lines[0])
    first.pop("crc")
    path.write_text("\n".join([json.dumps({**first, "schema_version": 99}), *lines[1:]]) + "\n")
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"schema version 99, this mtlbench reads 1 .*newer"):
        runner.execute(request(tmp_path / "new"))
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_said_and_the_run_goes_on_from_the_one_before(tmp_path, monkeypatch):
    whole = numbers(runner.execute(request(tmp_path / "whole")).folder)
    for damaged, then in ((1, "goes on from the one before"), (2, "starts from the beginning")):
        with monkeypatch.context() as patch:
            patch.setattr(course.Course, "_due", lambda self, now: True)
            kill_at(patch, 5)
            with pytest.raises(Killed):
                runner.execute(request(tmp_path / str(damaged)))
        folder = runner.plan(request(tmp_path / str(damaged))).folder
        for name in (checkpoint.FILE, checkpoint.PREVIOUS)[:damaged]:
            flip(folder / name, 4001)
        heard = []
        outcome = runner.execute(request(tmp_path / str(damaged)), heard.append)
        assert outcome.status == "finished"
        assert numbers(folder) == whole
        (note,) = read_run(folder).notes
        assert f"checkpoint '{folder / checkpoint.FILE}' is damaged (its checksum does not fit)" in note
        assert note.endswith(then)
        assert note in [p.message for p in heard]


def flip(path, bit):
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_one_changed_bit_anywhere_in_a_checkpoint_is_found(tmp_path):
    checkpoint.save(tmp_path, {"identity": "x", "step": 3, "weights": torch.arange(3.0)})
    path = tmp_path / checkpoint.FILE
    assert checkpoint.read(path, "x")["step"] == 3
    for bit in range(8 * path.stat().st_size):
        flip(path, bit)
        with pytest.raises(CheckpointError):
            checkpoint.read(path, "x")
        flip(path, bit)


def test_one_changed_bit_in_the_kept_network_is_found(tmp_path):
    outcome = runner.execute(request(tmp_path))
    path = outcome.folder / deployment.FILE
    for bit in (3, 700, 8 * path.stat().st_size // 2, 8 * path.stat().st_size - 1):
        flip(path, bit)
        with pytest.raises(RecordError, match=r"is damaged .*run it again with --force"):
            deployment.load_network(outcome.folder)
        flip(path, bit)
    deployment.load_network(outcome.folder)


def test_pickled_code_in_a_checkpoint_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    checkpoint.save(tmp_path, {"identity": "x", "e": Evil()})
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        checkpoint.read(tmp_path / checkpoint.FILE, "x")
    state, note = checkpoint.load(tmp_path, "x")
    assert (state, note.endswith("the run starts from the beginning")) == (None, True)
    assert not (tmp_path / "ran").exists()


def test_what_is_wrong_before_anything_is_recorded_raises(tmp_path):
    with pytest.raises(MtlbenchError, match="unknown method 'hard-shering'; did you mean 'hard-sharing'"):
        runner.execute(request(tmp_path, spec="hard-shering"))
    with pytest.raises(MtlbenchError, match="unknown task 'dept'; did you mean 'depth'"):
        runner.execute(request(tmp_path, tasks=("dept",)))


@pytest.mark.slow
def test_sigkill_at_random_moments():
    from tests.kill_and_resume import campaign

    results = list(campaign("adashare", 6))
    assert sum(len(r.places) for r in results) == 6
    assert not [r for r in results if r.differs]


@pytest.mark.parametrize("name", [".", "record.jsonl", "record.lock", "traceback.txt", "model.safetensors.tmp"])
def test_nothing_is_written_through_a_link_in_a_runs_folder(tmp_path, name):
    """A results folder from elsewhere may hold links to files of the user's."""
    parts = Assembly(request(tmp_path / "out", steps=2))
    outside = tmp_path / "mine"
    if name == ".":
        outside.mkdir()
        parts.folder.parent.mkdir(parents=True)
        parts.folder.symlink_to(outside)
    else:
        outside.write_text("mine")
        parts.folder.mkdir(parents=True)
        (parts.folder / name).symlink_to(outside)
    with pytest.raises(RecordError, match="is a link"):
        runner.execute(parts.request)
    assert list(outside.iterdir()) == [] if name == "." else outside.read_text() == "mine"
