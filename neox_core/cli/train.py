"""`neox train`: check everything, then let a launcher start the ranks."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from neox_core.checkpoint.manifest import Manifest
from neox_core.cli.choice import chosen_plugins
from neox_core.cli.world import find_world_or_least
from neox_core.config import (
    Entry,
    LoggingSettings,
    NeoXArgs,
    Resolved,
    RunnerSettings,
    World,
)
from neox_core.config.command_line import Parser, read_settings
from neox_core.config.console_copy import copy_output
from neox_core.config.yaml_text import dump_settings
from neox_core.errors import Problem, SettingsError
from neox_core.launch import Job, Launcher, LaunchPlan, free_port
from neox_core.plugins import CommandContext, PluginManager
from neox_core.training import preflight
from neox_core.training.handover import FILE_NAME, Handover

WORKER = "neox_core.training.worker"
"""Started with -P, so that a file in the user's directory hides no module from the ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that was found to be in order."""

    resolved: Resolved
    plugins: PluginManager
    handover: Handover
    job: Job
    launcher: Launcher
    plan: LaunchPlan

    @property
    def already_done(self) -> bool:
        """Whether the checkpoint to resume from is that of the last step."""
        checkpoint = self.handover.checkpoint
        iterations = self.resolved.train_iters
        return checkpoint is not None and Manifest.read(Path(checkpoint)).iteration >= iterations


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line: configuration files, overrides and flags in any order."""
    parser = Parser(prog="neox train", description="Train a model.")
    parser.add_argument(
        "words", nargs="+", metavar="FILE | KEY=VALUE", help="configuration files or presets, and overrides"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything and print what would be started")
    return parser.parse(argv)


def main(argv: list[str], context: CommandContext) -> int:
    """Run a training job to its end; returns its exit code."""
    begun = time.time()
    options = parse(argv)
    files, entries = read_settings(options.words, options)
    plugins = chosen_plugins(entries, context)
    prepared = prepare(entries, plugins, default_name=files[0].stem if files else "run")
    if options.dry_run:
        print(prepared.plan)
        return 0
    if prepared.already_done:
        notice(f"training is complete: {prepared.handover.checkpoint} is its last step; raise train_iters to go on")
        return 0
    return launch(prepared, begun)


def prepare(entries: dict[str, Entry], plugins: PluginManager, *, default_name: str) -> Prepared:
    """Resolve the settings and check all that can be checked; nothing is written.

    Raises:
        UserError: everything that was found wrong.
    """
    args = NeoXArgs(entries.values(), plugins)
    machines: list[Problem] = []
    world = find_world_or_least(args, machines)
    resolved, tokenizer, checkpoint = preflight.check(args, world, plugins, notice, machines)
    name = run_name(resolved) or default_name
    run_dir = new_directory(Path(resolved[LoggingSettings].runs_dir).absolute() / name)
    handover = Handover(
        name=name,
        run_dir=str(run_dir),
        entries=args.entries,
        switches=plugins.switches,
        world=world,
        vocabulary=resolved.vocabulary,
        eod_token=None if tokenizer is None else tokenizer.eod_id,
        checkpoint=None if checkpoint is None else str(checkpoint),
    )
    job = Job(
        name=name,
        argv=(sys.executable, "-P", "-m", WORKER, str(run_dir / FILE_NAME)),
        world=world,
        directory=Path.cwd(),
        run_dir=run_dir,
        master_addr=resolved[RunnerSettings].master_addr or default_address(world),
        master_port=port(args, world),
    )
    launcher: Launcher = plugins.make("launcher", resolved[RunnerSettings].launcher, resolved)
    return Prepared(
        resolved=resolved, plugins=plugins, handover=handover, job=job, launcher=launcher, plan=launcher.plan(job)
    )


def run_name(resolved: Resolved) -> str | None:
    """The run's name as the settings have it.

    Raises:
        SettingsError: the run's directory would lie outside `runs_dir`.
    """
    name = resolved[LoggingSettings].run_name
    if name is not None and (Path(name).is_absolute() or ".." in Path(name).parts):
        message = f"'{name}' leads out of the directory of runs; write a name without `..` and without a leading `/`"
        raise SettingsError([Problem(keys=("run_name",), message=message, origin=resolved.origin("run_name"))])
    return name


def new_directory(parent: Path) -> Path:
    """A name for the directory of a run that starts now; microseconds tell apart what starts in the same second."""
    return parent / datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")


def default_address(world: World) -> str:
    """Where rank 0 listens: this machine alone, or the first host."""
    return "127.0.0.1" if len(world.hosts) == 1 else world.hosts[0].name


def port(args: NeoXArgs, world: World) -> int:
    """The port that was asked for; otherwise a free one here, or the default where several hosts must know it."""
    if args.master_port and ("master_port" in args or len(world.hosts) > 1):
        return int(args.master_port)
    return free_port()


def launch(prepared: Prepared, begun: float) -> int:
    """Write the run's directory, which no other run has, and start the ranks."""
    run_dir, plan = prepared.job.run_dir, prepared.plan
    log_dir = prepared.resolved[LoggingSettings].log_dir
    if log_dir is not None:
        copy_output(Path(log_dir))
    for _ in prepared.plugins.call("neox_before_launch", job=prepared.job, plan=plan):
        pass
    run_dir.mkdir(parents=True)
    handover = replace(prepared.handover, begun=begun, launched=time.time())
    (run_dir / FILE_NAME).write_text(handover.to_json(), encoding="utf-8")
    (run_dir / "resolved.yml").write_text(settings_text(prepared.resolved), encoding="utf-8")
    (run_dir / "deepspeed.json").write_text(json.dumps(prepared.resolved.deepspeed, indent=1), encoding="utf-8")
    (run_dir / "plugins.json").write_text(json.dumps(prepared.plugins.manifest(), indent=1), encoding="utf-8")
    (run_dir / "plan.txt").write_text(f"{plan}\n", encoding="utf-8")
    here = {"pid": os.getpid(), "host": socket.gethostname(), "started": begun}
    write_status(run_dir, {"state": "running", **here})
    code = prepared.launcher.run(plan)
    write_status(run_dir, {"state": "done" if code == 0 else "stopped" if code > 128 else "failed", "exit_code": code})
    return code


def settings_text(resolved: Resolved) -> str:
    """The given keys, which are read back to the same run; the defaults of the others beside them, as comments."""
    return dump_settings(resolved.all_values(), resolved.values)


def write_status(run_dir: Path, status: dict[str, object]) -> None:
    """Say how the run is, for whoever looks at its directory. What cannot be written is told and changes nothing else."""
    path = run_dir / "status.json"
    try:
        path.write_text(json.dumps(status) + "\n", encoding="utf-8")
    except OSError as error:
        notice(f"{path} cannot be written: {error.strerror}")


def notice(text: str) -> None:
    """Tell the user something that is no error."""
    print(f"note: {text}", file=sys.stderr)
