"""Optimizers that move other weights than are to be used, such as schedule-free ones, whose average is evaluated and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeGuard

from torch import Tensor
from torch.optim import Optimizer

from neox_core.parallel import Fragment

TRAINED = "trained"
"""Role of the weights that an optimizer moves, where it is others that are evaluated, saved and used."""


class MovesOthers(Optimizer):
    """What such an optimizer has; it need not inherit from this."""

    def weight_of_use(self, parameter: Tensor) -> Tensor:
        """The weight to be used, a new float32 tensor; that of the parameter before its first step."""
        raise NotImplementedError


def moves_others(optimizer: Optimizer) -> TypeGuard[MovesOthers]:
    """Whether the weights that an optimizer moves are not those to be used."""
    return hasattr(optimizer, "weight_of_use")


def weight_of_use(optimizer: Optimizer, weight: Tensor) -> Tensor | None:
    """The weight to be used in the place of a trained one; None where it is the same, as before the first step."""
    return optimizer.weight_of_use(weight) if moves_others(optimizer) and weight in optimizer.state else None


def saved(weight: Fragment, of_use: Tensor | None) -> Iterator[Fragment]:
    """What a checkpoint has of a weight: what is to be used, and, where that is another one, what is trained."""
    if of_use is None:
        yield weight
    else:
        yield replace(weight, tensor=of_use.view(-1))
        yield replace(weight, role=TRAINED)


def loaded(weight: Fragment, optimizer: Optimizer) -> Iterator[Fragment]:
    """What resuming reads into a weight: the last of it is what was trained."""
    yield weight
    if moves_others(optimizer):
        yield replace(weight, role=TRAINED)


@contextmanager
def weights_of_use(optimizer: Optimizer, trained: Iterable[Tensor], refresh: Callable[[], None]) -> Iterator[None]:
    """Let a model compute with the weights to be used; the trained ones come back as they were.

    Args:
        optimizer: what moves them.
        trained: the parameters, or what stands for them.
        refresh: is called after each exchange; makes the weights that compute, where they are others.
    """
    if not moves_others(optimizer):
        yield
        return
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        for weight in trained:
            of_use = weight_of_use(optimizer, weight)
            if of_use is not None:
                kept.append((weight, weight.detach().clone()))
                weight.data.copy_(of_use)
        refresh()
        yield
    finally:
        for weight, before in kept:
            weight.data.copy_(before)
    refresh()  # not after an error: ranks do it together, and one that has failed would wait for the others
