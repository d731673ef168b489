"""From the last hidden states to logits and losses, or to the scores of a reward model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from neox_core.config import ModelSettings
from neox_core.model.cross_entropy import Vocabulary, cross_entropy
from neox_core.model.embedding import scaled, vocabulary_rows
from neox_core.parallel import TensorParallel
from neox_core.plugins import HeadKind

CHUNK_BYTES = 256 * 2**20
"""Logits beyond this size are made in pieces, and made again in the backward pass instead of being kept."""


@dataclass(frozen=True)  # without slots: ZeRO 3 looks for parameters in the `vars` of what modules give
class HeadOutput:
    """The model's output, of which only what is asked for is computed.

    Args:
        hidden: last hidden states, normed, times the head's factor, [batch, seq, hidden]; this rank's tokens where they are cut.
        weight: the head's weight, [this rank's part of the padded vocabulary, hidden]; of a reward model [1, hidden].
        aux: sum of the auxiliary losses of all layers, a scalar.
        training: whether the model is trained, rather than evaluated: what only regularises is left out of losses otherwise.
        tensor: the ranks over which the vocabulary is cut.
        vocabulary: which logits this rank computes; None for all.
    """

    hidden: Tensor
    weight: Tensor
    aux: Tensor
    training: bool = False
    tensor: TensorParallel = field(default_factory=TensorParallel)
    vocabulary: Vocabulary | None = None

    def logits(self) -> Tensor:
        """[batch, seq, padded vocabulary], on every rank."""
        own = functional.linear(self.tensor.enter(self.hidden), self.weight)
        return own if self.vocabulary is None else self.tensor.join(own, -1, self.vocabulary.sizes())

    def scores(self) -> Tensor:
        """Of a reward model, in float32: how good each sequence is up to each token, [batch, seq]."""
        return functional.linear(self.tensor.all_tokens(self.hidden), self.weight).squeeze(-1).float()

    def token_losses(
        self,
        targets: Tensor,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Cross entropy of each token: targets [batch, seq] -> [batch, seq] in float32.

        Args:
            targets: token ids.
            label_smoothing: probability that is spread over all rows of the weight, as in `torch.nn.CrossEntropyLoss`.
            z_loss: weight of log(sum(exp(logits)))^2, which is added (Chowdhery et al., "PaLM", 2022).
            dtype: number format in which the cross entropy is computed.
        """
        rows, wanted = self.tensor.enter(self.hidden).flatten(0, 1), targets.flatten()
        # As many rows on every rank, whatever its share of the vocabulary: ranks communicate about each piece.
        widest = self.weight.shape[0] if self.vocabulary is None else max(self.vocabulary.sizes())
        chunk = max(1, CHUNK_BYTES // (4 * widest))
        options = (label_smoothing, z_loss, dtype, self.vocabulary)
        compute = partial(_losses, options=options)
        if len(rows) <= chunk:
            return compute(rows, self.weight, wanted).view_as(targets)
        losses = [
            checkpoint(compute, part, self.weight, target, use_reentrant=False, preserve_rng_state=False)
            for part, target in zip(torch.split(rows, chunk), torch.split(wanted, chunk), strict=True)
        ]
        return torch.cat(losses).view_as(targets)


def _losses(
    rows: Tensor, weight: Tensor, targets: Tensor, options: tuple[float, float, torch.dtype, Vocabulary | None]
) -> Tensor:
    """Those of hidden states [tokens, hidden]: [tokens]."""
    smoothing, z_loss, dtype, vocabulary = options
    return cross_entropy(functional.linear(rows, weight), targets, smoothing, z_loss, dtype, vocabulary=vocabulary)


class Head(nn.Module):
    """The last layer: the unembedding, or the single row of a reward model.

    An unembedding with tied weights has none of its own and is called with the embedding's. What it gives is multiplied by `factor`.
    """

    def __init__(
        self,
        model: ModelSettings,
        vocabulary: int,
        kind: HeadKind = "logits",
        *,
        factor: float = 1.0,
        tensor: TensorParallel | None = None,
    ) -> None:
        super().__init__()
        self.factor, self.tensor = factor, tensor or TensorParallel()
        self.weight: nn.Parameter | None = None
        self.vocabulary = Vocabulary.over(self.tensor.axis, vocabulary) if kind == "logits" else None
        self.is_tied = kind != "reward" and not model.no_weight_tying
        if kind == "reward":
            self.weight = vocabulary_rows(model, 1, TensorParallel())
        elif not self.is_tied:
            self.weight = vocabulary_rows(model, vocabulary, self.tensor)

    def forward(self, hidden: Tensor, tied_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[batch, seq, hidden] -> the same times the factor, and the weight: what a `HeadOutput` computes with.

        ZeRO 3 has a module's weights in memory while the module computes: a view of the weight keeps them there, and as one of the
        tensors that this module gives it has them gathered again for the backward pass.
        """
        weight = self.weight if self.weight is not None else tied_weight
        if weight is None:
            raise ValueError("a head with tied weights must be called with the embedding's")
        return scaled(hidden, self.factor), weight.view_as(weight)
