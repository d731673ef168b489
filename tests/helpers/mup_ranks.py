"""What ranks are asked to do by the tests of muP."""

from __future__ import annotations

import torch
from mup_models import wider
from training_models import Bench

TIMES = 4
"""How much wider than their base models are."""

KEYS = ("hidden_size", "num_attention_heads", "use_mup", "base_shapes")


def bench(stage: int = 0) -> Bench:
    values = wider(TIMES)[0].values
    zero = {"zero_optimization": {"stage": stage}}
    return Bench(**{key: values[key] for key in KEYS}, weight_decay=0.0, **zero)


def first_step(stage: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights before and after it."""
    made = bench(stage)
    before = {name: parameter.detach().clone() for name, parameter in made.parameters.items()}
    made.step()
    return before, {name: parameter.detach().clone() for name, parameter in made.parameters.items()}
