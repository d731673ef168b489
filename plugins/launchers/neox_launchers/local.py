"""The launcher `local`: every rank is a process on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from neox_core.errors import UserError
from neox_core.launch import (
    ENDED,
    Command,
    Job,
    LaunchPlan,
    Rendezvous,
    free_port,
    is_this_machine,
    port_is_free,
    supervise,
    usable_cores,
)


def build(resolved: Any) -> LocalLauncher:
    """The launcher for this machine; no setting changes it."""
    return LocalLauncher(cores=usable_cores(), environ=os.environ)


class LocalLauncher:
    """Starts the ranks of a job here and watches them to their end.

    `cores` and `environ` are the facts of this machine that a plan depends on. Every rank sees every GPU and takes that of its
    LOCAL_RANK, so that ranks can reach each other's memory; CUDA_VISIBLE_DEVICES passes through. Once one has failed the others
    have `grace` seconds for their end: by default as long as ranks that watch each other give each other.
    """

    def __init__(self, *, cores: int, environ: Mapping[str, str], grace: float = ENDED) -> None:
        self._cores = cores
        self._environ = environ
        self._grace = grace

    def plan(self, job: Job) -> LaunchPlan:
        """One command for each rank. UserError: the world has another host than this one."""
        for host in job.world.hosts:
            if not is_this_machine(host.name):
                raise UserError(
                    f"launcher: local runs on this machine only, and the job needs {host.name}; leave that host out of the "
                    "hostfile, or choose a launcher that reaches other hosts"
                )
        return LaunchPlan(launcher="local", commands=tuple(self._command(job, rank) for rank in range(job.world.size)))

    def run(self, plan: LaunchPlan) -> int:
        """Run the ranks to their common end, as `neox_core.launch.supervise` does. UserError: the port is taken."""
        place = Rendezvous.from_environment(plan.commands[0].environment)
        if not port_is_free(place.master_port):
            raise UserError(
                f"master_port: {place.master_port} is taken on this machine, perhaps by another run; choose a free one, "
                f"for example {free_port()}"
            )
        return supervise(plan, grace=self._grace)

    def _command(self, job: Job, rank: int) -> Command:
        place = Rendezvous.of_rank(rank, job.world, master_addr=job.master_addr, master_port=job.master_port)
        return Command(
            argv=job.argv,
            host=job.world.hosts[0].name,
            environment={**self._defaults(job), **job.environment, **place.environment()},
            directory=job.directory,
            rank=rank,
            log=job.run_dir / "logs" / f"rank-{rank}.log",
        )

    def _defaults(self, job: Job) -> dict[str, str]:
        defaults = {"PYTHONUNBUFFERED": "1"}
        if "OMP_NUM_THREADS" not in self._environ:
            defaults["OMP_NUM_THREADS"] = str(max(1, self._cores // job.world.size))
        if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(self._environ):
            # How long a thread spins at the end of a parallel loop before it sleeps. By default that is so long that a run slows
            # down ten times as soon as anything else uses a core; a run that has its cores to itself is as fast with this.
            defaults["GOMP_SPINCOUNT"] = "10000"
        return defaults
