"""Starting a run: everything is checked, then a launcher starts the ranks."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.checkpoint.manifest import Manifest
from neox_core.config import Entry, LoggingSettings, NeoXArgs, Resolved, RunnerSettings, ScheduleSettings
from neox_core.config.console_copy import copy_output
from neox_core.config.deepspeed_json import engine_json
from neox_core.config.entries import entries_of, plugins_for
from neox_core.config.presets import RUN_SETTINGS
from neox_core.config.yaml_text import dump_settings
from neox_core.errors import Problem, SettingsError, UserError
from neox_core.launch import Job, Launcher, LaunchPlan
from neox_core.launch.supervisor import FORWARDED
from neox_core.plugins import PluginManager
from neox_core.training import preflight
from neox_core.training.handover import FILE_NAME, Handover
from neox_core.training.load_choice import with_sound_end
from neox_core.training.machines import default_address, find_world_or_least, port
from neox_core.training.mup import save_base_shapes, take_base_shapes
from neox_core.training.resuming import saved_settings
from neox_core.training.schedule_resuming import with_saved_schedule

if TYPE_CHECKING:
    from neox_core.config import SettingsFrom

WORKER = "neox_core.training.worker"
"""Started with -P, so that a file in the user's directory hides no module from the ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that was found to be in order.

    Args:
        steps: of the checkpoint to resume from; None: there is none.
    """

    resolved: Resolved
    plugins: PluginManager
    handover: Handover
    job: Job
    launcher: Launcher
    plan: LaunchPlan
    steps: int | None = None

    def ends_here(self) -> bool:
        """Whether no rank has to be started; the user is told why.

        It is so where the checkpoint to resume from is that of the last step, and where only base shapes are asked for, which are
        written.
        """
        if written := save_base_shapes(self.resolved, self.plugins):
            notice(f"written: {written}, as save_base_shapes asks; set it to false to train")
            return True
        checkpoint = self.handover.checkpoint
        if self.steps is None or self.steps < self.resolved.train_iters:
            return False
        notice(f"training is complete: {checkpoint} is its last step; raise train_iters to go on")
        return True


class RunFailed(UserError):
    """The ranks of a run did not end in order.

    Args:
        run_dir: the directory of the run.
        exit_code: that of the launcher: 128 + n where signal n ended the run.
    """

    def __init__(self, run_dir: Path, exit_code: int) -> None:
        super().__init__(f"the run in {run_dir} ended with exit code {exit_code}")
        self.run_dir, self.exit_code = run_dir, exit_code


def train(
    settings: NeoXArgs | Mapping[str, Any] | Sequence[Entry], *, name: str = "run", plugins: PluginManager | None = None
) -> Path | None:
    """Train a model as `neox train` does: check everything, start the ranks, wait for their end.

    Args:
        settings: what the run is: as NeoXArgs, as keys and values, or as raw entries.
        name: the run's name where the settings have none.
        plugins: where components are looked up; None: those that the environment and the settings choose.

    Returns:
        The directory of the run; None where its last step was taken already, or where there were only base shapes to write.

    Raises:
        UserError: everything that was found wrong.
        RunFailed: a rank failed, or was ended.
    """
    begun = time.time()
    entries = _entries(settings)
    prepared = prepare(entries, plugins or plugins_for(entries), default_name=name)
    if prepared.ends_here():
        return None
    code = launch(prepared, begun)
    if code != 0:
        raise RunFailed(prepared.job.run_dir, code)
    return prepared.job.run_dir


def _entries(settings: NeoXArgs | Mapping[str, Any] | Sequence[Entry]) -> dict[str, Entry]:
    if isinstance(settings, Mapping):
        return entries_of(settings, "settings")
    given = settings.entries if isinstance(settings, NeoXArgs) else settings
    return {entry.key: entry for entry in given}


def prepare(
    entries: dict[str, Entry],
    plugins: PluginManager,
    *,
    default_name: str,
    settings_from: SettingsFrom | None = None,
) -> Prepared:
    """Resolve the settings and check all that can be checked; nothing is written.

    Args:
        entries: the given keys.
        plugins: where components are looked up.
        default_name: the run's name where the settings have none.
        settings_from: a checkpoint that says what the entries leave open.

    Raises:
        UserError: everything that was found wrong.
    """
    args = NeoXArgs(entries.values(), plugins, settings_from=settings_from)
    machines: list[Problem] = []
    world = find_world_or_least(args, machines)
    preflight.attempt(machines, "base_shapes_file", args, lambda: take_base_shapes(args))
    resolved, tokenizer, load, initial, prompt_tokens, away = preflight.check(args, world, plugins, notice, machines)
    destinations = {each.path: each.destination for each in away}
    if load.path not in destinations:
        load = with_sound_end(load, resolved.train_iters, notice)
    checkpoint = load.path
    if checkpoint is not None and resolved[ScheduleSettings].use_checkpoint_lr_scheduler:
        shown = destinations.get(checkpoint, checkpoint)
        args = with_saved_schedule(args, shown, saved_settings(checkpoint, Manifest.read(checkpoint)))
        rows = resolved.padded_vocab_size
        resolved = replace(args.resolve(world, resolved.vocabulary, resolved.epoch_samples), padded_vocab_size=rows)
    name = run_name(resolved) or default_name
    run_dir = new_directory(Path(resolved[LoggingSettings].runs_dir).absolute() / name)
    handover = Handover(
        name=name,
        run_dir=str(run_dir),
        entries=args.entries,
        switches=plugins.switches,
        world=world,
        vocabulary=resolved.vocabulary,
        padded_vocab_size=resolved.padded_vocab_size,
        eod_token=None if tokenizer is None else tokenizer.eod_id,
        checkpoint=None if checkpoint is None else str(destinations.get(checkpoint, checkpoint)),
        older=tuple(map(str, load.older)),
        damaged=tuple(map(str, load.damaged)),
        initial=None if initial is None else str(destinations.get(initial, initial)),
        away=tuple((each.url, str(each.destination)) for each in away),
        prompt_tokens=prompt_tokens,
        epoch_samples=resolved.epoch_samples,
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
        resolved=resolved,
        plugins=plugins,
        handover=handover,
        job=job,
        launcher=launcher,
        plan=launcher.plan(job),
        steps=None if checkpoint is None else Manifest.read(checkpoint).iteration,
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
    (run_dir / RUN_SETTINGS).write_text(settings_text(prepared.resolved), encoding="utf-8")
    (run_dir / "deepspeed.json").write_text(json.dumps(engine_json(prepared.resolved), indent=1), encoding="utf-8")
    (run_dir / "plugins.json").write_text(json.dumps(prepared.plugins.manifest(), indent=1), encoding="utf-8")
    (run_dir / "plan.txt").write_text(f"{plan}\n", encoding="utf-8")
    here = {"pid": os.getpid(), "host": socket.gethostname(), "started": begun}
    write_status(run_dir, {"state": "running", **here})
    try:
        code = prepared.launcher.run(plan)
    except BaseException:
        write_status(run_dir, {"state": "failed"})
        raise
    state = "done" if code == 0 else "stopped" if code - 128 in FORWARDED else "failed"
    write_status(run_dir, {"state": state, "exit_code": code})
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
    sys.stderr.write(f"note: {text}\n")
