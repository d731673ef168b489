"""A checkpoint of another family as one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neox_core.checkpoint.family import ForeignCheckpoint
from neox_core.checkpoint.lazy import LazyTensors, Overlaid
from neox_core.checkpoint.offline import write_checkpoint
from neox_core.checkpoint.resolution import resolved_with
from neox_core.checkpoint.source import WholeTensors
from neox_core.config import Resolved

MASTER = "master"
"""The role of weights in float32 in checkpoints of other families; in ours they are the weights."""


def tensors_of(foreign: ForeignCheckpoint, resolved: Resolved) -> WholeTensors:
    """Weights and optimizer state by role, as a checkpoint of ours has them: weights in float32 where there are such, which those
    that were not trained need not have.

    Raises:
        UserError: a weight is missing, left over or of another shape.
    """
    weights, states = with_masters(foreign.weights(resolved), foreign.states(resolved))
    return WholeTensors(foreign.path, {"weight": weights, **states})


def with_masters(weights: LazyTensors, states: Mapping[str, LazyTensors]) -> tuple[LazyTensors, dict[str, LazyTensors]]:
    """Weights in the exact form that an optimizer steps, where there is one, which frozen ones lack; and the other states."""
    others = {role: tensors for role, tensors in states.items() if role != MASTER}
    return (Overlaid(weights, states[MASTER]) if MASTER in states else weights), others


def write_converted(
    foreign: ForeignCheckpoint, resolved: Resolved, directory: Path, files: Mapping[str, str | bytes]
) -> Path:
    """Write it into `directory`/global_step{N}; of weights alone, N is 0.

    Args:
        foreign: what is converted.
        resolved: its settings, with the vocabulary.
        directory: for checkpoints.
        files: as `write_checkpoint` takes them.

    Raises:
        UserError: it does not fit the settings, is damaged, or the file system refuses; nothing is there then.
    """
    counts = ("iteration", "applied", "consumed_samples", "skipped_in_a_row", "scheduled")
    progress = foreign.progress or dict.fromkeys(counts, 0)
    return write_checkpoint(
        directory,
        tensors_of(foreign, resolved),
        iteration=progress["iteration"],
        state={**progress, **resolved_with(resolved)},
        files=files,
    )
