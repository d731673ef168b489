"""Training steps of one model by several hands: ours and Hugging Face's GPTNeoX, on the same batches and with the same optimizer."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.config import NeoXArgs, World
from neox_core.model import LanguageModel
from neox_core.plugins import PluginManager

Step = Callable[[], float]
"""A whole optimizer step: forwards, backwards, AdamW; gives the loss."""


def language_model(values: Mapping[str, Any], dtype: torch.dtype, device: str, **changes: Any) -> LanguageModel:
    """Ours."""
    plugins = PluginManager()
    args = NeoXArgs.from_dict({**values, **changes, "train_iters": 1, "train_batch_size": 1}, plugins=plugins)
    world = World.local(1, "cpu" if device == "cpu" else "cuda")
    return LanguageModel(args.resolve(world), plugins).to(device=device, dtype=dtype).train()


def hugging_face_model(values: Mapping[str, Any], dtype: torch.dtype, device: str, implementation: str) -> nn.Module:
    """The same architecture as a GPTNeoXForCausalLM, with attention by `implementation`."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    logging.getLogger("transformers").setLevel(logging.ERROR)
    config = GPTNeoXConfig(
        vocab_size=values["vocab_size"],
        hidden_size=values["hidden_size"],
        num_hidden_layers=values["num_layers"],
        num_attention_heads=values["num_attention_heads"],
        intermediate_size=4 * values["hidden_size"],
        max_position_embeddings=values["max_position_embeddings"],
        rotary_pct=values.get("rotary_pct", 1.0),
        use_parallel_residual=values.get("gpt_j_residual", False),
        hidden_act="gelu",
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation=implementation,
    )
    return GPTNeoXForCausalLM(config).to(device=device, dtype=dtype).train()


def our_loss(model: LanguageModel, tokens: Tensor) -> Tensor:
    """Next-token loss, the last token having nothing to predict."""
    return model(tokens).token_losses(tokens.roll(-1, 1))[:, :-1].mean()


def hugging_face_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """Likewise."""
    loss: Tensor = model(input_ids=tokens, labels=tokens).loss
    return loss


def training_step(model: nn.Module, loss_of: Callable[[Any, Tensor], Tensor], tokens: Tensor) -> Step:
    """A step with torch's fused AdamW, whose state has the dtype of the parameters."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step() -> float:
        loss = loss_of(model, tokens)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def seconds_in_turn(steps: Mapping[str, Step], rounds: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each step in each round. The contenders take turns, so that each has its share of what else the machine does."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(warm_up + rounds):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            if turn >= warm_up:
                found[name].append(time.perf_counter() - begun)
    return found


def median_ratio(found: list[float], reference: list[float]) -> float:
    """How many times as fast as the reference, in the median of the rounds."""
    return statistics.median(other / own for own, other in zip(found, reference, strict=True))


def training_flops(values: Mapping[str, Any]) -> float:
    """Floating-point operations a token, forwards and backwards: 6 for each weight that multiplies, 12 x layers x width x sequence.

    Chowdhery et al., "PaLM", 2022, appendix B.
    """
    width, layers = values["hidden_size"], values["num_layers"]
    weights = layers * 12 * width**2 + width * values["vocab_size"]
    return float(6 * weights + 12 * layers * width * values["seq_length"])
