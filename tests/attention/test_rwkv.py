"""RWKV 6 against the formula, one token after the other, in float64."""

from __future__ import annotations

import pytest
import torch
import training_formulas as formula
from random_mixers import inputs, mix, random_mixer
from training_models import context, model, plugins

from neox_core.errors import UserError
from neox_core.testing.mixers import in_pieces

HEADS = 4


def block(layer=1, **changes):
    return random_mixer("rwkv", layer, num_layers=3, **changes)


def naive(x, weights, *, first=False):
    """[seq, hidden] of one document -> the same shape."""
    if first:
        x = formula.layer_norm(x, weights, "time_norm")
    x = x + time_mix(formula.layer_norm(x, weights, "time_norm"), weights)
    return x + channel_mix(formula.layer_norm(x, weights, "channel_norm"), weights)


def time_mix(x, weights):
    of = {name.removeprefix("time_mix."): w for name, w in weights.items() if name.startswith("time_mix.")}
    heads, size = of["bonus"].shape
    state, out = torch.zeros(heads, size, size, dtype=x.dtype), torch.zeros_like(x)
    for t in range(len(x)):
        before = x[t - 1] if t else torch.zeros_like(x[t])
        low = torch.tanh((x[t] + (before - x[t]) * of["mix"]) @ of["mix_down"])
        mixed = [
            x[t] + (before - x[t]) * (of["mixes"][use] + low[32 * use : 32 * use + 32] @ of["mix_up"][use])
            for use in range(5)
        ]
        decay = torch.exp(-torch.exp(of["decay"] + torch.tanh(mixed[0] @ of["decay_down"]) @ of["decay_up"]))
        key, value, receptance = (
            (of[f"{name}.weight"] @ part).view(heads, size)
            for name, part in zip(("key", "value", "receptance"), mixed[1:4], strict=True)
        )
        normed = []
        for head in range(heads):
            new = torch.outer(key[head], value[head])
            seen = receptance[head] @ (state[head] + of["bonus"][head][:, None] * new)
            state[head] = decay.view(heads, size)[head][:, None] * state[head] + new
            normed.append((seen - seen.mean()) / torch.sqrt(seen.var(unbiased=False) + 64e-5))
        gate = of["gate.weight"] @ mixed[4]
        rows = torch.cat(normed) * of["norm.weight"] + of["norm.bias"]
        out[t] = of["output.weight"] @ (rows * gate * torch.sigmoid(gate))
    return out


def channel_mix(x, weights):
    of = {name.removeprefix("channel_mix."): w for name, w in weights.items() if name.startswith("channel_mix.")}
    out = torch.zeros_like(x)
    for t in range(len(x)):
        before = x[t - 1] if t else torch.zeros_like(x[t])
        key = of["key.weight"] @ (x[t] + (before - x[t]) * of["mix_key"])
        receptance = of["receptance.weight"] @ (x[t] + (before - x[t]) * of["mix_receptance"])
        out[t] = torch.sigmoid(receptance) * (of["value.weight"] @ key.clamp(min=0) ** 2)
    return out


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("changes", [{}, {"dim_att": 24}, {"head_size": 8, "ffn_dim": 20}])
def test_it_is_the_formula(layer, changes):
    mixer, x = block(layer, **changes), inputs(seq=40)
    expected = naive(x[0], dict(mixer.named_parameters()), first=layer == 0)
    torch.testing.assert_close(mix(mixer, x)[0], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("sizes", [[40], [1] * 40, [3, 30, 7]])
def test_every_document_begins_anew(sizes):
    mixer, x = block(), inputs(seq=40)
    cuts = [(0, 5), (5, 6), (6, 35), (35, 40)]
    documents = torch.cat([torch.full((stop - start,), n) for n, (start, stop) in enumerate(cuts)])[None]
    weights = dict(mixer.named_parameters())
    expected = torch.cat([naive(x[0, start:stop], weights) for start, stop in cuts])
    with torch.no_grad():
        found = in_pieces(mixer, x, sizes, documents=documents)
    torch.testing.assert_close(found[0], expected, atol=1e-9, rtol=1e-9)


def test_its_state_does_not_grow():
    mixer = block()
    one, many = mixer.new_cache(2, 1), mixer.new_cache(2, 1000)
    assert one.wkv.shape == many.wkv.shape == (2, HEADS, 4, 4)
    with torch.no_grad():
        mixer(inputs(2, 50), positions=torch.arange(50)[None], documents=None, cache=many)
    assert many.wkv.shape == one.wkv.shape
    assert bool((many.wkv != one.wkv).all())


def test_gpt_neox_mixes_over_the_samples_of_a_batch():
    mixer, plain, x = block(compat="gpt-neox"), block(), inputs(batch=3, seq=5)
    torch.testing.assert_close(mix(mixer, x), mix(plain, x.transpose(0, 1)).transpose(0, 1))
    with pytest.raises(UserError, match="compat: gpt-neox"):
        mixer.new_cache(1, 5)


def test_dropout_is_of_each_half():
    x = inputs(seq=30)
    whole = mix(block(), x)
    for key in ("attention_dropout", "hidden_dropout"):
        mixer = block(**{key: 0.5})
        torch.testing.assert_close(mix(mixer, x), whole)
        assert not torch.allclose(mix(mixer.train(), x), whole)
    mixer = block(hidden_dropout=0.5).train()
    halfway = x + mixer.time_mix.output(mixer.time_mix(*halves(mixer, x))[0])
    dropped = mix(mixer, x) - halfway
    assert 0.3 < (dropped.abs() < 1e-12).double().mean() < 0.7


def halves(mixer, x):
    """What time mixing is called with."""
    normed = mixer.time_norm(x)
    previous = torch.cat((torch.zeros_like(normed[:, :1]), normed[:, :-1]), 1)
    return normed, previous, mixer.new_cache(1, 0).wkv, None


def test_widths_follow_from_hidden_size():
    made = plugins().make("attention", "rwkv", context(hidden_size=48))
    assert made.time_mix.bonus.shape == (4, 12)
    assert made.channel_mix.key.weight.shape == (160, 48), "3.5 * 48 = 168, rounded down to 160"


@pytest.mark.parametrize(
    ("changes", "width"),
    [({"intermediate_size": 100}, 96), ({"expansion_factor": 4.0}, 64), ({"ffn_dim": 50}, 50), ({}, 32)],
)
def test_the_width_of_channel_mixing(changes, width):
    assert plugins().make("attention", "rwkv", context(**changes)).channel_mix.key.weight.shape[0] == width


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim_att": 30}, r"num_attention_heads: 4 must divide .* dim_att .* 30"),
        ({"head_size": 5}, r"head_size: 5 must divide .* 16"),
    ],
)
def test_widths_that_cannot_be_cut_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        plugins().make("attention", "rwkv", context(**changes))


def test_weights_begin_where_gpt_neox_begins():
    network = model(attention_config=["rwkv"] * 3, num_layers=3, pos_emb="none")
    middle = network.layers[1].mixer.time_mix
    channel = torch.arange(16)
    falling = 1 - (channel / 16) ** (2 / 3)
    torch.testing.assert_close(middle.mixes[1], falling)
    torch.testing.assert_close(middle.mixes[2], falling - 0.3 / 2)
    torch.testing.assert_close(middle.mixes[4], 1 - (channel / 16) ** (1 / 3))
    torch.testing.assert_close(middle.decay, -6 + 5 * (channel / 15) ** (0.7 + 1.3 / 2))
    zigzag = torch.tensor([0.0, 0.1, -0.1]).repeat(6)[:16]
    torch.testing.assert_close(middle.bonus.flatten(), (1 - channel / 15) / 2 + zigzag)
    small = middle.decay_up.detach()
    assert 0 < float(small.abs().max()) <= 1e-4
    assert abs(float(small.mean())) < 1e-5
    assert torch.equal(small, model(attention_config=["rwkv"] * 3, num_layers=3).layers[1].mixer.time_mix.decay_up)


def test_one_layer_has_weights_too():
    mixer = model(attention_config=["rwkv"], num_layers=1).layers[0].mixer
    assert all(bool(parameter.isfinite().all()) for parameter in mixer.parameters())


def test_decays_beyond_all_measure_have_finite_gradients():
    mixer, x = block(), inputs(seq=20)
    torch.nn.init.constant_(mixer.time_mix.decay, 1000.0)
    mix(mixer, x).sum().backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in mixer.parameters())


def test_mixes_bonus_and_decay_are_not_decayed():
    mixer = block()
    free = {
        name
        for name, parameter in mixer.named_parameters()
        if parameter.dim() > 1 and getattr(parameter, "no_weight_decay", False)
    }
    assert free == {"time_mix.mixes", "time_mix.bonus"}
