"""The weights of a run of any topology, put together from what its ranks keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.parallel import Fragment, local_part
from neox_core.training.engine import Engine


def own_weights(engine: Engine) -> list[Fragment]:
    """Copies of the fragments of the weights that this rank answers for."""
    return [replace(kept, tensor=kept.tensor.clone()) for kept in engine.fragments() if kept.role == "weight"]


def global_weights(engine: Engine) -> dict[str, Tensor]:
    """All weights, on every rank; every rank has to call it."""
    ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, own_weights(engine))
    return put_together(fragment for rank in ranks for fragment in rank)


def put_together(fragments: Iterable[Fragment]) -> dict[str, Tensor]:
    """Global tensors in float32, by canonical name, from the fragments of all ranks.

    Raises:
        AssertionError: an element is in none of the fragments, or in several.
    """
    found: dict[str, Tensor] = {}
    for fragment in fragments:
        shape = fragment.spec.global_shape
        whole = found.setdefault(fragment.name, torch.full(shape, torch.nan)).view(-1)
        places = local_part(torch.arange(whole.numel()).view(shape), fragment.spec).flatten()[slice(*fragment.range)]
        if not whole[places].isnan().all():
            raise AssertionError(f"{fragment.name}: an element is that of several ranks")
        whole[places] = fragment.tensor.float()
    for name, whole in found.items():
        if whole.isnan().any():
            raise AssertionError(f"{name}: an element is that of no rank, or not a number")
    return found
