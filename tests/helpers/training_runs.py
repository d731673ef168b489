"""Whole training runs in a rank of `Workers`, as the worker process would carry them out; and what came of them."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch.distributed as dist
import training_plugin
from plugin_runs import MODEL, TRAINING

from neox_core.checkpoint import find
from neox_core.config import CheckpointSettings, NeoXArgs, World
from neox_core.errors import UserError
from neox_core.launch import Rendezvous
from neox_core.plugins import PluginManager, Switches
from neox_core.training import one_rank
from neox_core.training.handover import Handover
from neox_core.training.initial import initial_checkpoint
from neox_core.training.load_choice import LoadChoice, choose
from neox_core.training.resuming import with_saved_rows
from neox_core.training.startup import Startup

SETTINGS: dict[str, Any] = {**MODEL, **TRAINING, "split": "80, 10, 10", "loggers": [], "train_iters": 7}


class Recorder:
    """Keeps what the lifecycle hooks are told, and can ask for a stop."""

    def __init__(self, stop: Any, stop_after: int | None, signal: int) -> None:
        self.steps: list[Any] = []
        self.saved: list[int] = []
        self.error: BaseException | None = None
        self.run: Any = None
        self._stop, self._stop_after, self._signal = stop, stop_after, signal

    def neox_train_start(self, run: Any) -> None:
        self.run = run

    def neox_step_end(self, step: Any) -> None:
        self.steps.append(step)
        if step.iteration == self._stop_after:
            self._stop.received = self._signal

    def neox_checkpoint_saved(self, checkpoint: Any) -> None:
        self.saved.append(checkpoint.iteration)

    def neox_train_end(self, error: BaseException | None) -> None:
        self.error = error


class Faulty:
    """Fails at its second step; counts how often it is asked."""

    asked = 0

    def neox_step_end(self) -> None:
        self.asked += 1
        if self.asked == 2:
            raise OSError("disk full")


class Log(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        logging.getLogger("neox").setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run(
    directory: Path,
    *,
    stop_after: int | None = None,
    stop_rank: int = 0,
    poison: tuple[int, tuple[int, ...]] = (0, ()),
    prompt_tokens: tuple[int, ...] = (),
    **changes: Any,
) -> SimpleNamespace:
    """One run in `directory`, which has data.

    Args:
        stop_after: step during whose end `stop_rank` receives SIGTERM.
        poison: (rank, forward passes whose loss is NaN there), for the objective `poisoned`.
        prompt_tokens: those of the text that a soft prompt begins with.
    """
    values = {**SETTINGS, "data_path": str(directory / "data/tokens"), **changes}
    plugins = PluginManager(Switches(modules=("training_plugin",)))
    resolved = NeoXArgs.from_dict(values, plugins=plugins).resolve(World.local(dist.get_world_size()))
    load = values.get("load")
    taken_up = load is not None and not values.get("finetune")
    choice = LoadChoice(find(Path(str(load)), values.get("iteration")) if taken_up else None)
    notices: list[str] = []
    if values.get("load_fallback"):
        choice = choose(resolved[CheckpointSettings], notices.append)
    checkpoint = choice.path
    try:
        initial = initial_checkpoint(resolved, checkpoint, plugins, notices.append)
    except UserError as error:
        return SimpleNamespace(failure=str(error), notices=notices)
    resolved = with_saved_rows(resolved, checkpoint or initial, plugins)
    handover = Handover(
        name="test",
        run_dir=str(directory / "run"),
        entries=(),
        switches=plugins.switches,
        world=resolved.world,
        vocabulary=resolved.vocabulary,
        eod_token=None,
        checkpoint=None if checkpoint is None else str(checkpoint),
        older=tuple(map(str, choice.older)),
        damaged=tuple(map(str, choice.damaged)),
        initial=None if initial is None else str(initial),
        prompt_tokens=prompt_tokens,
    )
    (directory / "run").mkdir(exist_ok=True)
    stop = SimpleNamespace(received=0)
    recorder = Recorder(stop, stop_after if dist.get_rank() == stop_rank else None, signal=15)
    faulty = Faulty()
    plugins.register(recorder, "recorder")
    plugins.register(faulty, "faulty")
    training_plugin.POISONED.clear()
    training_plugin.POISONED.update(poison[1] if dist.get_rank() == poison[0] else ())
    failure, code, log = "", None, Log()
    logging.getLogger("neox").addHandler(log)
    try:
        place = Rendezvous.of_rank(dist.get_rank(), resolved.world, master_addr="localhost", master_port=1)
        code = one_rank.train(handover, plugins, resolved, place, stop, startup=Startup(0.0, 0.0))  # type: ignore[arg-type]
    except UserError as error:
        failure = str(error)
    finally:
        logging.getLogger("neox").removeHandler(log)
    return SimpleNamespace(
        code=code,
        failure=failure,
        steps=recorder.steps,
        saved=recorder.saved,
        error=repr(recorder.error),
        resumed_from=recorder.run and recorder.run.resumed_from,
        start=recorder.run and recorder.run.start_iteration,
        model=recorder.run and (recorder.run.parameters, recorder.run.flops_per_token),
        is_main=recorder.run and recorder.run.is_main,
        notices=notices,
        log=log.lines,
        faulty=faulty.asked,
    )


def shards(checkpoint: Path) -> dict[str, str]:
    """Name and sha256 of each shard of a checkpoint: its weights and optimizer state."""
    files = sorted((checkpoint / "shards").glob("*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def numbers(steps: list[Any]) -> list[tuple[Any, ...]]:
    """All of these steps that does not depend on the clock."""
    return [
        (
            step.iteration,
            step.loss,
            step.learning_rate,
            str(step.grad_norm),  # which may be NaN, that equals nothing
            step.samples,
            step.applied,
            step.skipped,
            [(evaluation.split, evaluation.loss) for evaluation in step.evaluations],
        )
        for step in steps
    ]
