"""What DeepSpeed saves of a model with GPT-NeoX's names, and what its optimizer really has: on each rank of `Workers`."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from neox_core.training.deepspeed.making import import_deepspeed

HIDDEN, HEADS, ROWS, WIDTH, LAYERS = 6, 3, 10, 14, 2
SETTINGS: dict[str, Any] = {
    "num_layers": LAYERS,
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 8,
    "pos_emb": "rotary",
    "no_weight_tying": True,
    "intermediate_size": WIDTH,
    "make_vocab_size_divisible_by": 2,
    "optimizer": {"type": "adam", "params": {"lr": 0.01}},
    "train_micro_batch_size_per_gpu": 3,
}


def shapes() -> dict[str, tuple[int, ...]]:
    """Of all parameters, in the order of GPT-NeoX's modules."""
    found: dict[str, tuple[int, ...]] = {"sequential.0.word_embeddings.weight": (ROWS, HIDDEN)}

    def norm(name: str) -> None:
        found.update({f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)})

    def linear(name: str, rows: int, columns: int) -> None:
        found.update({f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)})

    for layer in range(2, 2 + LAYERS):
        norm(f"sequential.{layer}.input_layernorm")
        linear(f"sequential.{layer}.attention.query_key_value", 3 * HIDDEN, HIDDEN)
        linear(f"sequential.{layer}.attention.dense", HIDDEN, HIDDEN)
        norm(f"sequential.{layer}.post_attention_layernorm")
        linear(f"sequential.{layer}.mlp.linear1", WIDTH, HIDDEN)
        linear(f"sequential.{layer}.mlp.linear2", HIDDEN, WIDTH)
    norm(f"sequential.{LAYERS + 3}.norm")
    found[f"sequential.{LAYERS + 4}.final_linear.weight"] = (ROWS, HIDDEN)
    return found


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """Some that depend on the name."""
    return torch.from_numpy(np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)).float()


class Model(nn.Module):
    """Parameters of these names; each gets a gradient of its own."""

    def __init__(self) -> None:
        super().__init__()
        for name, shape in shapes().items():
            module: nn.Module = self
            *parents, last = name.split(".")
            for part in parents:
                if part not in dict(module.named_children()):
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_parameter(last, nn.Parameter(numbers(name, shape)))

    def forward(self, factor: Tensor) -> Tensor:
        """A loss in which every element counts another."""
        terms = [
            (p.float() * numbers(f"gradient {name}", tuple(p.shape)) * (1 + p.float())).sum()
            for name, p in self.named_parameters()
        ]
        return factor.float().mean() * torch.stack(terms).sum()


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """As GPT-NeoX makes them."""
    named = dict(model.named_parameters())
    if weight_decay == 0:
        return [{"params": [*named.values()], "weight_decay": 0.0, "name": "no_weight_decay_params"}]
    spared = [name for name in named if name.endswith("bias") or "norm" in name]
    decaying = {"params": [p for name, p in named.items() if name not in spared], "name": "weight_decay_params"}
    return [decaying, {"params": [named[n] for n in spared], "weight_decay": 0.0, "name": "no_weight_decay_params"}]


def save(path: Path, config: dict[str, Any], weight_decay: float = 0.1, steps: int = 2) -> dict[str, dict[str, Tensor]]:
    """Train for some steps, save, and tell the state by role and name, as DeepSpeed's own functions give it."""
    deepspeed = import_deepspeed("cpu")
    model = Model()
    optimizer = torch.optim.AdamW(groups(model, weight_decay), lr=0.01, weight_decay=weight_decay)
    ranks = dist.get_world_size()
    whole = {"train_batch_size": 3 * ranks, "train_micro_batch_size_per_gpu": 3, "zero_allow_untested_optimizer": True}
    engine = deepspeed.initialize(model=model, optimizer=optimizer, config={**whole, **config})[0]
    for step in range(steps):
        loss = engine(torch.full((3,), 1.0 + dist.get_rank() + step))
        engine.backward(loss)
        engine.step()
    client = {"iteration": steps, "args": {"num_layers": LAYERS, "model_parallel_size": 1}}
    engine.save_checkpoint(str(path), tag=f"global_step{steps}", client_state=client)
    return {role: dict(_state(engine, role)) for role in ("master", "exp_avg", "exp_avg_sq")}


def _state(engine: Any, role: str) -> Any:
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    if getattr(engine.optimizer, "_hp_optimizer_states_linked", False):
        engine.optimizer._hp_optimizer_states_linked = False  # when it was, later groups had no state yet
        engine.optimizer._lazy_init_hp_params_optimizer_state()
    for name, parameter in engine.module.named_parameters():
        if role == "master":
            value = safe_get_full_fp32_param(parameter) if hasattr(parameter, "_hp_mapping") else parameter
        elif hasattr(parameter, "_hp_mapping"):
            value = safe_get_full_optimizer_state(parameter, role)
        else:
            value = engine.optimizer.state[parameter][role]
        yield name, value.detach().float().clone()
