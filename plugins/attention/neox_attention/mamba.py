"""Mamba: a selective state space in place of attention and MLP."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_attention.mamba_cache import MambaCache
from neox_attention.mamba_kernels import NO_KERNELS, Kernel, MambaKernels
from neox_attention.mamba_rules import EXPANSION
from neox_attention.mamba_scan import Tokens, causal_convolution, selective_scan
from neox_attention.settings.mamba import MambaSettings
from neox_core.model import LayerContext, of_weights, tag, uniform, without_decay
from neox_core.parallel import columns, cut, evenly

STATES, TAPS = 16, 4
"""States of each channel, and tokens that the convolution sees."""

LEAST_STEP, MOST_STEP = 1e-3, 1e-1
"""Widths of the time steps before training, of which the logarithms are uniform."""


class MambaBlock(nn.Module):
    """x + out(scan(silu(convolution(in(norm(x))))) * silu(gate(norm(x)))), the first block of Gu and Dao, "Mamba", 2023.

    Sizes and names are those of the paper's code; `in_proj`, which is one weight there, is kept apart as `in_proj` and `gate_proj`.
    Each tensor-parallel rank has some of the channels; what `x_proj` makes of all of them is summed.

    The scan is computed in float32 at least. There is no dropout, as in GPT-NeoX, and `positions` are not asked for.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model, settings = context.model, context.resolved[MambaSettings]
        hidden, bias = model.hidden_size, settings.mamba_use_bias_in_linears
        self.width = model.intermediate_size or int((model.expansion_factor or EXPANSION) * hidden)
        self.rank = math.ceil(hidden / 16)
        pieces = evenly(self.width, context.tensor.axis)
        self.channels = pieces[0].size
        self.norm = context.norm(hidden)
        self.in_proj, self.gate_proj = (
            context.linear(hidden, self.width, bias=bias, role="input", parts=2, cut="columns") for _ in range(2)
        )
        own = self.channels
        self.conv1d = nn.Conv1d(own, own, TAPS, groups=own, bias=settings.mamba_use_bias_in_conv)
        for parameter in self.conv1d.parameters():
            tag(parameter, uniform(TAPS**-0.5))
        self.x_proj = context.linear(
            self.width, self.rank + 2 * STATES, bias=bias, role="input", cut="rows", inside=True
        )
        self.dt_proj = nn.Linear(self.rank, own)
        tag(cast("nn.Parameter", self.dt_proj.weight), uniform(self.rank**-0.5), scaled=True)
        tag(self.dt_proj.bias, steps)
        # States begin to decay at the rates 1, 2, ... (S4D-Real of Gu et al., 2022).
        self.A_log = nn.Parameter(torch.arange(1.0, STATES + 1).log().repeat(own, 1))
        self.D = nn.Parameter(torch.ones(own))
        for parameter in (self.A_log, self.D):
            without_decay(parameter).keeps_float32 = settings.mamba_selective_fp32_params  # type: ignore[attr-defined]
        if context.tensor.is_on:
            for parameter in (*self.conv1d.parameters(), *self.dt_proj.parameters(), self.A_log, self.D):
                cut(parameter, 0, self.width, pieces)
        self.out_proj = context.linear(self.width, hidden, bias=bias, role="output", cut="rows")
        self.kernels = MambaKernels.chosen(settings, context.resolved.world.device)

    def forward(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: MambaCache | None) -> Tensor:
        """The residual stream, [batch, this rank's or all tokens, hidden] -> the next one."""
        inner, gate = columns(self.norm(x), self.in_proj, self.gate_proj)
        kernels = self.kernels if documents is None and cache is None else NO_KERNELS
        if kernels.inner is not None:
            return x + self._at_once(inner, gate, kernels.inner)
        past = self.new_cache(*inner.shape[:2]) if cache is None else cache
        inner, numbers = past.extend(inner, documents)
        first = None if numbers is None else numbers[:, TAPS - 1 :] != numbers[:, TAPS - 2 : -1]
        inner = self._convolve(inner, numbers, kernels.convolution)
        scanned, past.state = self._scan(inner, gate, past.state, first, kernels.scan)
        out: Tensor = self.out_proj(scanned)
        return x + out

    def _convolve(self, inner: Tensor, documents: Tensor | None, kernel: Kernel | None) -> Tensor:
        """[batch, TAPS - 1 + seq, width] -> [batch, seq, width]."""
        weight, bias = self.conv1d.weight.squeeze(1), self.conv1d.bias
        if kernel is not None:
            whole = inner[:, TAPS - 1 :].transpose(1, 2)
            return cast("Tensor", kernel(whole, weight, bias, activation="silu")).transpose(1, 2)
        mixed = causal_convolution(wide(inner), wide(weight), None if bias is None else wide(bias), documents)
        return functional.silu(mixed).to(inner.dtype)

    def _scan(
        self, inner: Tensor, gate: Tensor, state: Tensor, first: Tensor | None, kernel: Kernel | None
    ) -> tuple[Tensor, Tensor]:
        """[batch, seq, width] -> the same shape, and the last state, which a kernel does not give."""
        step, b, c = self.x_proj(inner).split([self.rank, STATES, STATES], -1)
        step = functional.linear(step, self.dt_proj.weight)
        bias, a, d = wide(self.dt_proj.bias), -torch.exp(wide(self.A_log)), wide(self.D)
        if kernel is not None:
            parts = (part.transpose(1, 2) for part in (inner, step, b, c, gate))
            inner, step, b, c, gate = parts
            out = kernel(inner, step, a, b, c, D=d, z=gate, delta_bias=bias, delta_softplus=True)
            return out.transpose(1, 2), state
        values = wide(inner)
        tokens = Tokens(values, functional.softplus(wide(step) + bias), wide(b), wide(c), first)
        out, state = selective_scan(tokens, a, state)
        out = (out + d * values) * functional.silu(wide(gate))
        return out.to(inner.dtype), state

    def _at_once(self, inner: Tensor, gate: Tensor, kernel: Kernel) -> Tensor:
        """All from the convolution to the last projection, [batch, seq, width] -> [batch, seq, hidden]."""
        out: Tensor = kernel(
            torch.cat((inner, gate), -1).transpose(1, 2),
            self.conv1d.weight,
            self.conv1d.bias,
            self.x_proj.weight,
            self.dt_proj.weight,
            self.out_proj.weight,
            self.out_proj.bias,
            -torch.exp(wide(self.A_log)),
            D=wide(self.D),
            delta_bias=wide(self.dt_proj.bias),
            delta_softplus=True,
        )
        return out

    def flops_per_token(self, length: int) -> float:
        """Operations of a forward and backward pass, of any length.

        7 for each state of each channel: step times rate, its exponential, input times B, decay, sum, state times C, sum; 3 times
        as many with gradients.
        """
        return of_weights(self) + 3 * 7.0 * self.width * STATES

    def new_cache(self, batch: int, length: int) -> MambaCache:
        """An empty cache; it is as large for any length."""
        weight = self.in_proj.weight
        state = torch.zeros(batch, self.channels, STATES, dtype=wide(weight[0]).dtype, device=weight.device)
        return MambaCache(weight.new_zeros(batch, TAPS - 1, self.channels), state)


def wide(tensor: Tensor) -> Tensor:
    """In float32 at least."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def steps(values: Tensor, random: torch.Generator) -> None:
    """Biases that softplus turns into time steps."""
    widths = torch.exp(values.uniform_(math.log(LEAST_STEP), math.log(MOST_STEP), generator=random))
    values.copy_(widths + torch.log(-torch.expm1(-widths)))
