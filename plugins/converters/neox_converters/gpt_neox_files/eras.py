"""Names and layouts that GPT-NeoX had before, or has with Transformer Engine, as those of today.

| | |
|---|---|
| until September 2024 | `mlp.dense_h_to_4h`, `mlp.dense_4h_to_h`; of llama `mlp.w1` (gate), `mlp.w3` (up), `mlp.w2` |
| until November 2024 | with fewer key/value heads the rows [query | share of a key | share of a value] of each query head |
| Transformer Engine | `attention.qkv`, `attention.proj`, `mlp.fc1_weight`, ..., `mlp.layer_norm_weight`, and `_extra_state` |

A rank's part of a weight is translated before parts are joined: that is where layouts differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neox_converters.gpt_neox_files.cuts import Shape


class Made(NamedTuple):
    """A weight of today, made of stored ones.

    Args:
        names: of the stored ones.
        step: a rank's parts of them to its part.
    """

    names: tuple[str, ...]
    step: Callable[[Sequence[Tensor]], Tensor] = lambda parts: parts[0]


_RENAMED = {
    "mlp.dense_h_to_4h.weight": "mlp.linear1.weight",
    "mlp.dense_h_to_4h.bias": "mlp.linear1.bias",
    "mlp.dense_4h_to_h.weight": "mlp.linear2.weight",
    "mlp.dense_4h_to_h.bias": "mlp.linear2.bias",
    "mlp.w2.weight": "mlp.linear2.weight",
    "mlp.fc2_weight": "mlp.linear2.weight",
    "mlp.fc2_bias": "mlp.linear2.bias",
    "attention.proj.weight": "attention.dense.weight",
    "attention.proj.bias": "attention.dense.bias",
    "attention.qkv.bias": "attention.query_key_value.bias",
}
"""Names within a layer that have another name today."""

_EARLY = re.compile(r"mlp\.(dense_h_to_4h|dense_4h_to_h|w[123])\.\w+")
_WITHOUT_MEANING = re.compile(r".*(_extra_state|attention\.(masked_)?bias|rotary_emb\.\w+_cached)")


def is_early(names: Collection[str]) -> bool:
    """Whether names are of before September 2024."""
    return any(_EARLY.fullmatch(_within(name)[1]) for name in names)


def of_today(names: Collection[str], shape: Shape) -> dict[str, Made]:
    """What each weight of today's naming is made of."""
    return dict(_all(names, shape, is_early(names)))


def _all(names: Collection[str], shape: Shape, early: bool) -> Iterator[tuple[str, Made]]:
    grouped = shape.kv_heads != shape.heads
    for name in names:
        layer, within = _within(name)
        match within:
            case _ if _WITHOUT_MEANING.fullmatch(within):
                continue
            case "mlp.w3.weight":
                yield f"{layer}mlp.linear1.weight", Made((name, f"{layer}mlp.w1.weight"), _below)
            case "mlp.w1.weight":
                continue
            case "mlp.fc1_weight" | "mlp.fc1_bias":
                today = f"{layer}mlp.linear1.{within.removeprefix('mlp.fc1_')}"
                yield today, Made((name,), _halves_exchanged) if shape.gated else Made((name,))
            case "mlp.layer_norm_weight" | "mlp.layer_norm_bias":
                yield f"{layer}post_attention_layernorm.{_norm_part(within, layer, names)}", Made((name,))
            case "attention.qkv.weight" | "attention.qkv.bias":
                today = f"{layer}attention.query_key_value.{within.removeprefix('attention.qkv.')}"
                yield today, Made((name,), _by_groups(shape)) if grouped else Made((name,))
            case "attention.query_key_value.weight" | "attention.query_key_value.bias" if early and grouped:
                yield name, Made((name,), _by_heads(shape))
            case _:
                yield layer + _RENAMED.get(within, within), Made((name,))


def _within(name: str) -> tuple[str, str]:
    """`sequential.3.mlp.w1.weight` -> (`sequential.3.`, `mlp.w1.weight`)."""
    prefix, number, within = name.split(".", 2)
    return f"{prefix}.{number}.", within


def _norm_part(within: str, layer: str, names: Collection[str]) -> str:
    """What the norms of a layer call the parameter that Transformer Engine's MLP has of its own."""
    part = within.removeprefix("mlp.layer_norm_")
    if f"{layer}input_layernorm.norm.weight" in names:
        return f"norm.{part}"
    return "scale" if part == "weight" and f"{layer}input_layernorm.scale" in names else part


def _below(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts))


def _halves_exchanged(parts: Sequence[Tensor]) -> Tensor:
    """Transformer Engine's gate comes first."""
    return torch.cat(parts[0].chunk(2)[::-1])


def _by_groups(shape: Shape) -> Callable[[Sequence[Tensor]], Tensor]:
    """[the queries that share a key | the key | the value] of each group -> [queries | keys | values]."""
    group = shape.heads // shape.kv_heads

    def step(parts: Sequence[Tensor]) -> Tensor:
        rows = parts[0].view(-1, group + 2, shape.head_dim, *parts[0].shape[1:])
        return torch.cat([part.flatten(0, 2) for part in torch.split(rows, [group, 1, 1], 1)])

    return step


def _by_heads(shape: Shape) -> Callable[[Sequence[Tensor]], Tensor]:
    """[query | a share of a key | the same of a value] of each query head -> [queries | keys | values]."""
    share = shape.head_dim * shape.kv_heads // shape.heads

    def step(parts: Sequence[Tensor]) -> Tensor:
        rows = parts[0].view(-1, shape.head_dim + 2 * share, *parts[0].shape[1:])
        return torch.cat([part.flatten(0, 1) for part in torch.split(rows, [shape.head_dim, share, share], 1)])

    return step
