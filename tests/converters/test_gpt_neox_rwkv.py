"""GPT-NeoX's RWKV blocks to ours and back."""

from __future__ import annotations

import torch
from training_models import model, resolve

CHANGES = {"attention_config": ["rwkv", "rwkv"], "dim_att": 24, "pos_emb": "none"}
HIDDEN, WIDTH, CHANNELS, HEADS = 16, 24, 32, 4

UPSTREAM = {
    **{f"att.time_maa_{use}": (1, 1, HIDDEN) for use in "xwkvrg"},
    "att.time_maa_w1": (HIDDEN, 160),
    "att.time_maa_w2": (5, 32, HIDDEN),
    "att.time_decay": (1, 1, WIDTH),
    "att.time_decay_w1": (HIDDEN, 64),
    "att.time_decay_w2": (64, WIDTH),
    "att.time_faaaa": (HEADS, WIDTH // HEADS),
    **{f"att.{name}.weight": (WIDTH, HIDDEN) for name in ("receptance", "key", "value", "gate")},
    "att.output.weight": (HIDDEN, WIDTH),
    "att.ln_x.weight": (WIDTH,),
    "att.ln_x.bias": (WIDTH,),
    **{f"{norm}.{part}": (HIDDEN,) for norm in ("ln1", "ln2") for part in ("weight", "bias")},
    "ffn.time_maa_k": (1, 1, HIDDEN),
    "ffn.time_maa_r": (1, 1, HIDDEN),
    "ffn.key.weight": (CHANNELS, HIDDEN),
    "ffn.receptance.weight": (HIDDEN, HIDDEN),
    "ffn.value.weight": (HIDDEN, CHANNELS),
}
"""Names and shapes of the parameters of GPT-NeoX's RWKVResidualLayer."""


def converter():
    resolved, plugins = resolve(**CHANGES)
    return plugins.make("converter", "gpt-neox", resolved)


def test_every_weight_goes_out_under_its_name_and_shape_and_comes_back():
    ours = model(**CHANGES).state_dict()
    theirs = converter().write(ours)
    layer = {name: tuple(tensor.shape) for name, tensor in theirs.items() if name.startswith("sequential.3.")}
    assert layer == {f"sequential.3.{name}": shape for name, shape in UPSTREAM.items()}
    back = converter().read(theirs)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_mixes_are_rows_in_the_order_in_which_they_are_used():
    theirs = converter().write(model(**CHANGES).state_dict())
    for number, use in enumerate("wkvrg"):
        theirs[f"sequential.2.att.time_maa_{use}"] = torch.full((1, 1, HIDDEN), float(number))
    assert converter().read(theirs)["layers.0.mixer.time_mix.mixes"][:, 0].tolist() == [0, 1, 2, 3, 4]
