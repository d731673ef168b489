"""From the last hidden states to logits and losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from neox_core.config import ModelSettings
from neox_core.model.init import initialiser, tag

CHUNK_BYTES = 256 * 2**20
"""Logits beyond this size are made in pieces, and made again in the backward pass instead of being kept."""


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """The model's output, of which only what is asked for is computed.

    Args:
        hidden: last hidden states, normed, [batch, seq, hidden].
        weight: the head's weight, [padded vocabulary, hidden].
        aux: sum of the auxiliary losses of all layers, a scalar.
    """

    hidden: Tensor
    weight: Tensor
    aux: Tensor

    def logits(self) -> Tensor:
        """[batch, seq, padded vocabulary]."""
        return functional.linear(self.hidden, self.weight)

    def token_losses(self, targets: Tensor) -> Tensor:
        """Cross entropy of each token in float32: targets [batch, seq] -> [batch, seq]."""
        rows = self.hidden.flatten(0, 1)
        chunk = max(1, CHUNK_BYTES // (4 * self.weight.shape[0]))
        if len(rows) <= chunk:
            return _cross_entropy(rows, self.weight, targets.flatten()).view_as(targets)
        pieces = zip(torch.split(rows, chunk), torch.split(targets.flatten(), chunk), strict=True)
        losses = [checkpoint(_cross_entropy, part, self.weight, target, use_reentrant=False) for part, target in pieces]
        return torch.cat(losses).view_as(targets)


def _cross_entropy(rows: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(functional.linear(rows, weight).float(), targets, reduction="none")


class Head(nn.Module):
    """The unembedding. With tied weights it has none of its own and is called with the embedding's."""

    def __init__(self, model: ModelSettings, vocabulary: int) -> None:
        super().__init__()
        self.weight: nn.Parameter | None = None
        if model.no_weight_tying:
            self.weight = tag(nn.Parameter(torch.empty(vocabulary, model.hidden_size)), initialiser(model, "input"))

    def forward(self, hidden: Tensor, aux: Tensor, tied_weight: Tensor | None = None) -> HeadOutput:
        """[batch, seq, hidden] -> the output."""
        weight = self.weight if self.weight is not None else tied_weight
        if weight is None:
            raise ValueError("a head with tied weights must be called with the embedding's")
        return HeadOutput(hidden, weight, aux)
