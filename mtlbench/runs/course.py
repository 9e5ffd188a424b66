"""The course of one run: train, select, evaluate, measure and keep, every step of it in the record."""

from __future__ import annotations

import io
import json
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
import torch

from mtlbench import records
from mtlbench.deployed import network as deployment
from mtlbench.deployed import samples as gallery
from mtlbench.deployed.cost import measure, plain_backbone_parameters
from mtlbench.deployed.evaluation import Evaluation, evaluate, evaluate_constant, mean_skill, skills
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.deployed.scoring import Score, score
from mtlbench.errors import FOREIGN, ConfigError, Diverged, RecordError, one_line
from mtlbench.machine import keep_memory
from mtlbench.method import Phase
from mtlbench.records.files import write_whole
from mtlbench.runs import checkpoint
from mtlbench.runs.assembly import Assembly, start_line
from mtlbench.runs.request import Outcome, Progress, Status
from mtlbench.runs.stopping import polite_stop
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.selection import Selected

SAVE_SECONDS = 60.0
SIGN_SECONDS = 0.2


class Course:
    """One run from its start line to its end line; whoever makes it holds the record's lock."""

    def __init__(self, parts: Assembly, progress: Callable[[Progress], None]) -> None:
        self.parts, self.config, self.dataset, self.folder = parts, parts.config, parts.dataset, parts.folder
        self.device = parts.request.device
        self.progress = progress
        self.started = False
        self.last_losses: dict[str, float] = {}
        self.saved = self.signed = time.perf_counter()
        self.signed_step = 0
        self.save_cost = 0.0
        self.stop: Callable[[], bool] = lambda: False

    def go(self) -> Outcome:
        """Skip what is done, else train, evaluate and measure."""
        status, force = records.status_of(self.folder), self.parts.request.force
        if status in ("finished", "diverged") and not force:
            checkpoint.remove(self.folder)  # of a run that was killed behind its last line
            return self._done_before()
        resuming = status in ("unfinished", "failed") and not force
        attempt = records.last_attempt(self.folder)
        self.writer = records.Writer(self.folder, max(attempt, 1) if resuming else attempt + 1)
        torch.set_num_threads(self.parts.request.threads)
        keep_memory()
        try:
            with polite_stop() as self.stop:
                self._train(resuming)
                return self._finish()
        except Diverged as error:
            return self._end("diverged", str(error))
        except FOREIGN as error:
            return self._failed(one_line(error))

    def _done_before(self) -> Outcome:
        run = records.read_attempts(self.folder)[-1]
        final = run.final("val")
        assert run.end is not None
        value, error = (final.gain, final.gain_error) if final else (None, None)
        return Outcome(self.folder, run.end.status, run.end.reason, value, error=error, skipped=True)

    def _failed(self, reason: str) -> Outcome:
        """End the record with the error being handled; on a disk that takes nothing more it is told all the same."""
        with suppress(OSError):
            (self.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
        try:
            if not self.started:
                self.writer.write(start_line(self.parts, ()))
            return self._end("failed", reason)
        except RecordError:
            return Outcome(self.folder, "failed", reason)

    # --- training -----------------------------------------------------------------------------------------------------

    def _train(self, resuming: bool) -> None:
        """Build everything, write the start or resume line, and train to the end."""
        if not resuming:
            checkpoint.remove(self.folder)
        if leader := self.parts.incomplete:
            raise ConfigError(f"{self.config.method} follows a run of {leader}: only a study knows which")
        self.method = self.parts.method()
        account = self.parts.account(self.method)
        phases = self.parts.phases(self.method, account)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        weighting = self.parts.weighting().to(self.device)
        hooks = Hooks(self._log, self._validate, self._save)
        self.trainer = Trainer(
            self.method, weighting, self.dataset, self.config, phases, self._initial, self.device, hooks, account
        )
        if resuming:
            self._resume(phases)
        else:
            self.writer.write(start_line(self.parts, phases))
        self.started = True
        parts = ("val",) if self.config.role == "tune" else ("val", "test")
        self.constant = evaluate_constant(self.dataset, parts)
        self.trainer.run()

    def _initial(self) -> Mapping[str, torch.Tensor]:
        return self.parts.method().state_dict()

    def _resume(self, phases: tuple[Phase, ...]) -> None:
        state, note = checkpoint.load(self.folder, self.folder.name)
        newest = records.read_attempts(self.folder)[-1]
        if not newest.start.phases:  # it failed before it could say what it would do
            self.writer = records.Writer(self.folder, self.writer.attempt + 1)
            self.writer.write(start_line(self.parts, phases))
        elif state is not None:
            self.trainer.restore(state)
        note = "; ".join(filter(None, (note, self._other_threads(newest))))
        self.writer.write(records.Resume(step=self.trainer.state.step, note=note, threads=self.parts.request.threads))
        if note:
            self.progress(Progress("resuming", self.trainer.state.step, self.trainer.steps, {}, 0.0, note))
        self.signed_step = self.trainer.state.step

    def _other_threads(self, before: records.Run) -> str:
        was, now = before.start.environment.get("threads", 1), self.parts.request.threads
        if was == now:
            return ""
        return f"from step {self.trainer.state.step} on with {now} threads, not {was}: numbers may differ in the last digits"

    def _log(self, step: int, phase: str, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        self.last_losses = dict(losses)
        own = self.method.log()
        line = records.Log(step=step, phase=phase, losses=dict(losses), values=dict(own), rates=dict(rates))
        self.writer.write(line)

    def _validate(self, step: int, phase: str, purpose: str) -> float:
        split = "test" if purpose == "oracle" else "val"
        evaluation = self._evaluate(self._deployed(), split)
        return self._write_eval(evaluation, split, purpose, step, phase).value

    def _deployed(self) -> DeployedNetwork:
        return DeployedNetwork.of(self.method, self.dataset.streams, self.dataset.shape)

    def _evaluate(self, network: DeployedNetwork, split: str) -> Evaluation:
        c = self.config
        try:
            return evaluate(network, self.dataset, split, c.batch_size, self.device, c.precision)
        except Diverged as error:
            place = f"{error.place}, after step {self.trainer.state.step} (phase '{self.method.where.phase}')"
            raise Diverged(error.what, error.names, place) from error

    def _write_eval(
        self, evaluation: Evaluation, split: str, purpose: str, step: int, phase: str = "", rule: str = ""
    ) -> Score:
        skill = skills(self.dataset.tasks, evaluation.metrics, self.constant[split].metrics)
        chosen = score(self.dataset.tasks, evaluation, self.constant[split].metrics)
        data = {
            "step": step,
            "phase": phase,
            "split": split,
            "purpose": purpose,
            "rule": rule,
            "metrics": evaluation.metrics,
            "losses": evaluation.losses,
            "skill": skill,
            "score": mean_skill(skill),
            "gain": chosen.value,
            "gain_error": chosen.error,
        }
        self.writer.write(records.Eval.model_validate(data))
        return chosen

    def _save(self) -> None:
        """After every step: a sign of life, a checkpoint when it is time, and an end where somebody asked for one."""
        now = time.perf_counter()
        if now - self.signed >= SIGN_SECONDS:
            self._sign(now)
        asked = self.stop()
        if asked or self._due(now):
            checkpoint.save(self.folder, {"identity": self.folder.name, **self.trainer.checkpoint()})
            self.saved = time.perf_counter()
            self.save_cost = self.saved - now
        if asked:
            raise KeyboardInterrupt

    def _due(self, now: float) -> bool:
        return now - self.saved >= max(SAVE_SECONDS, 20 * self.save_cost)

    def _sign(self, now: float) -> None:
        state = self.trainer.state
        rate = (state.step - self.signed_step) / (now - self.signed)
        self.signed, self.signed_step = now, state.step
        phase = self.method.where.phase
        self.progress(Progress(phase, state.step, self.trainer.steps, self.last_losses, rate))

    # --- after training -----------------------------------------------------------------------------------------------

    def _finish(self) -> Outcome:
        """Select, evaluate what is deployed (test once, whole), measure it, keep what the report needs."""
        checkpoint.save(self.folder, {"identity": self.folder.name, **self.trainer.checkpoint()})
        selected = self.trainer.selected
        assert selected is not None
        network = self._network(selected)
        final = Score(0.0, 0.0)
        for split in self.constant:
            self.progress(Progress("evaluating", steps := self.trainer.steps, steps, self.last_losses, 0.0, split))
            self._write_eval(self.constant[split], split, "constant", self.trainer.state.step)
            evaluation = self._evaluate(network, split)
            value = self._write_eval(evaluation, split, "final", self.trainer.state.step, selected.where.phase)
            final = value if split == "val" else final
            self._other_rules(evaluation, split)
            if split == "test":
                self._keep_file("test-statistics", "test_statistics.npz", _packed(_compact(evaluation)))
        if self.config.role != "tune":
            self.writer.write(measure(network, plain_backbone_parameters(self.method.build), self.device))
            self._keep(network)
        outcome = self._end("finished", "", final, selected.where.step + 1)
        checkpoint.remove(self.folder)  # only now: a kill in between costs nothing
        return outcome

    def _network(self, selected: Selected) -> DeployedNetwork:
        """The network that a rule of selection deploys."""
        self.method.load_state_dict(selected.weights)
        self.method.where = selected.where
        self.method.eval()
        return self._deployed()

    def _other_rules(self, own: Evaluation, split: str) -> None:
        """What the run's other rules would have deployed, on the same split; where they chose alike it is known."""
        first = self.trainer.selected
        assert first is not None
        for rule in self.trainer.rules[1:]:
            chosen = self.trainer.chosen[rule]
            evaluation = own if chosen.where == first.where else self._evaluate(self._network(chosen), split)
            self._write_eval(evaluation, split, "rule", chosen.where.step + 1, chosen.where.phase, rule)
        if len(self.trainer.rules) > 1:
            self._network(first)

    def _keep(self, network: DeployedNetwork) -> None:
        sha256 = deployment.save(self.folder, self.method)
        self.writer.write(records.ArtefactLine(name="model", path=deployment.FILE, sha256=sha256))
        pictures = gallery.collect(network, self.dataset, self.device)
        if pictures:
            self._keep_file("gallery", gallery.FILE, _packed(pictures))
        for artefact in self.method.artefacts():
            text = json.dumps(records.finite(artefact.data), indent=1) + "\n"
            self._keep_file(artefact.name, f"{artefact.name}.json", text.encode())

    def _keep_file(self, name: str, path: str, data: bytes) -> None:
        sha256 = write_whole(self.folder / path, data)
        self.writer.write(records.ArtefactLine(name=name, path=path, sha256=sha256))

    def _end(self, status: Status, reason: str, final: Score | None = None, deployed_step: int = 0) -> Outcome:
        state = self.trainer.state if hasattr(self, "trainer") else None
        timing = dict(state.timing) if state else {}
        data = {
            "status": status,
            "reason": reason,
            "step": state.step if state else 0,
            "deployed_step": deployed_step,
            "selection": self.config.selection,
            "seconds": sum(timing.values()),
            "processor_seconds": state.processor if state else None,
            "training_flops": state.flops if state else 0.0,
            "timing": timing,
        }
        self.writer.write(records.End.model_validate(data))
        value, error = (final.value, final.error) if final else (None, None)
        return Outcome(self.folder, status, reason, value, sum(timing.values()), error)


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _compact(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Counts as integers: they compress to a fraction."""
    return {
        key: rows.astype(np.uint32) if np.array_equal(rows, np.floor(rows)) and rows.min(initial=0) >= 0 else rows
        for key, rows in evaluation.images.items()
    }
