"""A sequence mixer on its own, for checks of what it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.config import NeoXArgs, World
from neox_core.model import LayerCache, LayerContext, Positions, initialise, make
from neox_core.parallel import Mesh, generator, global_shape, local_part, spec_of
from neox_core.plugins import Feature, PluginManager
from neox_core.testing.distributed import Workers

HIDDEN, HEADS, LENGTH = 16, 4, 64
TOLERANCE = 1e-5
"""Between two ways to compute the same in float32."""

SETTINGS: dict[str, Any] = {
    "num_layers": 1,
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "seq_length": LENGTH,
    "max_position_embeddings": LENGTH,
    "pos_emb": "none",
    "vocab_size": 8,
    "train_iters": 1,
    "train_batch_size": 1,
}


Bias = Callable[[Tensor, Tensor], Tensor]
"""(heads, distances) -> what is added to scores, as `Positions.bias`."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A mixer on its own, with random weights.

    Args:
        plugins: where it is looked up.
        name: of the attention component.
        settings: keys that all checks are run with, beside the small model's.
        workers: gives a number of live ranks, for checks that need several; None: they are started, and kept for further checks.
    """

    plugins: PluginManager
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    workers: Callable[[int], Workers] | None = None

    @property
    def keeps_documents(self) -> bool:
        """Whether the descriptor says that documents of a row are told apart."""
        return Feature.VARLEN in self.plugins.find("attention", self.name).component.supports

    def mixer(
        self,
        dtype: torch.dtype = torch.float32,
        bias: Bias | None = None,
        mesh: Mesh | None = None,
        **changes: Any,
    ) -> Any:
        """The mixer in evaluation mode, its weights a function of their names.

        Args:
            dtype: of its weights.
            bias: takes the place of the positions' own.
            mesh: this rank's place; None: one rank has all of the mixer.
            changes: further settings.
        """
        values = {**SETTINGS, "attention_config": [self.name], **self.settings, **changes}
        ranks = values.get("model_parallel_size", 1)
        resolved = NeoXArgs.from_dict(values, plugins=self.plugins).resolve(World.local(ranks))
        place = mesh or Mesh.solo()
        bare = LayerContext(0, resolved, Positions(None), self.plugins)  # type: ignore[arg-type]
        positions = make("position", bare.model.pos_emb, self.plugins, bare.model)
        if bias is not None:
            positions.bias = bias
        with torch.random.fork_rng():
            torch.manual_seed(0)
            mixer = self.plugins.make("attention", self.name, LayerContext(0, resolved, positions, self.plugins, place))
        _randomise(mixer)
        _randomise(positions)
        return mixer.to(dtype).eval()

    def inputs(self, batch: int, length: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[batch, length, hidden], random."""
        return torch.randn(batch, length, HIDDEN, generator=generator(0, "inputs"), dtype=torch.float64).to(dtype)


@torch.no_grad()
def _randomise(module: nn.Module) -> None:
    initialise(module.named_parameters(), 0)
    for name, parameter in module.named_parameters():
        noise = 0.4 * torch.randn(global_shape(parameter), generator=generator(0, name))
        parameter.copy_(parameter + local_part(noise, spec_of(name, parameter)))


def mix(
    mixer: Any,
    x: Tensor,
    positions: Tensor | None = None,
    documents: Tensor | None = None,
    cache: LayerCache | None = None,
) -> Tensor:
    """Call a mixer; positions count from 0 unless they are given."""
    if positions is None:
        positions = torch.arange(x.shape[1])[None]
    mixed: Tensor = mixer(x, positions=positions, documents=documents, cache=cache)
    return mixed


def in_pieces(
    mixer: Any, x: Tensor, sizes: Sequence[int], positions: Tensor | None = None, documents: Tensor | None = None
) -> Tensor:
    """The same, with a cache, some tokens at a time."""
    positions = torch.arange(x.shape[1])[None] if positions is None else positions
    cache, mixed, start = mixer.new_cache(*x.shape[:2]), [], 0
    for size in sizes:
        part = slice(start, start + size)
        there = None if documents is None else documents[:, part]
        mixed.append(mix(mixer, x[:, part], positions[:, part], there, cache))
        start += size
    return torch.cat(mixed, 1)


def close(found: Tensor, wanted: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    """Within tolerance of each other, relative to the largest number where that is beyond 1."""
    error = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1))
    assert error <= tolerance, f"{what}: differs by {error:.3g}, allowed {tolerance:.3g}"


def differs(found: Tensor, other: Tensor, what: str) -> None:
    """By more than rounding."""
    assert found.shape != other.shape or float((found - other).abs().max()) > 1e-3, f"{what} makes no difference"
