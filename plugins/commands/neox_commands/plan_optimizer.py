"""What an optimizer remembers: asked of the optimizer itself, which steps over small parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neox_core.config import Resolved
from neox_core.plugins import PluginManager
from neox_core.training.engine import bare_optimizer

SMALL = (3, 5, 7, 11, 13)
"""Sizes of the dimensions of a small parameter, which tell them apart in the shapes of what is remembered."""


class Shaped(NamedTuple):
    """A parameter as the optimizer sees it: it may be a flat piece of several."""

    name: str
    shape: tuple[int, ...]


class Memory:
    """Bytes that the optimizer of a run remembers of a parameter.

    Args:
        resolved: the run's settings.
        plugins: where the optimizer is looked up.
    """

    def __init__(self, resolved: Resolved, plugins: PluginManager) -> None:
        self._resolved, self._plugins = resolved, plugins
        self._kinds: dict[tuple[str, int], list[tuple[int, tuple[int, ...]]]] = {}

    def of(self, parameters: Sequence[Shaped], options: dict[str, Any]) -> list[int]:
        """Of each parameter of a group.

        Args:
            parameters: of the group.
            options: the group's others, such as `weight_decay`.
        """
        kinds = {self._kind(one): one for one in parameters}
        if asked := [one for kind, one in kinds.items() if kind not in self._kinds]:
            self._ask(asked, options)
        return [self._size(one) for one in parameters]

    @staticmethod
    def _kind(one: Shaped) -> tuple[str, int]:
        """Parameters of one name in several layers are treated alike."""
        return re.sub(r"\d+", "*", one.name), len(one.shape)

    def _ask(self, parameters: Sequence[Shaped], options: dict[str, Any]) -> None:
        """Step once over small parameters, and look at the shapes of what is remembered of each."""
        small = [nn.Parameter(torch.ones(SMALL[: len(one.shape)])) for one in parameters]
        for parameter in small:
            parameter.grad = torch.full_like(parameter, 0.5)
        choice = self._resolved.optimizer
        group = {**options, "params": small, "names": [one.name for one in parameters]}
        optimizer = bare_optimizer(self._plugins, choice.name, choice.params, [group])
        optimizer.step()
        for one, parameter in zip(parameters, small, strict=True):
            state = optimizer.state.get(parameter, {})
            kept = [(value.itemsize, tuple(value.shape)) for value in state.values() if isinstance(value, Tensor)]
            self._kinds[self._kind(one)] = kept

    def _size(self, one: Shaped) -> int:
        sizes = dict(zip(SMALL, one.shape, strict=False))
        total = 0
        for width, shape in self._kinds[self._kind(one)]:
            elements = 1
            for size in shape:
                elements *= sizes.get(size, size)
            total += width * elements
        return total
