"""The lines that say what a run is before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.config import ModelSettings
from neox_loggers.formats import amount, count
from neox_loggers.measures import peak_name

if TYPE_CHECKING:
    from neox_core.config import World
    from neox_core.training.run import Run


def opening(run: Run, peak: float) -> list[str]:
    """What trains, on what, where its files are.

    Args:
        run: the run.
        peak: FLOP/s of the whole machine.
    """
    tokens_per_step = run.resolved.batch.total * run.resolved[ModelSettings].seq_length
    rows = [
        ("model", f"{count(run.parameters)} parameters in {run.resolved.precision}"),
        ("steps", f"{run.start_iteration + 1:,} to {run.train_iters:,}, each of {tokens_per_step:,} tokens"),
        ("machine", f"{_ranks(run.resolved.world)}, {peak_name(run.resolved)} {amount(peak, 'FLOP/s')}"),
        ("files", str(run.directory)),
    ]
    if run.resumed_from is not None:
        rows.append(("resumed from", str(run.resumed_from)))
    return [run.name, *(f"  {label:<14}{text}" for label, text in rows)]


def _ranks(world: World) -> str:
    hosts = "" if len(world.hosts) == 1 else f" on {len(world.hosts)} hosts"
    return f"{world.size} {world.device} rank{'' if world.size == 1 else 's'}{hosts}"
