"""From token ids to hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_core.config import ModelSettings, SoftPromptOptions
from neox_core.model.init import initialiser, tag
from neox_core.model.positions import Positions
from neox_core.model.soft_prompt import SoftPrompt
from neox_core.parallel import StepRandom


class Embedding(nn.Module):
    """Token embedding, plus what the positions add, with dropout; it holds the soft prompt too, which the model puts in.

    Args:
        model: the settings.
        vocabulary: rows of the embedding.
        positions: of the model.
        random: seeds dropout.
        factor: of the output.
        positions_factor: of what the positions add.
    """

    def __init__(
        self,
        model: ModelSettings,
        vocabulary: int,
        positions: Positions,
        random: StepRandom,
        *,
        factor: float = 1.0,
        positions_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = tag(nn.Parameter(torch.empty(vocabulary, model.hidden_size)), initialiser(model, "input"))
        self.positions = positions
        prompt = SoftPromptOptions.of(model.soft_prompt_tuning)
        self.soft_prompt = None if prompt is None else SoftPrompt(prompt, model.hidden_size)
        self.dropout, self.random = model.hidden_dropout, random
        self.factor, self.positions_factor = factor, positions_factor

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """tokens [batch, seq] int64, positions [batch or 1, seq] -> [batch, seq, hidden]."""
        hidden = functional.embedding(tokens, self.weight)
        added = self.positions.embed(positions)
        if added is not None:
            hidden = hidden + scaled(added, self.positions_factor).to(hidden.dtype)
        if self.dropout and self.training:
            self.random.begin_layer(-1)
            hidden = functional.dropout(hidden, self.dropout)
        return scaled(hidden, self.factor)


def scaled(tensor: Tensor, factor: float) -> Tensor:
    """The tensor times a factor; itself where that is 1."""
    return tensor if factor == 1 else tensor * factor
