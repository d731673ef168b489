"""Operations that mixers say they take, against those that torch counts, and against closed forms."""

from __future__ import annotations

import pytest
from random_mixers import inputs, mix, random_mixer
from torch.utils.flop_counter import FlopCounterMode
from training_models import model

from neox_core.model import flops_per_token

WIDTH = 16
EAGER = {"attention_implementation": "eager", "use_bias_in_attn_linear": False}


def counted(mixer, length):
    """Operations a token of matrix products, forwards and backwards."""
    x = inputs(2, length).requires_grad_()
    with FlopCounterMode(display=False) as counter:
        mix(mixer, x).sum().backward()
    return counter.get_total_flops() / (2 * length)


def weights(mixer):
    return sum(weight.numel() for weight in mixer.parameters())


@pytest.mark.parametrize("kv_heads", [None, 2, 1])
def test_full_attention_takes_what_is_counted(kv_heads):
    mixer = random_mixer("global", num_kv_heads=kv_heads, **EAGER)
    assert mixer.flops_per_token(40) == counted(mixer, 40)


@pytest.mark.parametrize("name", ["gmlp", "amlp"])
def test_a_gate_along_the_sequence_takes_what_is_counted(name):
    mixer = random_mixer(name, seq_length=40, max_position_embeddings=40, **EAGER)
    vectors = (
        sum(weight.numel() for weight in mixer.parameters() if weight.dim() == 1) - 40
    )  # 40: of the bias by position
    assert mixer.flops_per_token(40) == counted(mixer, 40) + 6 * vectors


@pytest.mark.parametrize(("name", "of_scan"), [("mamba", 7 * 32 * 16), ("rwkv", 5 * 4 * 4 * 4)])
def test_a_recurrence_takes_as_much_for_a_token_of_any_sequence(name, of_scan):
    mixer = random_mixer(name)
    expected = 6 * weights(mixer) + 3 * of_scan
    assert flops_per_token(mixer, 10) == flops_per_token(mixer, 1000) == expected


@pytest.mark.parametrize(("window", "length"), [(4, 20), (4, 5), (4, 3), (19, 20), (7, 9)])
def test_a_window_takes_what_it_sees(window, length):
    seen = sum(min(before, window) + 1 for before in range(length))
    share = seen / sum(before + 1 for before in range(length))
    mixer = random_mixer("global", sliding_window_width=window)
    assert mixer.flops_per_token(length) == pytest.approx(6 * weights(mixer) + 12 * WIDTH * length * share)


@pytest.mark.parametrize("name", ["local", "sparse_fixed", "sparse_variable", "bigbird", "bslongformer"])
def test_blocks_take_what_they_see(name):
    mixer = random_mixer(name, attention_config=[name, name], sparsity_config={"block": 2})
    blocks = [[mixer.layout[0, row, column] for column in range(row + 1)] for row in range(6)]
    share = sum(float(sum(row)) for row in blocks) / 21
    assert share < 1
    assert mixer.flops_per_token(12) == pytest.approx(6 * weights(mixer) + 12 * WIDTH * 12 * share)
    begun = mixer.flops_per_token(12) - mixer.flops_per_token(11)
    assert begun == pytest.approx(12 * WIDTH * share), "a block that is begun counts"
    near = random_mixer(name, attention_config=[name, name], sparsity_config={"block": 2}, sliding_window_width=1)
    assert near.flops_per_token(12) < mixer.flops_per_token(12)


def test_a_model_takes_what_its_layers_take():
    mixed = model(attention_config=["mamba", "global"])
    one_each = [model(attention_config=[name] * 2).flops_per_token(12) for name in ("mamba", "global")]
    assert mixed.flops_per_token(12) == sum(one_each) / 2


def test_a_token_meets_some_of_the_experts():
    changes = {"moe_num_experts": 4, "moe_type": "torch", "moe_router_type": "topk"}
    dense, experts = model(), [model(**changes, moe_top_k=number).flops_per_token(12) for number in (1, 2)]
    routers = 6 * 4 * WIDTH * 2
    assert experts[0] == dense.flops_per_token(12) + routers
    assert experts[1] - experts[0] == 6 * sum(weight.numel() for weight in dense.layers[0].mlp.parameters()) * 2
