"""Rules about what ZeRO moves to disks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neox_core.config.world import World
from neox_core.errors import Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

PARTS = ("offload_optimizer", "offload_param")
"""Of ZeRO's dictionary, those that say where something is moved."""


BUFFERS = 4
"""How many buffers DeepSpeed has for the optimizer where none are asked for."""


def buffers_needed(states: int, *, pipeline_read: bool, pipeline_write: bool) -> int:
    """Buffers for weights and tensors of state of a group, and of the next and the one before where these are under way meanwhile."""
    return (1 + states) * (1 + pipeline_read + pipeline_write)


def is_on_disks(options: Any) -> bool:
    """Whether a part's options move it to disks."""
    return isinstance(options, dict) and options.get("device") == "nvme"


def disks_are_for_stage_3(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Stages 1 and 2 keep the optimizer in memory, whatever they are told; and a disk has a path."""
    zero = args.zero_optimization or {}
    for part in filter(lambda part: is_on_disks(zero.get(part)), PARTS):
        if zero.get("stage") != 3:
            message = f"device: 'nvme' is for stage 3, and stage is {zero.get('stage')}"
            yield _problem(part, message, "write stage: 3, or device: cpu")
        if not zero[part].get("nvme_path"):
            remedy = "add nvme_path, a directory of a local disk that every host has"
            yield _problem(part, "device: 'nvme' without nvme_path", remedy)


def _problem(part: str, message: str, remedy: str) -> Problem:
    return Problem(keys=("zero_optimization",), message=f"{part}.{message}", remedy=remedy, path=f"{part}.device")


DISK_RULES = (disks_are_for_stage_3,)
