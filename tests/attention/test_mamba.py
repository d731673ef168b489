"""Mamba against its recurrence, written out in float64, and what is particular to it."""

from __future__ import annotations

import math

import pytest
import torch
from random_mixers import inputs, mix
from training_models import SETTINGS, context, model, plugins

from neox_core.config import NeoXArgs, World
from neox_core.errors import UserError

MAMBA = {"attention_config": ["mamba", "mamba"], "pos_emb": "none"}


def block(seed=0, **changes):
    """A block in float64 whose weights are random and matter."""
    mixer = plugins().make("attention", "mamba", context(**{**MAMBA, **changes})).double()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            around = parameter if name in {"A_log", "D", "norm.weight"} else 0
            parameter.copy_(around + 0.4 * torch.randn_like(parameter))
    return mixer


def softplus(x):
    return torch.log1p(torch.exp(x))


def silu(x):
    return x / (1 + torch.exp(-x))


def written_out(x, w):
    """One document [seq, hidden] -> the next residual stream, token by token; `w` are the block's weights."""

    def linear(vector, name):
        return w[f"{name}.weight"] @ vector + w.get(f"{name}.bias", 0)

    centred = [token - token.mean() for token in x]
    normed = [token / torch.sqrt((token**2).mean() + 1e-5) * w["norm.weight"] + w["norm.bias"] for token in centred]
    inner, gates = [[linear(token, name) for token in normed] for name in ("in_proj", "gate_proj")]
    state, out = torch.zeros_like(w["A_log"]), []
    for t, token in enumerate(x):
        mixed = w.get("conv1d.bias", torch.zeros(len(inner[0]), dtype=x.dtype))
        for back in range(min(t + 1, 4)):
            mixed = mixed + w["conv1d.weight"][:, 0, 3 - back] * inner[t - back]
        value = silu(mixed)
        rank = len(w["dt_proj.weight"][0])
        step, into, onto = linear(value, "x_proj").split((rank, 16, 16))
        step = softplus(linear(step, "dt_proj"))
        state = torch.exp(-torch.exp(w["A_log"]) * step[:, None]) * state + step[:, None] * into * value[:, None]
        out.append(token + linear((state @ onto + w["D"] * value) * silu(gates[t]), "out_proj"))
    return torch.stack(out)


VARIANTS = [
    {},
    {"mamba_use_bias_in_conv": False},
    {"mamba_use_bias_in_linears": True},
    {"intermediate_size": 24},
    {"expansion_factor": 1.5},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_it_is_the_selective_recurrence(changes):
    mixer, x = block(**changes), inputs(2, 11)
    weights = {name: parameter.detach() for name, parameter in mixer.named_parameters()}
    expected = torch.stack([written_out(row, weights) for row in x])
    assert (expected - x).abs().max() > 1
    torch.testing.assert_close(mix(mixer, x), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("changes", VARIANTS)
def test_the_gradient_is_that_of_the_recurrence(changes):
    mixer, x = block(**changes), inputs(1, 7)
    weights = dict(mixer.named_parameters())
    onto = torch.randn(7, 16, dtype=torch.float64)
    expected = torch.autograd.grad((written_out(x[0], weights) * onto).sum(), list(weights.values()))
    found = torch.autograd.grad((mix(mixer, x)[0] * onto).sum(), list(weights.values()))
    for name, gradient, wanted in zip(weights, found, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize("sizes", [(70,), (64, 66), (3, 1, 1, 60, 2, 65)])
def test_each_document_is_a_sequence_of_its_own_whatever_the_chunks(sizes):
    mixer, x = block(), inputs(1, sum(sizes))
    weights = {name: parameter.detach() for name, parameter in mixer.named_parameters()}
    documents = torch.cat([torch.full((size,), 7 - number) for number, size in enumerate(sizes)])[None]
    expected = torch.cat([written_out(part, weights) for part in x[0].split(sizes)])
    torch.testing.assert_close(mix(mixer, x, documents)[0], expected, atol=1e-9, rtol=1e-9)


def test_a_cache_that_comes_to_another_document_starts_anew():
    mixer, x = block(), inputs(1, 10)
    cache = mixer.new_cache(1, 10)
    mix(mixer, x[:, :4], torch.zeros(1, 4, dtype=torch.int64), cache)
    found = mix(mixer, x[:, 4:7], torch.ones(1, 3, dtype=torch.int64), cache)
    torch.testing.assert_close(found, mix(mixer, x[:, 4:7]))
    found = torch.cat((found, mix(mixer, x[:, 7:], torch.ones(1, 3, dtype=torch.int64), cache)), 1)
    torch.testing.assert_close(found, mix(mixer, x[:, 4:]))


def test_tokens_without_documents_are_of_the_first_one():
    mixer, x = block(), inputs(1, 6)
    cache = mixer.new_cache(1, 6)
    first = mix(mixer, x[:, :2], None, cache)
    found = torch.cat((first, mix(mixer, x[:, 2:], torch.tensor([[0, 0, 1, 1]]), cache)), 1)
    torch.testing.assert_close(found, mix(mixer, x, torch.tensor([[0, 0, 0, 0, 1, 1]])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fastest_decays_and_the_widest_steps_are_numbers(dtype):
    mixer = block()
    with torch.no_grad():
        mixer.A_log.fill_(6.0)
        mixer.dt_proj.bias[::2] = 60.0
        mixer.dt_proj.bias[1::2] = -60.0
    mixer, x = mixer.to(dtype), inputs(1, 100).to(dtype)
    out = mix(mixer, x)
    out.float().square().mean().backward()
    assert bool(out.isfinite().all())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in mixer.parameters())


def test_states_are_not_kept_for_the_backward_pass():
    mixer, x, kept = block().float(), inputs(2, 256).float(), {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.setdefault(t.data_ptr(), t.numel()) and t, lambda t: t
    ):
        mix(mixer, x)
    states_of_all_tokens = 2 * 256 * mixer.width * 16
    assert sum(kept.values()) < states_of_all_tokens


# Parameters


@pytest.mark.parametrize(
    ("changes", "width"), [({}, 32), ({"expansion_factor": 1.3}, 20), ({"intermediate_size": 24}, 24)]
)
def test_the_width_is_that_of_gpt_neox(changes, width):
    assert block(**changes).A_log.shape == (width, 16)


def test_it_begins_as_the_paper_says():
    weights = model(**MAMBA, hidden_size=64).state_dict()
    name = "layers.1.mixer"
    assert torch.equal(weights[f"{name}.A_log"], torch.arange(1, 17).log().expand(128, 16))
    assert bool((weights[f"{name}.D"] == 1).all())
    steps = softplus(weights[f"{name}.dt_proj.bias"].double()).log10()
    assert -3 - 1e-4 < steps.min() < -2.8
    assert -1.2 < steps.max() < -1 + 1e-4
    assert steps.mean() == pytest.approx(-2, abs=0.15)
    for parameter, bound in (
        (f"{name}.dt_proj.weight", 4**-0.5),
        (f"{name}.conv1d.weight", 0.5),
        (f"{name}.conv1d.bias", 0.5),
    ):
        assert 0.9 * bound < weights[parameter].abs().max() <= bound
        assert weights[parameter].std() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def test_it_begins_the_same_whatever_was_drawn_before():
    torch.manual_seed(1)
    one = model(**MAMBA).state_dict()
    torch.manual_seed(2)
    other = model(**MAMBA).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["layers.0.mixer.dt_proj.bias"], one["layers.1.mixer.dt_proj.bias"])


@pytest.mark.parametrize("keep", [True, False])
def test_a_and_d_stay_in_float32_where_the_settings_say_so(keep):
    network = model(**MAMBA, mamba_selective_fp32_params=keep)
    mixer = network.layers[0].mixer
    torch.nn.init.constant_(mixer.D, 0.3)  # which bfloat16 rounds
    before = {name: getattr(mixer, name).detach().clone() for name in ("A_log", "D")}
    parameters = [mixer.A_log, mixer.D]
    network.to(torch.bfloat16)
    assert mixer.x_proj.weight.dtype == torch.bfloat16
    for (name, values), parameter in zip(before.items(), parameters, strict=True):
        assert getattr(mixer, name) is parameter
        assert parameter.dtype == (torch.float32 if keep else torch.bfloat16)
        assert torch.equal(parameter, values) == keep


def test_a_and_d_do_not_decay():
    weights = dict(model(**MAMBA).named_parameters())
    spared = {name for name, parameter in weights.items() if getattr(parameter, "no_weight_decay", False)}
    assert {name.rpartition(".")[2] for name in spared if "norm" not in name} == {"A_log", "D"}


# Settings


def test_a_kernel_without_biases_is_not_asked_for_them():
    args = NeoXArgs.from_dict({**SETTINGS, **MAMBA, "mamba_inner_func_fusion": True}, plugins=plugins())
    args.resolve(World.local())
    args.update_value("mamba_use_bias_in_linears", True)
    with pytest.raises(UserError, match="mamba_inner_func_fusion, mamba_use_bias_in_linears: both are true"):
        args.resolve(World.local())
