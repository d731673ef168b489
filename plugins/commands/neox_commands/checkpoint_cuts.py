"""What each rank of a topology would save of a model, without a rank of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from neox_core.checkpoint.pieces import Piece
from neox_core.model import LanguageModel
from neox_core.model.stages import planned_stages
from neox_core.parallel import Mesh, Range, ShardSpec, Stage, is_copy, of_rank, spec_of

if TYPE_CHECKING:
    from neox_core.checkpoint import TensorSource
    from neox_core.config import Resolved
    from neox_core.plugins import PluginManager


@dataclass(frozen=True, slots=True)
class Held:
    """What a rank answers for of a parameter.

    Args:
        spec: its part of it.
        owned: runs of elements of that part.
    """

    spec: ShardSpec
    owned: tuple[Range, ...]


def pieces_of_ranks(resolved: Resolved, plugins: PluginManager, source: TensorSource) -> Iterator[list[Piece]]:
    """The pieces of each rank of the topology that the settings describe, rank by rank.

    Ranks with the same weights take the parameters in turn.
    """
    dealt = planned_stages(resolved, plugins)
    topology = resolved.topology
    held: dict[tuple[int, int], list[Held]] = {}
    for rank in range(topology.size):
        mesh = Mesh.without_groups(topology, rank)
        place = (mesh.pipe.rank, mesh.tensor.rank)
        if place not in held:
            held[place] = _held(resolved, plugins, mesh, Stage(dealt[mesh.pipe.rank], mesh.pipe.rank, len(dealt)))
        replicas = mesh.replicas
        yield [piece for one in held[place][replicas.rank :: replicas.size] for piece in _pieces(one, source)]


def _held(resolved: Resolved, plugins: PluginManager, mesh: Mesh, stage: Stage) -> list[Held]:
    with torch.device("meta"):
        model = LanguageModel(resolved, plugins, mesh, stage)
    specs = ((spec_of(name, p, mesh.tensor), p) for name, p in model.named_parameters())
    return [Held(spec, () if is_copy(parameter) else tuple(spec.owned())) for spec, parameter in specs]


def _pieces(held: Held, source: TensorSource) -> Iterator[Piece]:
    """Those of a parameter, in all roles; what is not of each element goes to whoever answers for the first."""
    name, first = held.spec.name, bool(held.owned) and _has_beginning(held)
    for role in source.roles(name):
        dtype = source.dtype(name, role)
        if of_rank(role):
            continue
        if source.is_scalar(name, role):
            if first:
                yield Piece(held.spec, role, (0, 1), True, dtype)
        elif source.shape(name, role) != held.spec.global_shape:
            if first:
                spec = ShardSpec.complete(name, source.shape(name, role))
                yield Piece(spec, role, (0, spec.local_size), False, dtype)
        else:
            yield from (Piece(held.spec, role, run, False, dtype) for run in held.owned)


def _has_beginning(held: Held) -> bool:
    return any(all(start == 0 for start, _ in block.whole) for block in held.spec.blocks if block.replica == 0)
