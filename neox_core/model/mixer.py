"""The contract of a sequence mixer (attention and everything that takes its place), and what one is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from neox_core.config import ModelSettings, Resolved
from neox_core.model.init import Role, initialiser, linear
from neox_core.model.norms import Size
from neox_core.model.positions import Positions
from neox_core.model.tables import make
from neox_core.plugins import PluginManager

LayerCache = Any
"""What one layer remembers between calls while generating; opaque to everyone but the mixer that made it."""


@dataclass(frozen=True, slots=True)
class LayerContext:
    """What a part of a layer is made from.

    Args:
        layer: index of the block, from 0.
        resolved: the run's settings; `model` is its model group.
        positions: the model's positions, shared by all layers.
        plugins: where further parts are looked up.
    """

    layer: int
    resolved: Resolved
    positions: Positions
    plugins: PluginManager

    @property
    def model(self) -> ModelSettings:
        """The architecture."""
        return self.resolved[ModelSettings]

    def linear(self, inputs: int, outputs: int, *, bias: bool, role: Role) -> nn.Linear:
        """A linear layer, initialised as the settings say for its role."""
        return linear(inputs, outputs, bias=bias, method=initialiser(self.model, role))

    def norm(self, size: Size) -> nn.Module:
        """The normalisation that the settings name, of vectors of this size."""
        norm: nn.Module = make("norm", self.model.norm, self.plugins, size, self.model)
        return norm


class Mixer(Protocol):
    """A module that lets positions of a sequence see earlier ones. It makes its own masks; none is passed in."""

    def __call__(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: LayerCache | None) -> Tensor:
        """Mix.

        Args:
            x: [batch, seq, hidden].
            positions: [batch or 1, seq], the position of each token in its document.
            documents: [batch, seq] index of the document of each token, between which nothing is seen; None for one document.
            cache: what `new_cache` gave, updated in place; None while training.

        Returns:
            [batch, seq, hidden].
        """

    def new_cache(self, batch: int, length: int) -> LayerCache:
        """An empty cache for up to `length` tokens of `batch` sequences."""
