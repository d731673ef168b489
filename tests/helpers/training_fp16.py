"""What ranks are asked to do by the tests of fp16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from training_models import Bench

from neox_core.checkpoint import Reader
from neox_core.errors import UserError

Hooked = Callable[[int], bool]


def train(steps: int, bad: tuple[int, ...] = (), begin: int = 0, bench: Bench | None = None, **fp16: Any) -> list[Any]:
    """The results of some steps, of which the gradients of some are not finite; the sentence that ends the run, if one does."""
    bench = bench or Bench(fp16={"enabled": True, **fp16})
    found: list[Any] = []
    for number in range(begin, begin + steps):
        spoil = bench.parameters["norm.weight"].register_hook(lambda gradient: torch.full_like(gradient, float("inf")))
        if number not in bad:
            spoil.remove()
        try:
            found.append(bench.step())
        except UserError as error:
            return [*found, str(error)]
        spoil.remove()
    return found


def gone_on(directory: Path, steps: int, rest: int, bad: tuple[int, ...], **fp16: Any) -> list[Any]:
    """The steps after a checkpoint, by an engine that is made anew and took other steps before."""
    first = Bench(fp16={"enabled": True, **fp16})
    train(steps, bad, bench=first)
    path = first.save(directory)
    second = Bench(fp16={"enabled": True, **fp16})
    train(2, (0, 1), bench=second)
    second.engine.load_fragments(Reader(path))
    second.go_to(steps)
    return train(rest, bad, begin=steps, bench=second)


def weights(steps: int, **changes: Any) -> dict[str, torch.Tensor]:
    """The weights after some steps."""
    bench = Bench(**changes)
    bench.train(steps)
    return {name: parameter.detach().float() for name, parameter in bench.parameters.items()}
