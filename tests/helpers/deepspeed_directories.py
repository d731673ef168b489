"""What DeepSpeed saves of a model with GPT-NeoX's names, and what its optimizer really has: on each rank of `Workers`."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
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


def _state(engine: Any, role: str) -> Iterator[tuple[str, Tensor]]:
    names = {parameter: name for name, parameter in engine.module.named_parameters()}
    pairs = _partitioned if hasattr(engine.optimizer, "round_robin_bit16_groups") else _held
    for parameter, value in pairs(engine, role):
        yield names[parameter], value.detach().float().clone()


def _partitioned(engine: Any, role: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Of ZeRO 1 and 2: all partitions together, cut as the parameters lie in them."""
    zero = engine.optimizer
    for index, partition in enumerate(zero.single_partition_of_fp32_groups):
        own = partition.detach() if role == "master" else zero.optimizer.state[partition][role]
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        flat = torch.cat(parts)
        for parameter, start in zip(
            zero.round_robin_bit16_groups[index], zero.round_robin_bit16_offsets[index], strict=True
        ):
            yield parameter, flat[start : start + parameter.numel()].view(parameter.shape)


def _held(engine: Any, role: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Of the other optimizers."""
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    own, float32 = (getattr(engine.optimizer, name, []) for name in ("fp16_groups", "fp32_groups"))
    masters = dict(zip(itertools.chain(*own), itertools.chain(*float32), strict=True))
    for parameter in engine.module.parameters():
        if hasattr(parameter, "_hp_mapping"):
            is_master = role == "master"
            yield (
                parameter,
                safe_get_full_fp32_param(parameter) if is_master else safe_get_full_optimizer_state(parameter, role),
            )
        else:
            master = masters.get(parameter, parameter)
            yield parameter, master if role == "master" else engine.optimizer.state[master][role]


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What DeepSpeed takes from a directory: the run's own values, and the parameters."""
    deepspeed = import_deepspeed("cpu")
    model = Model()
    optimizer = torch.optim.AdamW(groups(model, 0.1), lr=0.01)
    config = {"train_batch_size": 3, "zero_allow_untested_optimizer": True}
    engine = deepspeed.initialize(model=model, optimizer=optimizer, config=config)[0]
    where, client = engine.load_checkpoint(str(path), load_optimizer_states=False, load_lr_scheduler_states=False)
    assert where is not None
    plain = {key: client[key] for key in ("iteration", "args")} | {"steps": engine.global_steps}
    return plain, {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
