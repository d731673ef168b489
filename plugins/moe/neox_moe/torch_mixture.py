"""A dropless mixture of experts in plain torch: every token reaches its experts, whatever the balance."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from neox_core.config import MixtureSettings
from neox_core.model import MLP, LayerContext, of_weights
from neox_core.parallel import with_partial_gradient
from neox_moe.settings import MoESettings


class TorchMixture(nn.Module):
    """Softmax routing to the `moe_top_k` likeliest experts, each a full MLP, weighted by their renormalised probabilities.

    The auxiliary loss is E * sum over experts of (share of tokens) * (mean probability), which is 1 when balanced (Fedus et al.,
    "Switch Transformers", 2021), times `moe_loss_coeff`. With one expert this is the dense MLP.

    Tensor-parallel ranks have parts of every expert. All of them route all tokens, and what experts give is added up before ranks are.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        settings = context.resolved[MoESettings]
        self.num_experts, self.top_k = context.resolved[MixtureSettings].moe_num_experts, settings.moe_top_k
        self.coefficient = settings.moe_loss_coeff
        self.router = context.linear(context.model.hidden_size, self.num_experts, bias=False, role="input")
        self.tensor = context.tensor
        if self.tensor.cuts_tokens:
            with_partial_gradient(cast("nn.Parameter", self.router.weight))
        self.experts = nn.ModuleList(MLP(context, inside=True) for _ in range(self.num_experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, this rank's or all tokens, hidden] -> (the same shape, auxiliary loss)."""
        probabilities = self.tensor.all_tokens(self.router(x).float().softmax(-1)).flatten(0, 1)  # [tokens, experts]
        weights, chosen = probabilities.topk(self.top_k, dim=-1)  # [tokens, top_k]
        weights = self.tensor.copy((weights / weights.sum(-1, keepdim=True)).to(x.dtype))
        entered = self.tensor.enter(x)
        tokens = entered.flatten(0, 1)
        out = torch.zeros_like(tokens)
        for index, expert in enumerate(self.experts):
            rows, slots = (chosen == index).nonzero(as_tuple=True)
            out = out.index_add(0, rows, expert(tokens[rows]) * weights[rows, slots, None])
        return self.tensor.leave(out.view_as(entered)), self._balance(probabilities, chosen)

    def flops_per_token(self, length: int) -> float:
        """Operations of a forward and backward pass: a token meets `moe_top_k` of the experts."""
        return of_weights(self.router) + of_weights(self.experts) * self.top_k / self.num_experts

    def _balance(self, probabilities: Tensor, chosen: Tensor) -> Tensor:
        load = torch.zeros(self.num_experts, device=chosen.device)
        load = load.index_add(0, chosen.flatten(), torch.ones(chosen.numel(), device=chosen.device)) / chosen.numel()
        return self.coefficient * self.num_experts * (load * probabilities.mean(0)).sum()
