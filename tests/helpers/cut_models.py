"""Models whose parameters are cut over tensor-parallel ranks, beside the same model on one rank."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from training_models import SEQ_LENGTH, VOCABULARY, Bench, resolve

from neox_core.config import Topology
from neox_core.model import LanguageModel, head
from neox_core.parallel import Axis, Mesh, generator, global_shape, local_part, spec_of


@cache
def mesh_of(topology: Topology) -> Mesh:
    """Kept, since each one has process groups of its own."""
    return Mesh.of(topology)


def tensor_mesh() -> Mesh:
    """All ranks share the work on each layer."""
    return mesh_of(Topology(tensor=dist.get_world_size()))


def joined(name: str, parameter: Tensor, values: Tensor, axis: Axis) -> Tensor:
    """The global tensor, of which each rank has the part that its parameter is of."""
    spec = spec_of(name, parameter, axis)
    if axis.group is None:
        return values.detach().clone()
    parts: list[Any] = [None] * axis.size
    dist.all_gather_object(parts, (spec, values.detach().clone()), group=axis.group)
    whole = values.new_full(spec.global_shape, torch.nan)
    for part, part_values in parts:
        for block in part.blocks:
            place = tuple(slice(*run) for run in block.whole)
            found = part_values[tuple(slice(*run) for run in block.local)]
            assert block.replica == 0 or torch.equal(whole[place], found), f"replicas of {name} differ"
            whole[place] = found
    assert not whole.isnan().any()
    return whole


def batch(rows: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    return tuple(torch.randint(VOCABULARY, (rows, SEQ_LENGTH), generator=random) for _ in range(2))


def run(network: LanguageModel, train: bool, label_smoothing: float, z_loss: float) -> dict[str, Tensor]:
    """Losses of tokens, and logits, after a backward pass of their mean."""
    tokens, targets = batch()
    network.train(train)
    network.random.step, network.random.micro_batch = 2, 1
    output = network(tokens)
    losses = output.token_losses(targets, label_smoothing, z_loss, torch.float64)
    (losses.mean() + output.aux).backward()
    return {"losses": losses.detach(), "logits": output.logits().detach()}


@torch.no_grad()
def disturb(network: LanguageModel) -> LanguageModel:
    """Move all weights a little, by their names, so that none is still zero or one."""
    for name, parameter in network.named_parameters():
        noise = torch.randn(global_shape(parameter), generator=generator(7, name), dtype=parameter.dtype)
        parameter.add_(local_part(0.1 * noise, spec_of(name, parameter)))
    return network


def largest_differences(
    *,
    train: bool = False,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    rows: int | None = None,
    **changes: Any,
) -> dict[str, float]:
    """How far losses, logits and gradients of the cut model are from those of the whole one, as a share of their size; in float64.

    `rows` are those of the embedding, as a checkpoint of another number of ranks may have them.
    """
    mesh = tensor_mesh()
    resolved, plugins = resolve(mesh.topology.size, model_parallel_size=mesh.topology.size, **changes)
    resolved = replace(resolved, padded_vocab_size=rows or resolved.padded_vocab_size)
    whole, cut = (disturb(LanguageModel(resolved, plugins, place).double()) for place in (None, mesh))
    one, other = (run(network, train, label_smoothing, z_loss) for network in (whole, cut))
    own = dict(cut.named_parameters())
    for name, parameter in whole.named_parameters():
        one[f"weight {name}"], other[f"weight {name}"] = parameter.data, joined(name, own[name], own[name], mesh.tensor)
        if parameter.grad is not None:
            one[name], other[name] = parameter.grad, joined(name, own[name], own[name].grad, mesh.tensor)
    return {
        name: float((value - other[name]).abs().max() / value.abs().max().clamp(min=1e-30))
        for name, value in one.items()
    }


def largest_differences_in_pieces(chunk_bytes: int, **changes: Any) -> dict[str, float]:
    """The same where the head makes its losses in pieces, so many bytes of logits at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "CHUNK_BYTES", chunk_bytes)
        return largest_differences(**changes)


class Trained(NamedTuple):
    """Losses of steps, and the global weights after them."""

    losses: list[float]
    weights: dict[str, Tensor]


def trained(steps: int, **changes: Any) -> Trained:
    bench = Bench(**changes)
    losses = [result.loss for result in bench.train(steps)]
    axis = bench.engine.mesh.tensor
    with bench.engine._core.gathered(*bench.parameters.values()):
        weights = {name: joined(name, p, p.detach(), axis) for name, p in bench.parameters.items()}
    return Trained(losses, weights)
