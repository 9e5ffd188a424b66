"""The file of `--parallel`: which of submitit's backends executes a study, and that backend's own keys. Needs no torch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.errors import ConfigError, one_line, short, unknown
from mtlbench.given import path, read_yaml

BACKENDS = ("slurm", "local", "debug")
MINUTES = 24 * 60  # of a job for which no time is given
TIMEOUTS = 100  # how often a job that ran out of its time is queued again


@dataclass(frozen=True)
class Parallel:
    """A backend (slurm, local or debug) and submitit's keys for it, as they stand in the file."""

    backend: str
    keys: Mapping[str, Any]

    @property
    def queues(self) -> bool:
        """Whether its jobs wait in a queue of their own, so that whoever submitted them may leave."""
        return self.backend == "slurm"

    @property
    def device(self) -> str:
        """Where its jobs train: on CUDA where they ask for a GPU."""
        asked = [v for k, v in self.keys.items() if "gpu" in k or (k == "gres" and "gpu" in str(v))]
        return "cuda" if any(asked) else "cpu"

    @property
    def threads(self) -> int:
        """The threads of a job: its cores."""
        return int(self.keys.get("cpus_per_task", 1))

    def executor(self, folder: Path, **more: Any) -> Any:
        """submitit's executor with the keys of the file, and `more`. ConfigError for a value that it does not take."""
        submitit = _submitit()
        limits = {f"{self.backend}_max_num_timeout": TIMEOUTS} if self.backend != "debug" else {}
        made = submitit.AutoExecutor(folder=folder, cluster=self.backend, **limits)
        given = {"timeout_min": MINUTES, "name": "mtlbench", **self.keys, **more}
        if "time" in given:
            del given["timeout_min"]
        try:
            made.update_parameters(**{k if k in _shared() else f"{self.backend}_{k}": v for k, v in given.items()})
        except (AssertionError, NameError, TypeError, ValueError) as error:
            raise ConfigError(f"--parallel: {one_line(error)}") from error
        return made


def read_parallel(file: str) -> Parallel:
    """What a file of `--parallel` says. ConfigError, in one line, for what cannot be read, is unknown or is not here."""
    data = read_yaml(path(file, "--parallel"), f"the file of --parallel '{file}'")
    if not isinstance(data, dict):
        raise ConfigError(f"'{file}' holds {short(repr(data))} (a mapping like 'backend: slurm' is expected)")
    keys = {str(k): v for k, v in data.items() if v is not None}
    backend = str(keys.pop("backend", ""))
    if backend not in BACKENDS:
        raise unknown(f"backend in '{file}'", backend, BACKENDS)
    _submitit()
    if backend == "slurm" and shutil.which("sbatch") is None:
        raise ConfigError(f"'{file}' asks for slurm, but there is no sbatch here (allowed: local, debug)")
    for key in keys:
        if key not in (allowed := {*_shared(), *_own(backend)}):
            raise unknown(f"key of {backend} in '{file}'", key, allowed)
    found = Parallel(backend, keys)
    found.executor(Path("."))  # its values, too
    return found


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            f"--parallel needs a package that is not here (install mtlbench[cluster]): {error}"
        ) from error
    return submitit


def _shared() -> set[str]:
    """submitit's keys for every backend."""
    return set(_submitit().AutoExecutor._typed_parameters())


def _own(backend: str) -> set[str]:
    """submitit's keys for one backend; what a job waits for is the study's to say."""
    return set(_submitit().core.plugins.get_executors()[backend]._valid_parameters()) - {"dependency"}
