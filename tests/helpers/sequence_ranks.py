"""What the ranks of `Workers` are asked to do with the tokens of samples that are cut over them."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.config.topology import Topology
from neox_core.parallel import Axis, Mesh, SequenceLayout


def context_axis() -> Axis:
    """All ranks, along the context axis."""
    return _mesh().context


_meshes: list[Mesh] = []


def _mesh() -> Mesh:
    """Made once in a process: groups are never given back."""
    if not _meshes:
        _meshes.append(Mesh.of(Topology(context=dist.get_world_size())))
    return _meshes[0]


def sample(length: int) -> Tensor:
    """[batch, seq, 3] float64, the same on all ranks."""
    return torch.randn(2, length, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def cut_and_joined(length: int, dim: int) -> bool:
    layout, whole = SequenceLayout(context_axis(), length), sample(length).movedim(1, dim)
    return torch.equal(layout.join(layout.part(whole, dim), dim), whole)


def gradient_of_a_part(length: int, how: str) -> tuple[Tensor, Tensor]:
    """This rank's places, and the gradient of its tokens where each rank weighs all of them by its number + 1."""
    layout = SequenceLayout(context_axis(), length)
    part = layout.part(sample(length)).requires_grad_()
    whole = getattr(layout, how)(part)
    (whole * whole * (layout.axis.rank + 1)).sum().backward()
    assert part.grad is not None
    return layout.places(), part.grad


def passed_on() -> tuple[float, float]:
    """What comes in, of two tensors that travel at once."""
    axis = context_axis()
    first, second = (axis.start_shift(torch.full((5,), axis.rank + offset)) for offset in (0.0, 0.5))
    return float(second.wait()[0]), float(first.wait()[0])


def exchanged() -> tuple[Tensor, Tensor]:
    """A tensor [2, 2 n, 3], and what came of it with pieces of dimension 1 joined along dimension 2."""
    axis = context_axis()
    own = axis.rank * 100 + torch.arange(12 * axis.size).view(2, 2 * axis.size, 3)
    return own, axis.all_to_all(own, 1, 2)
