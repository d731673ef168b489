"""CPU time of processes."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory

Command = list[str]


def cpu_seconds(command: Command, environment: Mapping[str, str], directory: str | None = None) -> float:
    """User and system time of one run, from the start of the interpreter to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median_cpu_seconds(
    commands: Mapping[str, Command], environment: Mapping[str, str], runs: int, directory: str | None = None
) -> dict[str, float]:
    """The median of each command. They take turns, so that each has its share of whatever else the machine does.

    The first turn, in which modules are compiled, does not count.
    """
    turns = [
        {name: cpu_seconds(command, environment, directory) for name, command in commands.items()}
        for _ in range(runs + 1)
    ]
    return {name: statistics.median(turn[name] for turn in turns[1:]) for name in commands}


@contextmanager
def compiled_modules() -> Iterator[dict[str, str]]:
    """The environment of processes that share a cache of compiled modules, which an installed neox has, whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with TemporaryDirectory() as cache:
        yield {**kept, "PYTHONPYCACHEPREFIX": cache}
