"""Steps in which one rank meets a number that is not finite."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from training_models import Bench

BATCH = {"train_batch_size": 4, "train_micro_batch_size_per_gpu": 1}


def step_with(spoilt: str, place: str, rank: int, **changes: Any) -> tuple[bool, str | None, bool, bool]:
    """Whether a step is applied in which `rank` spoils a place, why not, whether nothing changed, and if the next is applied.

    Args:
        spoilt: "gradient" of a parameter, "output" of a module, or "weight".
        place: its name.
        rank: which spoils it, if it is there.
        changes: settings.
    """
    bench = Bench(**BATCH, **changes)
    bench.train(1)
    spoil = _spoiler(bench, spoilt, place) if dist.get_rank() == rank else None
    before = weights(bench)
    result = bench.step()
    unchanged = all(torch.equal(before[key], value) for key, value in weights(bench).items())
    if spoil is not None:
        spoil.remove()
    return result.applied, result.skip_reason, unchanged, bench.step().applied


def _spoiler(bench: Bench, spoilt: str, place: str) -> Any:
    if spoilt == "gradient":
        return bench.parameters[place].register_hook(lambda gradient: gradient * torch.nan)
    module = bench.engine.model.get_submodule(place)
    return module.register_forward_hook(lambda module, given, made: made * torch.inf)


def weights(bench: Bench) -> dict[str, torch.Tensor]:
    """A copy of what a checkpoint keeps of this rank."""
    return {f"{f.name} {f.role} {f.range}": f.tensor.clone() for f in bench.engine.fragments()}


def step_with_once(rank: int) -> str | None:
    """The reason why a step is not applied in which a rank spoils a gradient the first time that it is computed."""
    bench = Bench(**BATCH)
    left = [torch.nan]
    if dist.get_rank() == rank:
        bench.parameters["layers.0.mlp.up.weight"].register_hook(
            lambda gradient: gradient * (left.pop() if left else 1.0)
        )
    return bench.step().skip_reason
