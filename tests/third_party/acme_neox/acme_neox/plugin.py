"""What this distribution offers: one component of each kind, settings, a verb, what files may name, a rule and lifecycle hooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from neox_core.plugins import (
    Activation,
    Attention,
    Commands,
    Companion,
    Component,
    Converter,
    Feature,
    Launcher,
    Logger,
    MoE,
    Norm,
    Objective,
    Optimizer,
    Position,
    Recipe,
    Schedule,
    Store,
)

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs, World
    from neox_core.errors import Problem
    from neox_core.launch import Job, LaunchPlan
    from neox_core.training import Checkpoint, Run, Step


def neox_components() -> Iterable[Component]:
    """The components, one of each kind."""
    return [
        Attention(
            name="ema",
            summary="exponential moving average of the values, one decay a head",
            factory="acme_neox.mixer:MovingAverage",
            settings=("acme_neox.settings:MixerSettings",),
            supports=frozenset({Feature.KV_CACHE, Feature.VARLEN, Feature.DETERMINISTIC}),
            probe="acme_neox.mixer:cannot_run",
        ),
        Optimizer(
            name="signum",
            summary="the sign of the gradient's running mean",
            factory="acme_neox.optimizer:build",
            params="acme_neox.optimizer_params:SignumParams",
        ),
        Objective(
            name="z_loss",
            summary="next-token cross entropy with a penalty on the size of the logits",
            factory="acme_neox.objective:NextTokenWithZLoss",
            settings=("acme_neox.settings:ObjectiveSettings",),
        ),
        Launcher(
            name="subprocess",
            summary="ranks on this machine, started and awaited by subprocess alone",
            factory="acme_neox.launcher:build",
            settings=("acme_neox.settings:LauncherSettings",),
        ),
        Logger(
            name="csv",
            summary="every step as a line of a CSV file",
            factory="acme_neox.csv_logger:build",
            settings=("acme_neox.settings:CSVSettings",),
            extra="csv",
            enabled_by="acme_csv",
        ),
        MoE(name="soft", summary="all experts, weighted", factory="acme_neox.mixture:SoftMixture", status="beta"),
        Converter(name="acme", summary="our names behind a prefix", factory="acme_neox.converter:PrefixConverter"),
        Norm(
            name="lengthnorm",
            summary="the length that a vector of ones has, times a learned scale",
            factory="acme_neox.parts:LengthNorm",
        ),
        Position(name="wavelengths", summary="sines and cosines in turn", factory="acme_neox.parts:Wavelengths"),
        Activation(name="squared_relu", summary="relu, squared", factory="acme_neox.parts:squared_relu"),
        Schedule(name="inverse_sqrt", summary="peak / sqrt(steps)", factory="acme_neox.parts:inverse_sqrt"),
        Store(name="acme", summary="a directory", factory="acme_neox.store:DirectoryStore", schemes=("acme",)),
        Companion(
            name="tally",
            summary="counts checkpoints",
            factory="acme_neox.store:tally",
            settings=("acme_neox.settings:TraceSettings",),
            enabled_by="acme_tally",
        ),
        Recipe(name="acme_tiny", summary="two layers on computed samples", factory="acme_neox.recipes:tiny"),
    ]


def neox_targets() -> Iterable[str]:
    """What files may name."""
    return ["acme_neox.recipes.pretrain"]


def neox_settings() -> Iterable[str]:
    """A group that belongs to no component."""
    return ["acme_neox.settings:TraceSettings"]


def neox_commands(commands: Commands) -> None:
    """Add a verb."""
    commands.add("acme", "acme_neox.command:main", help="count the components of each kind")


def neox_check(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The heads of the moving average share the width evenly."""
    from acme_neox.rules import problems

    yield from problems(args)


def neox_before_launch(job: Job, plan: LaunchPlan) -> None:
    """Nothing to prepare."""


def neox_train_start(run: Run) -> None:
    """Begin the trace."""
    _trace(run, "start", run.start_iteration)


def neox_step_end(run: Run, step: Step) -> None:
    """Trace a step."""
    _trace(run, "step", step.iteration)


def neox_checkpoint_saved(run: Run, checkpoint: Checkpoint) -> None:
    """Trace a checkpoint."""
    _trace(run, "checkpoint", checkpoint.iteration)


def neox_train_end(run: Run, error: BaseException | None) -> None:
    """End the trace."""
    _trace(run, "end", None if error is None else type(error).__name__)


def _trace(run: Run, event: str, detail: object) -> None:
    from acme_neox.settings import TraceSettings

    file = run.resolved[TraceSettings].acme_trace
    if run.is_main and file is not None:
        with (run.directory / file).open("a", encoding="utf-8") as stream:
            stream.write(f"{event} {detail}\n")
