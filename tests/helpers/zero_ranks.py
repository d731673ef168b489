"""What ranks are asked to do by the tests of ZeRO's stages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from counted_bytes import reachable, size_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_models import Bench

from neox_core.checkpoint import Reader
from neox_core.model import Batch


class GoneOn(NamedTuple):
    """Losses and gradient norms of some steps, and the losses after a checkpoint by another engine that goes on from it."""

    curve: list[tuple[float, float]]
    again: list[float]


def gone_on(directory: Path, **changes: Any) -> GoneOn:
    """Two steps, a checkpoint, two more steps; the latter again by an engine that had taken another step before."""
    bench, other = Bench(**changes), Bench(**changes)
    results = bench.train(2)
    path = bench.save(directory)
    results += bench.train(2)
    other.go_to(7)
    other.train(1)
    other.engine.load_fragments(Reader(path))
    other.go_to(2)
    return GoneOn([(result.loss, result.grad_norm) for result in results], [step.loss for step in other.train(2)])


def beginning(**changes: Any) -> dict[str, bytes]:
    """The weights that compute before the first step, each as this rank has it when it is whole, bit by bit."""
    bench = Bench(**changes)
    with bench.engine._core.gathered(*bench.parameters.values()):
        values = {name: p.detach().contiguous().view(torch.uint8) for name, p in bench.parameters.items()}
        return {name: value.numpy().tobytes() for name, value in values.items()}


def prompted(**changes: Any) -> torch.Tensor:
    """Of a soft prompt that begins with tokens 5 and 9, this rank's part of the weights that compute, and of what is saved."""
    bench = Bench(soft_prompt_tuning={"enabled": True, "num_tokens": 2}, **changes)
    bench.engine.begin_prompt([5, 9])
    (saved,) = (f for f in bench.engine.fragments() if "soft_prompt" in f.name)
    return saved.tensor.clone()


def partly_used(**changes: Any) -> list[tuple[float, float]]:
    """Loss and gradient norm of three steps, of which the second does without a layer."""
    bench = Bench(num_layers=3, **changes)
    layer, results = bench.engine.model.layers[1], []
    forward = layer.forward
    for used in (True, False, True):
        layer.forward = forward if used else lambda carry: carry
        results.append(bench.step())
    return [(result.loss, result.grad_norm) for result in results]


class Wire(TorchDispatchMode):
    """Counts the elements that collectives are given, by number format."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            for leaf in tree_leaves(args):
                if isinstance(leaf, torch.Tensor):
                    self.elements[leaf.dtype] += leaf.numel()
        return func(*args, **(kwargs or {}))


def sent(**changes: Any) -> Counter[torch.dtype]:
    """The elements that are communicated in a step, by number format."""
    bench = Bench(**changes)
    bench.step()
    with Wire() as wire:
        bench.step()
    return wire.elements


class Bytes(NamedTuple):
    """What a rank holds for each parameter of the model.

    Args:
        weights: that compute.
        others: between steps, of the optimizer above all.
        gradients: between micro-batches more than those.
        largest: what a gradient of the largest matrix would be.
    """

    weights: float
    others: float
    gradients: float
    largest: float


def held(**changes: Any) -> Bytes:
    """After a step, and in the midst of the next one."""
    bench = Bench(**changes)
    sizes = [math.prod(shape) for shape in bench.shapes().values()]
    bench.step()
    parameters = [*bench.parameters.values()]
    weights = [*parameters, *(p.ds_tensor for p in parameters if hasattr(p, "ds_tensor"))]
    computing, others = size_of(weights), size_of(reachable(bench.engine), weights)
    between: list[int] = []

    def watched() -> Iterator[Batch]:
        for place, batch in enumerate(bench.batches):
            if place == 1:
                between.append(size_of(reachable(bench.engine)))
            yield batch

    bench.engine.train_step(watched(), step=1, learning_rate=0.01)
    found = computing, others, between[0] - computing - others, 4 * max(sizes)
    return Bytes(*(count / sum(sizes) for count in found))
