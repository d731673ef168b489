"""A launcher that knows nothing but subprocess."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from acme_neox.settings import LauncherSettings
from neox_core.config import Resolved
from neox_core.launch import Command, Job, LaunchPlan, Rendezvous


def build(resolved: Resolved) -> SubprocessLauncher:
    """The launcher, with the variables that the settings give."""
    return SubprocessLauncher(resolved[LauncherSettings].acme_environment)


class SubprocessLauncher:
    """Starts every rank here and waits for all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def plan(self, job: Job) -> LaunchPlan:
        """One command a rank."""
        return LaunchPlan(launcher="subprocess", commands=tuple(self._command(job, r) for r in range(job.world.size)))

    def run(self, plan: LaunchPlan) -> int:
        """The code of the first rank that failed, or 0."""
        ranks = [
            subprocess.Popen(command.argv, cwd=command.directory, env={**os.environ, **command.environment})
            for command in plan.commands
        ]
        codes = [rank.wait() for rank in ranks]
        return next((code if code > 0 else 128 - code for code in codes if code), 0)

    def _command(self, job: Job, rank: int) -> Command:
        place = Rendezvous.of_rank(rank, job.world, master_addr=job.master_addr, master_port=job.master_port)
        environment = {**self._environment, **job.environment, **place.environment()}
        return Command(
            argv=job.argv, host=job.world.hosts[0].name, environment=environment, directory=job.directory, rank=rank
        )
