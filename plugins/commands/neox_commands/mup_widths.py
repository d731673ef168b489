"""The same settings at other widths: heads grow in number and keep their size, everything else in proportion."""

from __future__ import annotations

from typing import Any

from neox_core.config import NeoXArgs, Resolved, World
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

PROPORTIONAL = ("num_attention_heads", "num_kv_heads", "intermediate_size", "dim_att", "ffn_dim")
"""Keys that grow with the width."""

WITHOUT = {"use_mup": False, "save_base_shapes": False, "base_shapes": None, "base_shapes_file": None}
"""What takes muP away."""


def at_width(args: NeoXArgs, width: int) -> dict[str, Any]:
    """The given keys with another `hidden_size`.

    Raises:
        UserError: something that grows with the width would not be a whole number.
    """
    hidden = args.hidden_size
    sizes = {key: args.get(key) for key in PROPORTIONAL}
    for key, size in sizes.items():
        if size is not None and size * width % hidden:
            raise UserError(
                f"{key}: is {size} at hidden_size {hidden}, and would be {size * width / hidden:.6g} at a width of {width}, which is "
                f"no whole number; choose multiples of {hidden // args.num_attention_heads}, the size of a head"
            )
    grown = {key: size * width // hidden for key, size in sizes.items() if size is not None}
    return {**args.to_dict(), **grown, "hidden_size": width}


def resolved_from(values: dict[str, Any], plugins: PluginManager, vocabulary: int | None = None) -> Resolved:
    """Settings of one process on a CPU."""
    return NeoXArgs.from_dict(values, plugins=plugins).resolve(World.local(1, "cpu"), vocabulary)
