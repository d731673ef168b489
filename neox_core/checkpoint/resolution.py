"""What the settings of a checkpoint were resolved with, which they do not say themselves: its state has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neox_core.config import Device, NeoXArgs, Resolved, World

RANKS, VOCABULARY, ROWS = "ranks", "vocabulary", "padded_vocab_size"


def resolved_with(resolved: Resolved, ranks: int | None = None) -> dict[str, Any]:
    """What goes into the state of a checkpoint with such settings.

    Args:
        resolved: the settings.
        ranks: of how many ranks those that are saved are; by default as many as these are of.
    """
    return {
        RANKS: resolved.world.size if ranks is None else ranks,
        VOCABULARY: resolved.vocabulary,
        ROWS: resolved.padded_vocab_size,
    }


def resolve_saved(
    args: NeoXArgs, state: Mapping[str, Any], world: World | None = None, device: Device = "cpu"
) -> Resolved:
    """The settings of a checkpoint as they were resolved, with as many rows of the embedding as it has.

    Args:
        args: what its settings.yml says.
        state: its state.
        world: other ranks than those that the settings are of.
        device: what ranks run on, where the world is not given.

    Raises:
        UserError: they do not fit together, or the ranks.
    """
    resolved = args.resolve(world or World.local(state[RANKS], device), state[VOCABULARY])
    return replace(resolved, padded_vocab_size=state[ROWS])
