"""One layer: a sequence mixer and an MLP on the residual stream, one after the other or side by side."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from neox_core.model.mixer import LayerCache, LayerContext, Mixer
from neox_core.model.mlp import MLP
from neox_core.model.tables import make
from neox_core.parallel import StepRandom

Carry = tuple[Tensor, Tensor, Tensor | None, Tensor]
"""What goes from layer to layer: hidden [batch, seq, hidden], positions [batch or 1, seq], documents [batch, seq] or None,
and the sum of auxiliary losses so far (a float32 scalar)."""


class Block(nn.Module):
    """One layer of the model.

    Sequential: x = x + mixer(norm(x)), then x = x + mlp(norm(x)).  Parallel (`gpt_j_residual`): x = x + mixer(norm(x)) +
    mlp(norm(x)), the two norms being one with `gpt_j_tied`.
    """

    def __init__(self, context: LayerContext, random: StepRandom) -> None:
        super().__init__()
        model, self.layer, self.random = context.model, context.layer, random
        self.parallel = model.gpt_j_residual
        self.dropout = model.hidden_dropout
        self.drops = model.hidden_dropout > 0 or model.attention_dropout > 0
        self.attention_norm = make("norm", model.norm, context.plugins, model.hidden_size, model)
        self.attention = context.plugins.make("attention", context.resolved.layers[context.layer], context)
        tied = model.gpt_j_residual and model.gpt_j_tied
        self.mlp_norm = None if tied else make("norm", model.norm, context.plugins, model.hidden_size, model)
        mixture = context.resolved.mixtures[context.layer]
        self.mlp = MLP(context) if mixture is None else context.plugins.make("moe", mixture, context)
        self.is_mixture = mixture is not None

    def forward(self, carry: Carry, cache: LayerCache | None = None) -> Carry:
        """One layer further."""
        x, positions, documents, aux = carry
        if self.training and self.drops:
            self.random.begin_layer(self.layer)
        mixer = cast("Mixer", self.attention)
        normed = self.attention_norm(x)
        mixed = self._drop(mixer(normed, positions=positions, documents=documents, cache=cache))
        if not self.parallel:
            x = x + mixed
        mlp_in = normed if self.mlp_norm is None else self.mlp_norm(x)
        out = self.mlp(mlp_in)
        if self.is_mixture:
            out, layer_aux = out
            aux = aux + layer_aux.float()
        x = x + self._drop(out)
        return (x + mixed if self.parallel else x), positions, documents, aux

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x
