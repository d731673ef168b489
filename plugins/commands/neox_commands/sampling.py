"""Drawing tokens from a model, with a cache of what it has seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neox_core.errors import UserError
from neox_core.model import LanguageModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn.

    Args:
        temperature: divides the logits; 0 takes the likeliest token.
        top_k: only so many likeliest tokens; 0 for all.
        top_p: only the likeliest tokens that together have this probability; 0 for all.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature: {self.temperature} is not a finite number >= 0")
        if self.top_k < 0:
            raise UserError(f"top_k: {self.top_k} is not a whole number >= 0")
        if not 0 <= self.top_p <= 1:
            raise UserError(f"top_p: {self.top_p} is not a number from 0 to 1")

    def draw(self, logits: Tensor, random: torch.Generator) -> Tensor:
        """[batch, vocabulary] -> [batch] token ids."""
        logits = logits.float()
        if self.temperature == 0:
            return logits.argmax(-1)
        logits = logits / self.temperature
        if self.top_k:
            smallest = logits.topk(min(self.top_k, logits.shape[-1])).values[:, -1:]
            logits = logits.masked_fill(logits < smallest, -torch.inf)
        if self.top_p:
            logits = nucleus(logits, self.top_p)
        return torch.multinomial(logits.softmax(-1), 1, generator=random)[:, 0]


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens whose probabilities reach `top_p`, at least one (Holtzman et al., 2020)."""
    ordered, places = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    ordered = ordered.masked_fill(before >= top_p, -torch.inf)
    return torch.full_like(logits, -torch.inf).scatter(-1, places, ordered)


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: list[int],
    *,
    count: int,
    sampling: Sampling,
    vocabulary: int,
    limit: int,
    stop: int | None = None,
    random: torch.Generator | None = None,
) -> Iterator[int]:
    """Continue a prompt, token by token.

    Args:
        model: in evaluation mode.
        prompt: token ids, at least one.
        count: tokens to draw at most.
        sampling: how.
        vocabulary: only ids below this are drawn; the embedding has more rows.
        limit: tokens of prompt and continuation together at most; more than the prompt has.
        stop: the token that ends the text; it is not given.
        random: for reproducible draws.
    """
    device = next(model.parameters()).device
    random = random or torch.Generator(device)
    total = min(len(prompt) + count, limit)
    caches = model.new_caches(1, total)
    tokens, position = torch.tensor([prompt], device=device), 0
    for _ in range(total - len(prompt)):
        positions = torch.arange(position, position + tokens.shape[1], device=device)[None]
        output = model(tokens, positions, caches=caches)
        position += tokens.shape[1]
        last = torch.nn.functional.linear(output.hidden[:, -1], output.weight)[:, :vocabulary]
        drawn = sampling.draw(last, random)
        token = int(drawn)
        if token == stop:
            return
        yield token
        tokens = drawn[:, None]
