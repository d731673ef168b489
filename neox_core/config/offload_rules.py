"""Rules about what ZeRO moves to the host's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neox_core.config.precision import precisions_asked_for
from neox_core.config.world import World
from neox_core.errors import Notice, Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

OLDER_NAMES = {"cpu_offload": "offload_optimizer", "cpu_offload_param": "offload_param"}
"""Options of ZeRO that are switches of older versions, and the dictionaries that took their place; DeepSpeed refuses both at once."""


def offloading_is_asked_for_once(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What is moved is said by an older name or by its own. An older one that is off says nothing, see `deepspeed_json`."""
    zero = args.zero_optimization or {}
    for older, part in OLDER_NAMES.items():
        if zero.get(older) and zero.get(part) is not None:
            message = f"{older} is the older name of {part}, and both are given"
            yield Problem(keys=("zero_optimization",), message=message, remedy=f"leave {older} out", path=older)


def offloading_has_its_stage(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """DeepSpeed reads an option of another stage and does nothing with it."""
    zero = args.zero_optimization or {}
    stage = zero.get("stage")
    if stage == 0 and precisions_asked_for(args) - {"fp32"}:
        stage = 1
    for older, part in OLDER_NAMES.items():
        least = 3 if part == "offload_param" else 1
        for name in (older, part):
            if zero.get(name) and isinstance(stage, int) and stage < least:
                stages = "is for stage 3" if least == 3 else "is for stages 1 to 3"
                message = f"{name}: no effect: it {stages}, and stage is {zero.get('stage')}"
                yield Notice(keys=("zero_optimization",), message=message)


OFFLOAD_RULES = (offloading_is_asked_for_once,)
OFFLOAD_NOTICES = (offloading_has_its_stage,)
