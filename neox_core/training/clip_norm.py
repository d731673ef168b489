"""Which parameters count in the norm by which gradients are clipped, in runs that began as pipelines of GPT-NeoX without ZeRO.

DeepSpeed's engine sums there over the ranks of all stages, and takes what tensor parallelism does not cut from the first of them
alone: norms, and biases that are added to sums, count on the first stage only, and tied weights on the first and on the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.config import ModelSettings, Resolved
from neox_core.config.groups.compatibility import CompatibilitySettings
from neox_core.config.plain import shown
from neox_core.training.load_choice import Tell

if TYPE_CHECKING:
    from torch import nn

KEY = "clip_norm_blocks"

_CUT = re.compile(
    r"(?:embedding|head)\.weight|layers\.\d+\.(?:attention\.query_key_value\.\w+|attention\.output\.weight|mlp\.(?:up|gate)\.\w+|"
    r"mlp\.down\.weight)"
)
"""What GPT-NeoX marks as cut by tensor parallelism, whatever the number of its ranks."""

_BLOCK = re.compile(r"layers\.(\d+)\.")

_TIMES = "_neox_times_in_norm"


def times_counted(names: Iterable[str], resolved: Resolved) -> dict[str, int]:
    """How often parameters count, by canonical name, where it is not once."""
    blocks = resolved[CompatibilitySettings].clip_norm_blocks
    if blocks is None:
        return {}
    tied = not resolved[ModelSettings].no_weight_tying
    times = {name: _times(name, blocks, tied=tied) for name in names}
    return {name: count for name, count in times.items() if count != 1}


def _times(name: str, blocks: int, *, tied: bool) -> int:
    if _CUT.fullmatch(name):
        return 2 if tied and name == "embedding.weight" else 1
    block = _BLOCK.match(name)
    on_first = int(block[1]) < blocks if block else name.startswith("embedding.")
    return int(on_first)


def tell_other_norm(path: Path, saved: Mapping[str, Any], resolved: Resolved, notice: Tell) -> None:
    """Say that a run clips otherwise than it did until a checkpoint.

    Args:
        path: the checkpoint.
        saved: the keys that were given when it was saved.
        resolved: the run that goes on from it.
        notice: is told.
    """
    before, now = saved.get(KEY), resolved[CompatibilitySettings].clip_norm_blocks
    if before != now:
        notice(f"{KEY}: {shown(now)} from here on; {path} was saved with {shown(before)}, which clips by another norm")


def mark(parameters: Mapping[str, nn.Parameter], resolved: Resolved) -> bool:
    """Say of parameters how often they count; whether that is not once for all, which is the same on all ranks."""
    for name, times in times_counted(parameters, resolved).items():
        setattr(parameters[name], _TIMES, times)
    return resolved[CompatibilitySettings].clip_norm_blocks is not None


def times_of(parameter: nn.Parameter) -> int:
    """How often a parameter counts."""
    times: int = getattr(parameter, _TIMES, 1)
    return times
