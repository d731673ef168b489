"""Models of transformers and of ours that are the same, and checkpoints of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from neox_commands import convert as convert_verb
from torch import Tensor, nn
from training_models import model, resolve

from neox_core.checkpoint import HeldTensors, WholeTensors, write_checkpoint
from neox_core.checkpoint.resolution import resolved_with
from neox_core.config import dump_yaml
from neox_core.data.tokenizers import TokenizerSource
from neox_core.plugins import CommandContext, Switches
from neox_core.training.progress import Progress

ROWS = 64  # the vocabulary, padded to a multiple of 8
SIZES = {"vocab_size": ROWS, "hidden_size": 16, "num_hidden_layers": 2}


class Case(NamedTuple):
    converter: str
    ours: dict[str, Any]
    theirs: dict[str, Any]


NEOX = {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64}
LLAMA = {**NEOX, "intermediate_size": 24, "rms_norm_eps": 1e-8}
LIKE_LLAMA = {
    "norm": "rmsnorm",
    "activation": "swiglu",
    "intermediate_size": 72,
    "use_bias_in_mlp": False,
    "use_bias_in_attn_linear": False,
}
LIKE_MAMBA = {"attention_config": ["mamba", "mamba"], "norm": "rmsnorm", "pos_emb": "none", "rms_norm_epsilon": 1e-5}

CASES = {
    "GPTNeoX, parallel, a quarter rotated": Case(
        "hf-gpt-neox",
        {"gpt_j_residual": True, "rotary_pct": 0.5},
        {**NEOX, "use_parallel_residual": True, "rotary_pct": 0.5},
    ),
    "GPTNeoX, sequential": Case("hf-gpt-neox", {}, {**NEOX, "use_parallel_residual": False, "rotary_pct": 1.0}),
    "GPTNeoX, without biases of the attention, another base, tied": Case(
        "hf-gpt-neox",
        {"use_bias_in_attn_linear": False, "rotary_emb_base": 500, "no_weight_tying": False, "activation": "relu"},
        {
            **NEOX,
            "use_parallel_residual": False,
            "rotary_pct": 1.0,
            "rotary_emb_base": 500,
            "attention_bias": False,
            "tie_word_embeddings": True,
            "hidden_act": "relu",
        },
    ),
    "Llama, as many key/value heads as heads": Case("hf-llama", LIKE_LLAMA, LLAMA),
    "Llama, two key/value heads": Case(
        "hf-llama", {**LIKE_LLAMA, "num_kv_heads": 2}, {**LLAMA, "num_key_value_heads": 2}
    ),
    "Llama, one key/value head, tied": Case(
        "hf-llama",
        {**LIKE_LLAMA, "num_kv_heads": 1, "no_weight_tying": False},
        {**LLAMA, "num_key_value_heads": 1, "tie_word_embeddings": True},
    ),
    "Llama, biases, gated by gelu": Case(
        "hf-llama",
        {
            **LIKE_LLAMA,
            "num_kv_heads": 2,
            "activation": "geglu",
            "use_bias_in_mlp": True,
            "use_bias_in_attn_linear": True,
        },
        {**LLAMA, "num_key_value_heads": 2, "hidden_act": "gelu", "mlp_bias": True, "attention_bias": True},
    ),
    "Mistral, a window of 5 tokens": Case(
        "hf-mistral",
        {**LIKE_LLAMA, "num_kv_heads": 2, "sliding_window_width": 4},
        {**LLAMA, "num_key_value_heads": 2, "sliding_window": 5},
    ),
    "Mistral, without a window": Case(
        "hf-mistral", LIKE_LLAMA, {**LLAMA, "num_key_value_heads": 4, "sliding_window": None}
    ),
    "Mamba": Case("hf-mamba", {**LIKE_MAMBA, "no_weight_tying": False}, {}),
    "Mamba, four times as wide, untied, without biases": Case(
        "hf-mamba",
        {**LIKE_MAMBA, "expansion_factor": 4, "mamba_use_bias_in_conv": False},
        {"expand": 4, "tie_word_embeddings": False, "use_conv_bias": False},
    ),
}
CLASSES = {
    "hf-gpt-neox": (transformers.GPTNeoXForCausalLM, transformers.GPTNeoXConfig),
    "hf-llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig),
    "hf-mistral": (transformers.MistralForCausalLM, transformers.MistralConfig),
    "hf-mamba": (transformers.MambaForCausalLM, transformers.MambaConfig),
}


@torch.no_grad()
def filled(network: nn.Module) -> nn.Module:
    """Random weights of a size at which each of them matters."""
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        matters_as_it_begins = name.endswith(("A_log", ".D")) or (parameter.dim() == 1 and name.endswith("weight"))
        around = parameter if matters_as_it_begins else 0
        parameter.copy_(around + 0.3 * torch.randn_like(parameter))
    return network


def their_model(case):
    made, config = CLASSES[case.converter]
    return made(config(**SIZES, **case.theirs)).eval()


def save_theirs(case: Case, directory: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A model of transformers with random weights, in a directory too."""
    theirs = filled(their_model(case)).to(dtype)
    theirs.save_pretrained(directory)
    return theirs


def save_ours(
    directory: Path,
    changes: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
    tokenizer: TokenizerSource | None = None,
) -> dict[str, Tensor]:
    """A checkpoint of neox with random weights, and those."""
    resolved, plugins = resolve(**changes)
    weights = {name: weight.to(dtype) for name, weight in filled(model(**changes)).named_parameters()}
    files: dict[str, str | bytes] = {
        "settings.yml": dump_yaml(resolved.values),
        "plugins.json": json.dumps(plugins.manifest()),
    }
    if tokenizer is not None:
        files |= tokenizer.stored()
    source = WholeTensors(directory, {"weight": HeldTensors({n: w.detach() for n, w in weights.items()})})
    write_checkpoint(
        directory,
        source,
        iteration=3,
        state={**Progress(iteration=3).to_dict(), **resolved_with(resolved)},
        files=files,
    )
    return weights


def convert(*words: str | Path) -> int:
    """`neox convert` in this process."""
    return convert_verb.main([*map(str, words)], CommandContext(Switches()))
