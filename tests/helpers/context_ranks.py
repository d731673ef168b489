"""Mixers whose samples are cut over context-parallel ranks, beside `global` with the whole samples."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from cut_models import mesh_of
from neox_attention import ring_blocks
from random_mixers import mix
from torch import Tensor, nn
from training_models import context, plugins

from neox_core.config import Topology
from neox_core.parallel import Mesh, SequenceLayout, generator

Found = dict[str, Tensor]
"""By name: what a mixer gives, and gradients."""


def context_mesh() -> Mesh:
    """All ranks share the tokens of each sample."""
    return mesh_of(Topology(context=dist.get_world_size()))


@contextmanager
def tiles_of(tokens: int):
    """Have scores computed in tiles of so many tokens."""
    before, ring_blocks.TILE = ring_blocks.TILE, tokens
    try:
        yield
    finally:
        ring_blocks.TILE = before


@cache
def random(*parts: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    """A tensor of the shape that the last part is, the same on all ranks."""
    return torch.randn(parts[-1], dtype=torch.float64, generator=generator(*map(str, parts[:-1]))).to(dtype)


def mixer_and_positions(name: str, mesh: Mesh, dtype: torch.dtype, **changes: Any) -> nn.ModuleDict:
    """With random weights that depend on their names alone."""
    settings = replace(context(1, attention_config=[[[name], "all"]], **changes), mesh=mesh)
    made = nn.ModuleDict({"mixer": plugins().make("attention", name, settings), "positions": settings.positions})
    for parameter_name, parameter in made.named_parameters():
        parameter.data = 0.4 * random(parameter_name, tuple(parameter.shape))
    return made.to(dtype)


def results(made: nn.ModuleDict, x: Tensor, gradient: Tensor, positions: Tensor, documents: Tensor | None) -> Found:
    """What is mixed, and the gradients of inputs and weights."""
    x = x.clone().requires_grad_()
    mixed = mix(made["mixer"], x, documents, positions=positions)
    mixed.backward(gradient)
    assert x.grad is not None
    weights = {name: parameter.grad for name, parameter in made.named_parameters() if parameter.grad is not None}
    return {"mixed": mixed.detach(), "x": x.grad, **weights}


def largest_differences(
    name: str,
    length: int,
    documents: Tensor | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    wide: bool = False,
    tile: int = 512,
    **changes: Any,
) -> dict[str, float]:
    """How far what a mixer gives, and gradients, are from those of `global` on one rank, as a share of their size.

    Args:
        name: of the mixer.
        length: tokens of a sample.
        documents: of the tokens, [batch, length], where there are several.
        dtype: of weights and inputs.
        wide: whether `global` computes with the same numbers in float32.
        tile: tokens of a tile.
        changes: settings.
    """
    mesh = context_mesh()
    batch = 2 if documents is None else len(documents)
    given = (random(what, (batch, length, 16), dtype=dtype) for what in ("x", "gradient"))
    expected, found = _both(name, mesh, tuple(given), documents, dtype=dtype, wide=wide, tile=tile, **changes)
    assert expected.keys() == found.keys()
    return {
        what: float((found[what] - value).abs().max() / value.abs().max().clamp(min=1e-30))
        for what, value in expected.items()
    }


def _both(
    name: str, mesh: Mesh, given: tuple[Tensor, ...], documents: Tensor | None, *, dtype, wide, tile, **changes: Any
) -> tuple[Found, Found]:
    layout, positions = SequenceLayout(mesh.context, given[0].shape[1]), places(given[0], documents)
    whole = mixer_and_positions("global", Mesh.solo(), dtype, **changes)
    other = (whole.float(), [part.float() for part in given]) if wide else (whole, given)
    expected = results(other[0], *other[1], positions, documents)
    own = [layout.part(part) for part in (*given, positions)]
    with tiles_of(tile):
        cut = mixer_and_positions(name, mesh, dtype, **changes)
        found = results(cut, *own, None if documents is None else layout.part(documents))
    return expected, {what: _of_all(what, value, layout) for what, value in found.items()}


def places(x: Tensor, documents: Tensor | None) -> Tensor:
    """Positions, which begin anew with each document."""
    if documents is None:
        return torch.arange(x.shape[1])[None]
    counts = torch.arange(x.shape[1]).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return counts - torch.where(begins, counts, 0).cummax(1).values


def _of_all(what: str, value: Tensor, layout: SequenceLayout) -> Tensor:
    """Of tokens those of all ranks; of weights the sum of the gradients."""
    if what in ("mixed", "x"):
        return layout.join(value)
    return layout.axis.sum(value.clone())
