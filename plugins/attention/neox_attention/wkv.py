"""The recurrence of RWKV 6, with the steps of a chunk computed at once.

Of each head, with receptance r, key k, value v, decay w and bonus u (Peng et al., "Eagle and Finch", 2024, section 4):

    output_t = r_t (S_t + diag(u) k_t^T v_t)        S_{t+1} = diag(w_t) S_t + k_t^T v_t

What a token adds to a later output is multiplied by all decays between them. In place of quotients of running products, which
overflow, spans of tokens are joined two by two: any two tokens of a chunk meet where the span of the one is joined to that of the
other, and the decays between them are those after the one in its span and those before the other in its own. Logarithms are only
ever added, none is positive, and a decay of 0 is no special case.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 32
"""Tokens computed at once, a power of two: the fastest of 16, 32 and 64 with heads of 64."""

logger = logging.getLogger("neox")


class Steps(NamedTuple):
    """What the recurrence is given for each token, each [batch, seq, heads, head_size].

    Args:
        receptance: r.
        key: k.
        value: v.
        log_decay: log(w), <= 0, in float32 or float64, which is what is computed in.
    """

    receptance: Tensor
    key: Tensor
    value: Tensor
    log_decay: Tensor


class Span(NamedTuple):
    """Spans of as many tokens each; all tensors are [batch, heads, spans, tokens of a span, head_size].

    Args:
        receptance: by token.
        key: by token.
        value: by token.
        output: by token, what earlier tokens of the same span add to it.
        before: sum of log_decay over the tokens of the span before the token.
        after: the same over those after it.
        total: the same over all of them, in one row.
    """

    receptance: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    before: Tensor
    after: Tensor
    total: Tensor


def wkv(steps: Steps, bonus: Tensor, state: Tensor, starts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run over a sequence.

    On GPUs flash-linear-attention's kernel does it where that is installed, unless documents are told apart or the sequence is
    less than a chunk.

    Args:
        steps: for each token.
        bonus: u, [heads, head_size].
        state: S before the first token, [batch, heads, head_size of keys, head_size of values].
        starts: [batch, seq], whether a token is the first of its document; None for no such token.

    Returns:
        Outputs [batch, seq, heads, head_size] and the state after the last token, both of the dtype of `log_decay`.
    """
    dtype = steps.log_decay.dtype
    for_kernel = is_on_gpu(state) and starts is None and dtype == torch.float32 and steps.key.shape[1] >= CHUNK
    kernel = find_kernel() if for_kernel else None
    if kernel is not None:
        output, state = kernel(*steps, bonus, scale=1.0, initial_state=state, output_final_state=True)
        return output.to(dtype), state
    steps = Steps(*(part.to(dtype).transpose(1, 2) for part in steps))
    own = (steps.receptance * bonus[:, None] * steps.key).sum(-1, keepdim=True) * steps.value
    if starts is not None:
        state = state.masked_fill(starts[:, 0, None, None, None], 0.0)
        steps = _forgetting(steps, functional.pad(starts[:, 1:], (0, 1)))
    earlier, state = _from_earlier(steps, state)
    return (own + earlier).transpose(1, 2), state


def _forgetting(steps: Steps, ends: Tensor) -> Steps:
    """Steps after which, where `ends` [batch, seq] says so, there is neither an earlier state nor anything of the token's own."""
    there = ends[:, None, :, None]
    return steps._replace(
        key=steps.key.masked_fill(there, 0.0), log_decay=steps.log_decay.masked_fill(there, -torch.inf)
    )


def _from_earlier(steps: Steps, state: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs without the bonus, and the state after the last token; steps are [batch, heads, seq, head_size] here."""
    seq = steps.key.shape[2]
    chunk = min(CHUNK, 1 << (seq - 1).bit_length())
    spans = _single(Steps(*(functional.pad(part, (0, 0, 0, -seq % chunk)) for part in steps)))
    for _ in range(chunk.bit_length() - 1):
        spans = _joined(spans)
    added = (spans.key * spans.after.exp()).transpose(-1, -2) @ spans.value
    kept = spans.total.exp().transpose(-1, -2)
    states = []
    for keep, add in zip(kept.unbind(2), added.unbind(2), strict=True):
        states.append(state)
        state = keep * state + add
    from_states = (spans.receptance * spans.before.exp()) @ torch.stack(states, 2)
    return (spans.output + from_states).flatten(2, 3)[:, :, :seq], state


def _single(steps: Steps) -> Span:
    """Spans of one token."""
    receptance, key, value, log_decay = (part.unsqueeze(3) for part in steps)
    nothing = torch.zeros_like(log_decay)
    return Span(receptance, key, value, nothing, nothing, nothing, log_decay)


def _joined(spans: Span) -> Span:
    """Half as many spans of twice the tokens."""
    pairs = [torch.unflatten(part, 2, (-1, 2)) for part in spans]
    left, right = (Span(*(pair.select(3, side) for pair in pairs)) for side in (0, 1))
    scores = (right.receptance * right.before.exp()) @ (left.key * left.after.exp()).transpose(-1, -2)
    return Span(
        receptance=torch.cat((left.receptance, right.receptance), 3),
        key=torch.cat((left.key, right.key), 3),
        value=torch.cat((left.value, right.value), 3),
        output=torch.cat((left.output, right.output + scores @ left.value), 3),
        before=torch.cat((left.before, right.before + left.total), 3),
        after=torch.cat((left.after + right.total, right.after), 3),
        total=left.total + right.total,
    )


def is_on_gpu(tensor: Tensor) -> bool:
    """Whether kernels for GPUs can take it."""
    return tensor.is_cuda


@cache
def find_kernel() -> Callable[..., Any] | None:
    """flash-linear-attention's `chunk_rwkv6`, where it is installed and takes the sequence before the heads; which is logged."""
    try:
        kernel = import_module("fla.ops.rwkv6").chunk_rwkv6
    except ImportError as error:
        logger.info(f"attention rwkv: torch's operations, since flash-linear-attention is not there ({error})")
        return None
    heads_first = inspect.signature(kernel).parameters.get("head_first")
    if heads_first is not None and heads_first.default:
        logger.info("attention rwkv: torch's operations, since flash-linear-attention is older than April 2025")
        return None
    logger.info(
        "attention rwkv: flash-linear-attention's kernel, and torch's operations where documents are told apart"
    )
    found: Callable[..., Any] = kernel
    return found
