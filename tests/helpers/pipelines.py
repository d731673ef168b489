"""What ranks are asked to do by the tests of pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from cut_models import joined
from torch import Tensor
from training_models import Bench, Samples

from neox_core.training.batches import Batches

LAYERS = {"num_layers": 3, "train_micro_batch_size_per_gpu": 1}


def whole_weights(bench: Bench) -> dict[str, Tensor]:
    """Those of all stages by name, on rank 0; whoever holds the same must hold equal values."""
    tensor = bench.engine.mesh.tensor
    own = {
        name: joined(name, p, p, tensor) if tensor.size > 1 else p.detach().clone()
        for name, p in bench.parameters.items()
    }
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, own)
    found: dict[str, Tensor] = {}
    for weights in everyone:
        for name, value in weights.items():
            assert torch.equal(found.setdefault(name, value), value), f"ranks have other values of {name}"
    return found


def with_more(batches: Iterable[Any]) -> Iterator[Any]:
    """Batches with a number for each sample, and two documents in each."""
    for batch in batches:
        first = (batch["tokens"][:, :1] % 8).clamp(min=1)
        place = torch.arange(batch["tokens"].shape[1])[None]
        documents = (place >= first).long()
        marks = batch["tokens"].float().mean(1) / 30
        yield {**batch, "marks": marks, "documents": documents, "positions": place - first * documents}


def trained(steps: int = 4, *, more: bool = False, **changes: Any) -> dict[str, Any]:
    """Losses, norms and metrics of steps, an evaluation, logits, and the weights in the end."""
    bench = Bench(**LAYERS | changes, **({"train_impl": "marked"} if more else {}))
    read = with_more if more else iter
    bench.batches = read(bench.batches)
    results = bench.train(steps)
    assert all(result.applied for result in results)
    data = bench.engine.mesh.data
    held_out = Batches(Samples(64), bench.resolved, data.rank, ("labels", "loss_mask"), None)
    evaluation = bench.engine.evaluate(read(held_out.seek(0)), 4 // data.size)
    logits = bench.engine.logits(next(read(held_out.seek(0))))
    return {
        "loss": torch.tensor([result.loss for result in results]),
        "norm": torch.tensor([result.grad_norm for result in results]),
        "metrics": [result.metrics for result in results],
        "evaluation": evaluation,
        "logits": logits,
        "weights": whole_weights(bench),
    }
