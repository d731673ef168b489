"""Models of transformers and ours compute the same from the same weights, whichever of the two the weights come from."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch import Tensor, nn
from training_models import VOCABULARY, model, resolve, tokens

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


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def converter(case):
    resolved, plugins = resolve(**case.ours)
    return plugins.make("converter", case.converter, resolved)


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


def learned(network: nn.Module, logits: Tensor, samples: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and gradients by name."""
    nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), samples[:, 1:].flatten()).backward()
    return logits.detach(), {name: parameter.grad for name, parameter in network.named_parameters()}


def assert_the_same(case, ours, theirs):
    """Logits and gradients."""
    samples = tokens(2, 12)
    our_logits, our_gradients = learned(ours, ours(samples).logits(), samples)
    their_logits, their_gradients = learned(theirs, theirs(samples, use_cache=False).logits, samples)
    assert our_logits.abs().max() > 0.5
    torch.testing.assert_close(our_logits, their_logits, atol=1e-4, rtol=0)
    converted = converter(case).write(our_gradients)
    assert their_gradients.keys() <= converted.keys()
    for name, gradient in their_gradients.items():
        assert gradient.abs().max() > 1e-5, name
        torch.testing.assert_close(converted[name], gradient, atol=1e-3 * float(gradient.abs().max()), rtol=0, msg=name)


def test_their_weights_make_our_model_theirs(case):
    ours, theirs = model(**case.ours), filled(their_model(case))
    ours.load_state_dict(converter(case).read(theirs.state_dict()))
    assert_the_same(case, ours, theirs)


def test_our_weights_make_their_model_ours(case):
    ours, theirs = filled(model(**case.ours)), their_model(case)
    theirs.load_state_dict(converter(case).write(ours.state_dict()), strict=True)
    assert_the_same(case, ours, theirs)


def test_there_and_back_changes_nothing(case):
    ours = model(**case.ours).state_dict()
    back = converter(case).read(converter(case).write(ours))
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_the_window_is_shorter_than_the_samples():
    case = CASES["Mistral, a window of 5 tokens"]
    ours, theirs = model(**{**case.ours, "sliding_window_width": 5}), filled(their_model(case))
    ours.load_state_dict(converter(case).read(theirs.state_dict()))
    samples = tokens(1, 12)
    difference = (ours(samples).logits() - theirs(samples).logits).abs().amax((0, 2))
    assert difference[:5].max() < 1e-4 < 1e-2 < difference[5:].max()


def test_the_vocabulary_is_padded():
    assert VOCABULARY < ROWS == resolve()[0].padded_vocab_size
