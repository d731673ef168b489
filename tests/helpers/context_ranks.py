"""Mixers whose samples are cut over context-parallel ranks, beside `global` with the whole samples."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from cut_models import joined, mesh_of
from neox_attention import ring_blocks
from random_mixers import mix
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from training_models import SETTINGS, resolve

from neox_core.config import ModelSettings, Topology
from neox_core.model import LayerContext, make
from neox_core.parallel import (
    Mesh,
    SequenceLayout,
    TensorParallel,
    generator,
    local_part,
    spec_of,
    sum_partial_gradients,
)

Found = dict[str, Tensor]
"""By name: what a mixer gives, and gradients."""


def context_mesh(tensor: int = 1) -> Mesh:
    """Of all ranks, `tensor` share the work on each layer, and the others the tokens of each sample."""
    return mesh_of(Topology(context=dist.get_world_size() // tensor, tensor=tensor))


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
    """Those of the third layer, with random weights that depend on their names alone."""
    resolved, manager = resolve(mesh.topology.tensor, attention_config=[[[name], "all"]], **changes)
    positions = make("position", resolved[ModelSettings].pos_emb, manager, resolved[ModelSettings])
    mixer = manager.make("attention", name, LayerContext(2, resolved, positions, manager, mesh))
    made = nn.ModuleDict({"mixer": mixer, "positions": positions})
    for full_name, parameter in made.named_parameters():
        spec = spec_of(full_name, parameter, mesh.tensor)
        parameter.data = 0.4 * local_part(random(full_name, spec.global_shape), spec)
    sum_partial_gradients(made, mesh.tensor)
    return made.to(dtype)


def results(made: nn.ModuleDict, x: Tensor, gradient: Tensor, positions: Tensor, documents: Tensor | None) -> Found:
    """What is mixed, and the gradients of inputs and weights."""
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    mixed = mix(made["mixer"], x, documents, positions=positions)
    mixed.backward(gradient)
    assert x.grad is not None
    weights = {name: parameter.grad for name, parameter in made.named_parameters() if parameter.grad is not None}
    return {"mixed": mixed.detach(), "x": x.grad, **weights}


@dataclass(frozen=True)
class Case:
    """What is compared.

    Args:
        name: of the mixer.
        length: tokens of a sample.
        documents: of the tokens, [batch, length], where there are several.
        dtype: of weights and inputs.
        tile: tokens of a tile.
        tensor: ranks that share the work on a layer.
        compiled: whether the cut mixer is.
    """

    name: str
    length: int = 24
    documents: Tensor | None = None
    dtype: torch.dtype = torch.float64
    tile: int = 3
    tensor: int = 1
    compiled: bool = False


def largest_differences(case: Case, **changes: Any) -> dict[str, float]:
    """How far what a mixer gives, and gradients, are from those of `global` on one rank, as a share of their size.

    `global` computes with the same numbers in float64.
    """
    batch = 2 if case.documents is None else len(case.documents)
    hidden = changes.get("hidden_size", SETTINGS["hidden_size"])
    given = [random(what, (batch, case.length, hidden), dtype=case.dtype) for what in ("x", "gradient")]
    expected, found = whole_row(case, given, **changes), cut_row(case, given, **changes)
    assert expected.keys() == found.keys()
    return {
        what: float((found[what] - value).abs().max() / value.abs().max().clamp(min=1e-30))
        for what, value in expected.items()
    }


def whole_row(case: Case, given: list[Tensor], **changes: Any) -> Found:
    """On one rank."""
    made = mixer_and_positions("global", Mesh.solo(), case.dtype, **changes).double()
    return results(made, *(part.double() for part in given), places(given[0], case.documents), case.documents)


def cut_row(case: Case, given: list[Tensor], **changes: Any) -> Found:
    """On all ranks."""
    mesh = context_mesh(case.tensor)
    layout, settings = SequenceLayout(mesh.context, case.length), {**changes, "model_parallel_size": case.tensor}
    parallel = TensorParallel(mesh.tensor, bool(changes.get("sequence_parallel")))
    made = mixer_and_positions(case.name, mesh, case.dtype, **settings)
    if case.compiled:
        made["mixer"].compile(backend="aot_eager")
    rows = [parallel.own_tokens(layout.part(part)) for part in given]
    documents = None if case.documents is None else layout.part(case.documents)
    with tiles_of(case.tile):
        found = results(made, *rows, layout.part(places(given[0], case.documents)), documents)
    own = dict(made.named_parameters())
    for what, value in found.items():
        if what in own:
            summed = mesh.context.sum(value.clone())
            found[what] = joined(what, own[what], summed, mesh.tensor) if case.tensor > 1 else summed
        else:
            found[what] = layout.join(parallel.all_tokens(value))
    return found


def places(x: Tensor, documents: Tensor | None) -> Tensor:
    """Positions, which begin anew with each document."""
    if documents is None:
        return torch.arange(x.shape[1])[None]
    counts = torch.arange(x.shape[1]).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return counts - torch.where(begins, counts, 0).cummax(1).values


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


def largest_tensor(case: Case, **changes: Any) -> int:
    """Elements of the largest tensor that is made for a cut row, forwards and backwards."""
    given = [random(what, (1, case.length, 16)) for what in ("x", "gradient")]
    with Largest() as largest:
        cut_row(case, given, **changes)
    return largest.elements


def bytes_sent(case: Case, **changes: Any) -> list[int]:
    """By this rank for a cut row: forwards, and backwards."""
    mesh, sent = context_mesh(), [0]
    shift, exchange = dist.batch_isend_irecv, dist.all_to_all_single

    def counted_shift(operations):
        sent[-1] += sum(each.tensor.nbytes for each in operations if each.op is dist.isend)
        return shift(operations)

    def counted_exchange(received, given, group):
        sent[-1] += given.nbytes * (mesh.context.size - 1) // mesh.context.size
        return exchange(received, given, group=group)

    made = mixer_and_positions(case.name, mesh, case.dtype, **changes)
    x = random("x", (2, case.length // mesh.context.size, 16), dtype=case.dtype).requires_grad_()
    with patch.multiple(dist, batch_isend_irecv=counted_shift, all_to_all_single=counted_exchange):
        mixed = mix(made["mixer"], x)
        sent.append(0)
        mixed.sum().backward()
    return sent
