"""`neox convert --verify`: whether the result computes what the source does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neox_commands.convert_source import NEOX, Source
from neox_commands.convert_target import Target
from neox_core.checkpoint import Family, LazyTensors, Typed, WholeTensors
from neox_core.config import ModelSettings
from neox_core.errors import UserError
from neox_core.training import filled_model

BOUND = 1e-4
"""Of the difference of two logits, as a share of the largest one where that is more than 1. Programs add up in another order."""

SAMPLES, MOST_TOKENS, SEED = 2, 128, 1234


def verify(source: Source, target: Target, path: Path) -> dict[str, Any]:
    """Compare logits of random tokens.

    Where the weights are rounded, the result is held against the source with weights that are rounded alike, so that what differs is
    not the rounding; and how far that moves the logits of the source is told beside it.

    Args:
        source: what was converted.
        target: how.
        path: the result.

    Returns:
        The largest difference and logit, and what computed each side; where weights are rounded, `rounded` is to which types, and
        `rounding` the largest difference that it makes.

    Raises:
        UserError: they differ.
    """
    tokens = random_tokens(source)
    written = target.written_weights(source, path)
    weights, types = source.exported.weights, {name: written.meta(name).dtype for name in written}
    lossy = sorted(
        {str(types[name]).removeprefix("torch.") for name in types if _is_rounded(weights, name, types[name])}
    )
    before = None if lossy else _by_reference(source.reads, source.exported.path, tokens)
    name, expected = before or (_read_by_neox(source.family), by_neox(source, Typed(weights, types), tokens))
    after = _by_reference(target.writes, path, tokens)
    result, found = after or (_read_by_neox(target.family), by_neox(source, written, tokens))
    if found.shape != expected.shape:
        raise UserError(f"{path}: logits are {list(found.shape)} by {result} and {list(expected.shape)} by {name}")
    difference, largest = float((found - expected).abs().max()), float(expected.abs().max())
    # A NaN is not less than anything.
    if not difference <= BOUND * max(1.0, largest):
        raise UserError(
            f"{path}: logits of {result} differ from those of {name} by {difference:.3g} at most, the largest being {largest:.3g}; "
            "the result is not what was converted. It is left there to be looked at"
        )
    said = {"difference": difference, "largest": largest, "tokens": tokens.numel(), "source": name, "result": result}
    if not lossy:
        return said
    moved = float((by_neox(source, weights, tokens) - expected).abs().max())
    return {**said, "rounded": " and ".join(lossy), "rounding": moved}


def _is_rounded(weights: LazyTensors, name: str, dtype: torch.dtype) -> bool:
    """Whether a type cannot hold all values of the one that a weight has."""
    return torch.promote_types(weights.meta(name).dtype, dtype) != dtype


def random_tokens(source: Source) -> Tensor:
    """[SAMPLES, tokens] that any model can read."""
    resolved = source.exported.resolved
    length = min(MOST_TOKENS, resolved[ModelSettings].max_position_embeddings)
    vocabulary = resolved.vocabulary or resolved.padded_vocab_size or 1
    return torch.randint(vocabulary, (SAMPLES, length), generator=torch.Generator().manual_seed(SEED))


def _by_reference(family: Family | None, path: Path, tokens: Tensor) -> tuple[str, Tensor] | None:
    """What the program computes that a family's checkpoints are made for; None where there is none here."""
    compute = getattr(family, "reference", None)  # see neox_core.checkpoint.Reference
    found: tuple[str, Tensor] | None = None if compute is None else compute(path, tokens)
    return found


def _read_by_neox(family: str) -> str:
    """How a side is called that our model computes."""
    return NEOX if family == NEOX else f"{NEOX} with the weights of {family}"


@torch.inference_mode()
def by_neox(source: Source, weights: LazyTensors, tokens: Tensor) -> Tensor:
    """What our model computes with weights."""
    exported = source.exported
    model = filled_model(exported.resolved, exported.plugins, WholeTensors(exported.path, {"weight": weights}))
    logits: Tensor = model(tokens).logits()
    return logits.float()
