"""Mixers with random weights in float64, and what is put into them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from training_models import context, plugins


def random_mixer(name: str, layer: int = 0, **changes: object) -> nn.Module:
    """A mixer in evaluation mode, all of whose weights and biases are random."""
    torch.manual_seed(0)
    made = plugins().make("attention", name, context(layer, **changes)).double().eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0.0, 0.5)
    return made


def mix(mixer: nn.Module, x: Tensor, documents=None, cache=None, positions=None) -> Tensor:
    """What a mixer makes of [batch, seq, hidden]; positions count from 0."""
    positions = torch.arange(x.shape[1])[None] if positions is None else positions
    return mixer(x, positions=positions, documents=documents, cache=cache)


def inputs(batch: int = 1, seq: int = 6, seed: int = 3) -> Tensor:
    """[batch, seq, hidden size of the tests' settings] in float64."""
    return torch.randn(batch, seq, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
