"""Steps over samples of which unequally many tokens count, cut into micro-batches in any way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from training_models import SEQ_LENGTH, VOCABULARY, Bench

from neox_core.model import Batch
from neox_core.training.engine import StepResult

SAMPLES = 8


def masked(bench: Bench, step: int = 0) -> Iterator[Batch]:
    """This rank's micro-batches of steps of 8 samples, in which from none to all of the tokens count."""
    micro, ranks, rank = bench.resolved.batch.micro, dist.get_world_size(), dist.get_rank()
    while True:
        random = torch.Generator().manual_seed(step)
        ids = torch.randint(VOCABULARY, (SAMPLES, SEQ_LENGTH + 1), generator=random)
        counted = torch.randint(SEQ_LENGTH + 1, (SAMPLES, 1), generator=random)
        counted[0] = 0
        mask = (torch.arange(SEQ_LENGTH) < counted).float()
        for start in range(0, SAMPLES, micro * ranks):
            part = slice(start + rank * micro, start + (rank + 1) * micro)
            yield {"tokens": ids[part, :-1], "labels": ids[part, 1:], "loss_mask": mask[part]}
        step += 1


def trained(micro: int, **changes: Any) -> dict[str, Any]:
    """Three steps and an evaluation: losses, gradient norms, the weights at the end, the loss that was evaluated."""
    # Adam divides by the gradient's size, which is rounding where that is 0; with a large eps it does not.
    optimizer = {"type": "adamw", "params": {"lr": 0.01, "eps": 0.1}}
    sizes = {"train_batch_size": SAMPLES, "train_micro_batch_size_per_gpu": micro}
    bench = Bench(**sizes, optimizer=optimizer, weight_decay=0.0, **changes)
    batches = masked(bench)
    results: list[StepResult] = []
    for step in range(3):
        results.append(bench.engine.train_step(batches, step=step, learning_rate=0.05))
    evaluated = bench.engine.evaluate(masked(bench, 9), bench.resolved.batch.accumulation)["loss"]
    return {
        "losses": [result.loss for result in results],
        "norms": [result.grad_norm for result in results],
        "weights": torch.cat([parameter.detach().flatten() for parameter in bench.parameters.values()]),
        "evaluated": evaluated,
    }


def first_loss_by_hand(**changes: Any) -> float:
    """The mean over all tokens that count in the first step, in one pass."""
    bench = Bench(train_batch_size=SAMPLES * dist.get_world_size(), train_micro_batch_size_per_gpu=SAMPLES, **changes)
    batch = next(masked(bench))
    with torch.no_grad():
        losses = bench.engine.model(batch["tokens"]).token_losses(batch["labels"])
    return float((losses * batch["loss_mask"]).sum() / batch["loss_mask"].sum())


def nothing_counts() -> list[StepResult]:
    """Two steps of which no token counts."""
    bench = Bench(loss_normalisation="global_tokens", train_micro_batch_size_per_gpu=1)

    def batches() -> Iterator[Batch]:
        for batch in masked(bench):
            yield {**batch, "loss_mask": torch.zeros_like(batch["loss_mask"])}

    return [bench.engine.train_step(batches(), step=step, learning_rate=0.05) for step in range(2)]


def unweighed() -> str:
    """What is said of an objective that cannot tell weights."""
    try:
        Bench(train_impl="rewarding", loss_normalisation="global_tokens")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
