"""The course of one run: train, select, evaluate, measure and keep, every step of it in the record."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from mtlbench import records
from mtlbench.deployed import network as deployment
from mtlbench.deployed import samples as gallery
from mtlbench.deployed.cost import measure, plain_backbone_parameters
from mtlbench.deployed.evaluation import Evaluation, evaluate, evaluate_constant, mean_skill, skills
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.deployed.scoring import Score, score
from mtlbench.errors import FOREIGN, ConfigError, Diverged, RankLost, RecordError
from mtlbench.machine import keep_memory
from mtlbench.method import Phase
from mtlbench.records.files import write_whole
from mtlbench.runs import checkpoint, memory
from mtlbench.runs.assembly import Assembly, start_line
from mtlbench.runs.ends import ended_where_lost, outcome
from mtlbench.runs.packing import compact, packed
from mtlbench.runs.request import Outcome, Progress, Status
from mtlbench.runs.stopping import polite_stop
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.ranks import World
from mtlbench.training.selection import Selected

SAVE_SECONDS = 60.0
SIGN_SECONDS = 0.2


class Course:
    """One run from its start line to its end line; whoever makes it holds the record's lock."""

    def __init__(self, parts: Assembly, progress: Callable[[Progress], None], world: World | None = None) -> None:
        self.world = world or World()
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
        begun = self.world.agreed(self._begin)
        if isinstance(begun, Outcome):
            return begun
        resuming, attempt = begun
        self.writer = self._writer(attempt)
        torch.set_num_threads(self.parts.request.threads)
        keep_memory()
        try:
            with polite_stop() as self.stop, ended_where_lost(self.folder, self.world):
                self._train(resuming)
                return self.world.agreed(self._finish)
        except Diverged as error:
            return self._end("diverged", str(error))
        except FOREIGN as error:
            return self._failed(memory.reason(error, self.config.batch_size, getattr(self, "method", None)))

    def _begin(self) -> Outcome | tuple[bool, int]:
        """What came of a run that is done; of any other whether it goes on, and the number of this attempt."""
        status, force = records.status_of(self.folder), self.parts.request.force
        if status in ("finished", "diverged") and not force:
            checkpoint.remove(self.folder)  # of a run that was killed behind its last line
            return replace(outcome(self.folder), seconds=0.0)
        resuming = status in ("unfinished", "failed") and not force
        attempt = records.last_attempt(self.folder)
        return resuming, max(attempt, 1) if resuming else attempt + 1

    def _writer(self, attempt: int) -> records.Writer:
        return (records.Writer if self.world.first else records.Mute)(self.folder, attempt)

    def _failed(self, reason: str) -> Outcome:
        """End the record with the error being handled; on a disk that takes nothing more it is told all the same."""
        with suppress(OSError):
            if self.world.first:
                (self.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
        try:
            if not self.started:
                self.writer.write(start_line(self.parts, ()))
            told = self._end("failed", reason)
        except RecordError:
            told = Outcome(self.folder, "failed", reason)
        if not self.world.all_failed():
            raise RankLost(reason)
        return told

    # --- training -----------------------------------------------------------------------------------------------------

    def _train(self, resuming: bool) -> None:
        """Build everything, write the start or resume line, and train to the end."""
        if not resuming and self.world.first:
            checkpoint.remove(self.folder)
        if leader := self.parts.incomplete:
            raise ConfigError(f"{self.config.method} follows a run of {leader}: only a study knows which")
        memory.start_watching(self.device)
        self.method = self.parts.method()
        self._divisible()
        account = self.parts.account(self.method)
        phases = self.parts.phases(self.method, account)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        weighting = self.parts.weighting().to(self.device)
        hooks = Hooks(self._log, self._validate, self._save)
        self.trainer = Trainer(
            self.method,
            weighting,
            self.dataset,
            self.config,
            phases,
            self._initial,
            self.device,
            hooks,
            account,
            self.world,
            self.parts.request.readers,
        )
        if resuming:
            self._resume(phases)
        else:
            self.writer.write(start_line(self.parts, phases))
        self.started = True
        parts = ("val",) if self.config.role == "tune" else ("val", "test")
        self.constant = self.world.agreed(lambda: evaluate_constant(self.dataset, parts))
        self.trainer.run()

    def _initial(self) -> Mapping[str, torch.Tensor]:
        return self.parts.method().state_dict()

    def _divisible(self) -> None:
        """ConfigError where the steps cannot be divided among the processes there are."""
        ranks, size = self.world.size, self.config.batch_size
        if ranks > 1 and not self.method.divisible:
            raise ConfigError(
                f"{self.config.method} trains in one process (allowed: without torchrun, not {ranks} ranks)"
            )
        if ranks > size:
            raise ConfigError(f"batches of {size} for {ranks} ranks (allowed: at least an image for each)")

    def _resume(self, phases: tuple[Phase, ...]) -> None:
        state, note, began, before = self.world.agreed(self._left)
        if not began:  # it failed before it could say what it would do
            self.writer = self._writer(self.writer.attempt + 1)
            self.writer.write(start_line(self.parts, phases))
        elif state is not None:
            self.trainer.restore(state)
        note = "; ".join(filter(None, (note, self._otherwise("threads", before), self._otherwise("ranks", before))))
        self.writer.write(records.Resume(step=self.trainer.state.step, note=note, threads=self.parts.request.threads))
        if note:
            self.progress(Progress("resuming", self.trainer.state.step, self.trainer.steps, {}, 0.0, note))
        self.signed_step = self.trainer.state.step

    def _left(self) -> tuple[dict[str, Any] | None, str, bool, dict[str, Any]]:
        """What an earlier attempt left: its checkpoint, what is to be said of that, whether it began, and where."""
        newest = records.read_attempts(self.folder)[-1]
        return *checkpoint.load(self.folder, self.folder.name), bool(newest.start.phases), newest.start.environment

    def _otherwise(self, what: str, before: Mapping[str, Any]) -> str:
        was, now = before.get(what, 1), getattr(self.parts.request, what)
        if was == now:
            return ""
        return f"from step {self.trainer.state.step} on with {now} {what}, not {was}: numbers may differ in the last digits"

    def _log(self, step: int, phase: str, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        self.last_losses = dict(losses)
        own = self.method.log()
        line = records.Log(step=step, phase=phase, losses=dict(losses), values=dict(own), rates=dict(rates))
        self.writer.write(line)

    def _validate(self, step: int, phase: str, purpose: str) -> float:
        split = "test" if purpose == "oracle" else "val"

        def value() -> float:
            return self._write_eval(self._evaluate(self._deployed(), split), split, purpose, step, phase).value

        return self.world.agreed(value)

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
        asked = self.world.any(self.stop())
        if self.world.first and (asked or self._due(now)):
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
                self._keep_file("test-statistics", "test_statistics.npz", packed(compact(evaluation)))
        if self.config.role != "tune":
            self.writer.write(measure(network, plain_backbone_parameters(self.method.build), self.device))
            self._keep(network)
        ended = self._end("finished", "", final, selected.where.step + 1)
        checkpoint.remove(self.folder)  # only now: a kill in between costs nothing
        return ended

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
            self._keep_file("gallery", gallery.FILE, packed(pictures))
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
            "device_memory": memory.most(self.device),
            "training_flops": state.flops if state else 0.0,
            "timing": timing,
        }
        self.writer.write(records.End.model_validate(data))
        value, error = (final.value, final.error) if final else (None, None)
        return Outcome(self.folder, status, reason, value, sum(timing.values()), error)
