"""The names that GPT-NeoX has for exchangeable parts, so that one which is not here yet is told from a misspelt one."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {
    "attention": "global local sparse_fixed sparse_variable bigbird bslongformer gmlp amlp flash rwkv mamba",
    "norm": "layernorm rmsnorm non_parametric_layernorm scalenorm te_rmsnorm te_layernorm",
    "position": "learned rotary sinusoidal rpe alibi none",
    "activation": "gelu geglu relu softsign swish mish silu reglu swiglu bilinear glu",
    "optimizer": "adam onebitadam cpu_adam cpu_torch_adam sm3 madgrad_wd sgd lion",
    "launcher": "pdsh openmpi mvapich slurm mpich impi",
    "objective": "normal dpo rm kto reinforce",
    "moe": "megablocks deepspeed",
    "schedule": "constant linear cosine exponential",
}

GPT_NEOX_NAMES: Mapping[str, frozenset[str]] = {kind: frozenset(names.split()) for kind, names in _NAMES.items()}
"""Kind -> its names, as files for GPT-NeoX write them."""


def is_gpt_neox_name(kind: str, name: str) -> bool:
    """Whether GPT-NeoX has a part of this kind and name; case does not matter."""
    return name.casefold() in {known.casefold() for known in GPT_NEOX_NAMES.get(kind, ())}
