"""What ranks are asked to do by the matrix of topologies: a run of the engine, and its weights put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from parallel_cells import STEPS
from parallel_reference import Curve, batches, rate
from torch import Tensor
from training_models import resolve

from neox_core.parallel import Fragment, local_part
from neox_core.training.engine import Engine, StepResult


class Answer(NamedTuple):
    """What one rank knows of a run.

    Args:
        results: of each step.
        weights: its fragments of the weights after the last step.
        beginning: those before the first one.
        moments: those of Adam's first ones after the first step.
    """

    results: list[StepResult]
    weights: list[Fragment]
    beginning: list[Fragment]
    moments: list[Fragment]


class Run:
    """An engine on this rank, and its micro-batches."""

    def __init__(self, **changes: Any) -> None:
        self.resolved, self.plugins = resolve(dist.get_world_size(), **changes)
        self.objective = self.plugins.make("objective", self.resolved.all_values()["train_impl"], self.resolved)
        self.engine = Engine(self.resolved, self.plugins, self.objective)
        data_rank = self.resolved.topology.place(dist.get_rank()).data
        self.batches = batches(self.resolved, data_rank, self.objective.batch_fields)

    def step(self, number: int) -> StepResult:
        return self.engine.train_step(self.batches, step=number, learning_rate=rate(number))

    def kept(self, role: str = "weight") -> list[Fragment]:
        """Copies of this rank's fragments of a role."""
        return [
            Fragment(kept.spec, kept.role, kept.range, kept.tensor.float().clone())
            for kept in self.engine.fragments()
            if kept.role == role
        ]


def train(steps: int = STEPS, **changes: Any) -> Answer:
    """Some steps of a run."""
    run = Run(**changes)
    beginning = run.kept()
    first = run.step(0)
    moments = run.kept("exp_avg")
    results = [first, *(run.step(number) for number in range(1, steps))]
    return Answer(results, run.kept(), beginning, moments)


def curve(answers: Sequence[Answer]) -> Curve:
    """What all ranks together know.

    Raises:
        AssertionError: they do not say the same, or a weight is not that of exactly one rank.
    """
    results = answers[0].results
    assert all(answer.results == results for answer in answers), "ranks must report the same"
    assert all(result.applied for result in results)
    return Curve(
        [result.loss for result in results],
        [result.grad_norm for result in results],
        put_together(fragment for answer in answers for fragment in answer.weights),
        put_together(fragment for answer in answers for fragment in answer.beginning),
        put_together(fragment for answer in answers for fragment in answer.moments),
    )


def put_together(fragments: Any) -> dict[str, Tensor]:
    """Global tensors, of which each element is in one fragment."""
    found: dict[str, Tensor] = {}
    for fragment in fragments:
        shape = fragment.spec.global_shape
        whole = found.setdefault(fragment.name, torch.full(shape, torch.nan))
        places = local_part(torch.arange(whole.numel()).view(shape), fragment.spec).flatten()[slice(*fragment.range)]
        assert whole.view(-1)[places].isnan().all(), f"{fragment.name}: an element is that of several ranks"
        whole.view(-1)[places] = fragment.tensor
    for name, whole in found.items():
        assert not whole.isnan().any(), f"{name}: an element is that of no rank"
    return found


def with_an_overflow(**changes: Any) -> list[StepResult]:
    """Four steps, of which the second has a gradient that is not finite, on the last rank alone."""
    run = Run(train_batch_size=8, train_micro_batch_size_per_gpu=2, **changes)
    spoiled, found = dict(run.engine.model.named_parameters()).get("layers.1.mlp.down.weight"), []
    for number in range(4):
        bad = number == 1 and spoiled is not None and dist.get_rank() == dist.get_world_size() - 1
        hook = spoiled.register_hook(lambda gradient: gradient * float("inf")) if bad else None
        found.append(run.step(number))
        if hook is not None:
            hook.remove()
    return found
