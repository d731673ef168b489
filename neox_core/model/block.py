"""One layer: a sequence mixer and an MLP on the residual stream, one after the other or side by side; or a mixer that is the layer."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from neox_core.model.dropout import dropped
from neox_core.model.mixer import LayerCache, LayerContext, Mixer
from neox_core.model.mlp import MLP
from neox_core.parallel import RowLinear
from neox_core.plugins import Attention

Carry = tuple[Tensor, Tensor, Tensor | None, Tensor]
"""What goes from layer to layer: hidden [batch, seq, hidden], positions [batch or 1, seq], documents [batch, seq] or None,
and the sum of auxiliary losses so far (a float32 scalar)."""


def make_block(context: LayerContext) -> Block | WholeBlock:
    """The layer that the context's mixer asks for."""
    name = context.resolved.layers[context.layer]
    component = context.plugins.find("attention", name).component
    whole = isinstance(component, Attention) and component.replaces == "block"
    return WholeBlock(context) if whole else Block(context)


class Block(nn.Module):
    """One layer of the model.

    Sequential: x = x + mixer(norm(x)), then x = x + mlp(norm(x)).  Parallel (`gpt_j_residual`): x = x + mixer(norm(x)) +
    mlp(norm(x)), the two norms being one with `gpt_j_tied`.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model = context.model
        self.parallel = model.gpt_j_residual
        self.dropout = context.dropout
        self.attention_norm = context.norm(model.hidden_size)
        self.attention = context.plugins.make("attention", context.resolved.layers[context.layer], context)
        tied = model.gpt_j_residual and model.gpt_j_tied
        self.mlp_norm = None if tied else context.norm(model.hidden_size)
        mixture = context.resolved.mixtures[context.layer]
        self.mlp = MLP(context) if mixture is None else context.plugins.make("moe", mixture, context)
        self.is_mixture = mixture is not None
        self._set_dropout(context)
        self.tensor, self.leaves_once = context.tensor, self._leave_once()

    def _leave_once(self) -> bool:
        """Whether what attention and MLP write is added up before tensor-parallel ranks are: one collective in place of two."""
        lasts = [
            last for part in (self.attention, self.mlp) if isinstance(last := getattr(part, "last", None), RowLinear)
        ]
        dropped_apart = self.attention_dropout > 0 or self.mlp_dropout > 0 or self.drops_attention
        if not self.parallel or dropped_apart or len(lasts) < 2:
            return False
        for last in lasts:
            last.defer()
        return True

    def _set_dropout(self, context: LayerContext) -> None:
        model, reproduces = context.model, context.resolved.reproduces
        biasless_mlp = self.is_mixture or not model.use_bias_in_mlp
        biasless_attention = self.parallel and not model.use_bias_in_attn_linear
        rate, no_bias_no_dropout = model.hidden_dropout, reproduces("biasless-dropout")
        self.attention_dropout = 0.0 if no_bias_no_dropout and biasless_attention else rate
        self.mlp_dropout = 0.0 if no_bias_no_dropout and biasless_mlp else rate
        self.drops_attention = self.parallel and biasless_mlp and reproduces("attention-dropped")

    @property
    def mixer(self) -> Mixer:
        """What lets positions see earlier ones."""
        return cast("Mixer", self.attention)

    def forward(self, carry: Carry, cache: LayerCache | None = None) -> Carry:
        """One layer further."""
        x, positions, documents, aux = carry
        # Drawn before anything else, since what the mixer draws depends on how many of the heads this rank has.
        attention_factors, mlp_factors = self._draw(x)
        normed = self.attention_norm(x)
        mixed = self.mixer(normed, positions=positions, documents=documents, cache=cache)
        mixed = dropped(mixed, attention_factors)
        if not self.parallel:
            x = x + mixed
        mlp_in = normed if self.mlp_norm is None else self.mlp_norm(x)
        out = self.mlp(mlp_in)
        if self.is_mixture:
            out, layer_aux = out
            aux = aux + layer_aux.float()
        if self.leaves_once:
            return x + self.tensor.leave(mixed + out), positions, documents, aux
        x = x + dropped(out, mlp_factors)
        return (x + mixed if self.parallel and not self.drops_attention else x), positions, documents, aux

    def _draw(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if not self.training:
            return None, None
        return self.dropout.draw(x, self.attention_dropout), self.dropout.draw(x, self.mlp_dropout)


class WholeBlock(nn.Module):
    """A layer whose mixer takes the place of the whole block: it gets the residual stream and gives the next one."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        self.mixer = context.plugins.make("attention", context.resolved.layers[context.layer], context)

    def forward(self, carry: Carry, cache: LayerCache | None = None) -> Carry:
        """One layer further."""
        x, positions, documents, aux = carry
        return self.mixer(x, positions=positions, documents=documents, cache=cache), positions, documents, aux
