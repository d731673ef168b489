"""The two recurrences of Mamba in plain torch: a short causal convolution, and the selective scan, both within documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 64
"""Tokens whose states are in memory at a time; those of a chunk are computed again in the backward pass."""


def causal_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, documents: Tensor | None) -> Tensor:
    """Each channel on its own: out[t] = bias + sum over k of weight[k] * x[t + k], so that `taps - 1` tokens come before the first.

    Args:
        x: [batch, taps - 1 + seq, channels].
        weight: [channels, taps], the last one for the token itself.
        bias: [channels].
        documents: [batch, taps - 1 + seq]; a token takes nothing from another document. None for one document.

    Returns:
        [batch, seq, channels].
    """
    taps = weight.shape[1]
    seq = x.shape[1] - taps + 1
    out = x[:, taps - 1 :] * weight[:, -1]
    for tap in range(taps - 1):
        earlier = x[:, tap : tap + seq]
        if documents is not None:
            other = documents[:, tap : tap + seq] != documents[:, taps - 1 :]
            earlier = earlier.masked_fill(other[..., None], 0)
        out = torch.addcmul(out, earlier, weight[:, tap])
    return out if bias is None else out + bias


class Tokens(NamedTuple):
    """What the scan takes of each token.

    Args:
        values: [batch, seq, channels], the input.
        steps: likewise, the widths of the time steps, > 0.
        into: [batch, seq, states], from the input to the states.
        out: likewise, from the states to the output.
        first: [batch, seq] bool, tokens that forget all before them, as the first ones of documents do; None: no token does.
    """

    values: Tensor
    steps: Tensor
    into: Tensor
    out: Tensor
    first: Tensor | None

    def chunks(self) -> Iterator[Tokens]:
        """`CHUNK` tokens at a time."""
        for start in range(0, self.values.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            yield Tokens(*(None if field is None else field[:, part] for field in self))  # type: ignore[arg-type]


def selective_scan(tokens: Tokens, rates: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """state[t] = exp(steps[t] rates) state[t-1] + steps[t] into[t] values[t]; the output is out[t] . state[t].

    This is the S6 of Gu and Dao, "Mamba", 2023, section 3.

    Args:
        tokens: the sequences.
        rates: [channels, states], < 0, by which states decay.
        state: [batch, channels, states], before the first token.

    Returns:
        The output, [batch, seq, channels], and the last state.
    """
    outs = []
    for chunk in tokens.chunks():
        if torch.is_grad_enabled():
            out, state = checkpoint(_scan_chunk, chunk, rates, state, use_reentrant=False, preserve_rng_state=False)
        else:
            out, state = _scan_chunk(chunk, rates, state)
        outs.append(out)
    return torch.cat(outs, 1), state


def _scan_chunk(tokens: Tokens, rates: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    decay = torch.exp(tokens.steps[..., None] * rates)  # [batch, seq, channels, states]
    if tokens.first is not None:
        decay = decay.masked_fill(tokens.first[..., None, None], 0)
    inputs = (tokens.steps * tokens.values)[..., None] * tokens.into[:, :, None]
    inputs = torch.cat((torch.addcmul(inputs[:, :1], decay[:, :1], state[:, None]), inputs[:, 1:]), 1)
    states = linear_recurrence(decay, inputs)
    return (states @ tokens.out[..., None]).squeeze(-1), states[:, -1]


def linear_recurrence(decay: Tensor, inputs: Tensor) -> Tensor:
    """h[t] = decay[t] h[t-1] + inputs[t] along dimension 1, h[0] being inputs[0]; decay[0] does nothing."""
    states: Tensor = _LinearRecurrence.apply(decay, inputs)  # type: ignore[no-untyped-call]
    return states


class _LinearRecurrence(torch.autograd.Function):
    """Its gradient is the same recurrence, backwards: g[t] = decay[t+1] g[t+1] + the gradient of h[t]."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor) -> Tensor:
        states = _states(decay, inputs)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        of_inputs = _states(decay.roll(-1, 1).flip(1), gradients[0].flip(1)).flip(1)
        of_decay = of_inputs * states.roll(1, 1)
        of_decay[:, 0] = 0
        return of_decay, of_inputs


def _states(decay: Tensor, inputs: Tensor) -> Tensor:
    """In about 2 log2(seq) parallel steps, with a number of multiplications that grows as seq does.

    Pairs of neighbours are one token of a sequence half as long, which gives the odd states; each even one follows from the one
    before it (Blelloch, "Prefix Sums and Their Applications", 1990). Decays are only ever multiplied, never divided by, so that
    those from 0 to 1 are safe.
    """
    length = inputs.shape[1]
    if length == 1:
        return inputs
    even, odd = slice(0, length // 2 * 2, 2), slice(1, None, 2)
    odd_states = _states(decay[:, odd] * decay[:, even], torch.addcmul(inputs[:, odd], decay[:, odd], inputs[:, even]))
    states = torch.empty_like(inputs)
    states[:, 0], states[:, odd] = inputs[:, 0], odd_states
    states[:, 2::2] = torch.addcmul(inputs[:, 2::2], decay[:, 2::2], odd_states[:, : (length - 1) // 2])
    return states
