"""A prompt that is trained in place of the model (Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning", 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neox_core.config import SoftPromptOptions
from neox_core.model.init import tag, uniform

SOFT_PROMPT = "embedding.soft_prompt.weight"
"""Its canonical name."""

Sequences = tuple[Tensor, Tensor, Tensor | None]
"""Hidden states [batch, seq, hidden], positions [batch or 1, seq], documents [batch, seq] or None."""


class SoftPrompt(nn.Module):
    """Vectors that stand before every sequence; they have the first positions.

    Where a sequence has several documents, such as padding and a text, they stand before the last one and belong to it.
    """

    def __init__(self, options: SoftPromptOptions, hidden_size: int) -> None:
        super().__init__()
        self.length = options.num_tokens
        self.weight = tag(nn.Parameter(torch.empty(self.length, hidden_size)), uniform(options.init_range))

    def forward(self, hidden: Tensor, positions: Tensor, documents: Tensor | None) -> Sequences:
        """The sequences with the prompt in them. Positions of tokens have to leave room for it."""
        first = torch.arange(self.length, device=positions.device).expand(len(positions), -1)
        hidden = torch.cat((self.weight.expand(len(hidden), -1, -1), hidden), 1)
        positions = torch.cat((first, positions), 1)
        if documents is None:
            return hidden, positions, None
        order = self._order(documents)
        documents = torch.cat((documents[:, -1:].expand(-1, self.length), documents), 1).gather(1, order)
        return _rows(hidden, order), positions.expand(len(order), -1).gather(1, order), documents

    def remove(self, hidden: Tensor, documents: Tensor | None) -> Tensor:
        """The tokens' own hidden states; `documents` are those with the prompt, as `forward` gave them."""
        if documents is None:
            return hidden[:, self.length :]
        own = torch.arange(documents.shape[1] - self.length, device=documents.device)
        return _rows(hidden, own + self.length * (own >= self._begin(documents)))

    def _begin(self, documents: Tensor) -> Tensor:
        """Where each row's last document begins, [batch, 1]."""
        return (documents != documents[:, -1:]).sum(1, keepdim=True)

    def _order(self, documents: Tensor) -> Tensor:
        """For each place of a row, where that is when the prompt is put before all of it; [batch, length + seq]."""
        begin = self._begin(documents)
        place = torch.arange(self.length + documents.shape[1], device=documents.device)
        moved = torch.where(place < begin, place + self.length, place - begin)
        return torch.where(place < begin + self.length, moved, place)


def _rows(hidden: Tensor, index: Tensor) -> Tensor:
    """Hidden states at places [batch, n] of their rows."""
    return hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[2]))
