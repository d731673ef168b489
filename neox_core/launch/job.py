"""What is launched (`Job`), how (`LaunchPlan`), and who does it (`Launcher`)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from neox_core.config.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One program started once for each rank of a world."""

    name: str
    argv: tuple[str, ...]  # the same for every rank; what differs is in the environment
    world: World
    directory: Path  # where the ranks run
    run_dir: Path  # logs/rank-N.log are written below it
    environment: Mapping[str, str] = field(default_factory=dict)  # added to what each rank inherits
    master_addr: str = "127.0.0.1"
    master_port: int = 29500


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One process to start: for `rank` when the launcher starts ranks itself, for all of them when a scheduler does."""

    argv: tuple[str, ...]
    host: str
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    rank: int | None = None
    log: Path | None = None  # a copy of its output

    def __str__(self) -> str:
        variables = " ".join(f"{key}={shlex.quote(value)}" for key, value in sorted(self.environment.items()))
        return f"{variables} {shlex.join(self.argv)}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """Everything a launcher is about to do: files to write first, then commands to start. Printable, and made without side effects."""

    launcher: str
    commands: tuple[Command, ...]
    files: Mapping[str, str] = field(default_factory=dict)  # path -> text

    def __str__(self) -> str:
        lines = [f"# launcher: {self.launcher}"]
        lines += [f"# writes {path}" for path in self.files]
        lines += [f"{command.host}$ {command}" for command in self.commands]
        return "\n".join(lines)


class Launcher(Protocol):
    """What a launcher plugin's factory returns."""

    def plan(self, job: Job) -> LaunchPlan:
        """What will be run. Pure: the same job gives the same plan and nothing is touched."""

    def run(self, plan: LaunchPlan) -> int:
        """Run it to the end; the exit code is 0, or that of the process that failed first (128 + n after signal n)."""
