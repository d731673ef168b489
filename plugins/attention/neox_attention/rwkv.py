"""RWKV 6 (Peng et al., "Eagle and Finch", 2024): time mixing, a recurrence, and channel mixing, an MLP, are the whole block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neox_attention.rwkv_channel_mix import ChannelMix
from neox_attention.rwkv_time_mix import TimeMix
from neox_core.errors import UserError
from neox_core.model import LayerContext, dropped


@dataclass(slots=True)
class RWKVState:
    """What an RWKV block remembers, of constant size.

    Args:
        time: the last token as time mixing saw it, [batch, hidden].
        channel: the same of channel mixing.
        wkv: state of the recurrence, [batch, heads, head_size, head_size].
        document: of the last token, [batch]; None where no token came with one.
    """

    time: Tensor
    channel: Tensor
    wkv: Tensor
    document: Tensor | None = None


class RWKV(nn.Module):
    """x = x + time_mix(norm(x)), then x = x + channel_mix(norm(x)).

    In the first layer x is normed before all this, by the norm of time mixing. Norms are layer norms, whatever `norm` says, as
    in GPT-NeoX. Dropout of time mixing is `attention_dropout`, of channel mixing `hidden_dropout`.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model = context.model
        self.is_first = context.layer == 0
        self.mixes_samples = context.resolved.reproduces("rwkv-axis")
        self.time_norm = context.norm(model.hidden_size, "layernorm")
        self.time_mix = TimeMix(context)
        self.channel_norm = context.norm(model.hidden_size, "layernorm")
        self.channel_mix = ChannelMix(context)
        self.rates = (model.attention_dropout, model.hidden_dropout)
        self.tensor, self.dropout = context.tensor, context.dropout

    def forward(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: RWKVState | None) -> Tensor:
        """[batch, this rank's or all tokens, hidden] -> the same shape."""
        if self.mixes_samples:
            return self._mix(x, None, self._empty_state(positions.shape[1]))
        state = self._empty_state(len(x)) if cache is None else cache
        return self._mix(x, _starts(documents, state, x), state)

    def _mix(self, x: Tensor, starts: Tensor | None, state: RWKVState) -> Tensor:
        time, channel = (self.dropout.draw(x, rate if self.training else 0.0) for rate in self.rates)
        if self.is_first:
            x = self.time_norm(x)
        tokens = self._turned(self.tensor.enter(self.time_norm(x)))
        mixed, state.wkv = self.time_mix(tokens, shifted(tokens, state.time, starts), state.wkv, starts)
        state.time = tokens[:, -1]
        x = x + dropped(self.time_mix.output(self._turned(mixed)), time)
        tokens = self._turned(self.tensor.enter(self.channel_norm(x)))
        mixed = self.channel_mix(self._turned(tokens), self._turned(shifted(tokens, state.channel, starts)))
        state.channel = tokens[:, -1]
        return x + dropped(mixed, channel)

    def _turned(self, x: Tensor) -> Tensor:
        """Samples in the place of tokens, or tokens back in theirs, where samples are what is mixed over."""
        return x.transpose(0, 1) if self.mixes_samples else x

    def new_cache(self, batch: int, length: int) -> RWKVState:
        """An empty state for `batch` sequences, of whatever length.

        Raises:
            UserError: `compat` asks for GPT-NeoX's mixing over samples, which no cache can follow.
        """
        if self.mixes_samples:
            raise UserError(
                "compat: gpt-neox lets rwkv mix over the samples of a batch, which cannot generate; leave it out"
            )
        return self._empty_state(batch)

    def _empty_state(self, batch: int) -> RWKVState:
        like, heads, size = self.channel_mix.value.weight, *self.time_mix.bonus.shape
        last = like.new_zeros(batch, len(like))
        wkv = like.new_zeros(batch, heads, size, size, dtype=torch.promote_types(like.dtype, torch.float32))
        return RWKVState(last, last, wkv)


def shifted(x: Tensor, last: Tensor, starts: Tensor | None) -> Tensor:
    """The token before each token, [batch, seq, hidden]: `last` before the first one, zeros where a document starts."""
    previous = torch.cat((last[:, None], x[:, :-1]), 1)
    return previous if starts is None else previous.masked_fill(starts[..., None], 0.0)


def _starts(documents: Tensor | None, state: RWKVState, x: Tensor) -> Tensor | None:
    """Which tokens are of another document than the one before them, [batch, seq]; those that came without are of document 0."""
    if documents is None and state.document is None:
        return None
    new = torch.zeros(x.shape[:2], dtype=torch.int64, device=x.device) if documents is None else documents
    last = torch.zeros_like(new[:, 0]) if state.document is None else state.document
    state.document = new[:, -1]
    return new != torch.cat((last[:, None], new[:, :-1]), 1)
