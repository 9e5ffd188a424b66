"""A real Slurm of one node for a test: munged, slurmctld and slurmd from the system's packages, all in one folder."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
SlurmdPort={next_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
JobRequeue=1
KillWait=60
MinJobAge=3600
SchedulerParameters=sched_min_interval=100000
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no Slurm can be started here; "" where it can."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (apt-get install slurmctld slurmd slurm-client munge)"
    return "" if os.geteuid() == 0 else "its daemons are started as root"


class Slurm:
    """The daemons of one node; `environment` is what its commands need."""

    def __init__(self, folder: Path, cpus: int) -> None:
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        port = 20000 + secrets.randbelow(20000)
        host = platform.node().partition(".")[0]
        values = {"host": host, "folder": folder, "port": port, "next_port": port + 1, "cpus": cpus}
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        (folder / "munge.key").write_bytes(secrets.token_bytes(64))
        (folder / "munge.key").chmod(0o400)
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *command: str) -> None:
        """A daemon in the foreground, its output in a file."""
        log = (self.folder / f"{command[0]}.out").open("ab")
        self._running[command[0]] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        """End a daemon."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_all(self) -> None:
        """munged, slurmctld, slurmd; returns when the node is idle."""
        f = self.folder
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log"}
        files["seed-file"] = "munge.seed"
        self.start("munged", "--foreground", "--force", *(f"--{key}={f / name}" for key, name in files.items()))
        self.start("slurmctld", "-D", "-c")
        self.start("slurmd", "-D")
        until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), 120)

    def stop_all(self) -> None:
        """End everything, jobs first."""
        self.ask("scancel", "--user=root")
        until(lambda: not self.ask("squeue", "--noheader"), 60, "jobs that are not cancelled", fails=False)
        for name in reversed(list(self._running)):
            self.stop(name)

    def ask(self, *command: str) -> str:
        """A command's output, also where it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)
        return done.stdout.strip()


def until(true: object, seconds: float, what: str = "Slurm", fails: bool = True) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            assert not fails, f"waited {seconds} s for {what}"
            return
        time.sleep(0.3)


@contextmanager
def one_node(folder: Path, cpus: int = 2) -> Iterator[Slurm]:
    """Slurm for the time of a test."""
    slurm = Slurm(folder, cpus)
    try:
        slurm.start_all()
        yield slurm
    finally:
        slurm.stop_all()
