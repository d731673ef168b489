"""GPT-NeoX's gMLP and aMLP blocks to ours and back."""

from __future__ import annotations

import pytest
import torch
from training_models import model, resolve


def converter(**changes):
    resolved, plugins = resolve(**changes)
    return plugins.make("converter", "gpt-neox", resolved)


def upstream(mixer, hidden=16, seq=12, dim=64):
    """Names and shapes of the parameters of GPT-NeoX's GMLPBlock without tensor parallelism, with layer norms."""
    shapes = {
        "norm.weight": (hidden,),
        "norm.bias": (hidden,),
        "input_linear.weight": (8 * hidden, hidden),
        "input_linear.bias": (8 * hidden,),
        "sgu.norm.weight": (4 * hidden,),
        "sgu.norm.bias": (4 * hidden,),
        "sgu.proj.weight": (seq, seq),
        "sgu.proj.bias": (seq,),
        "output_linear.weight": (hidden, 4 * hidden),
        "output_linear.bias": (hidden,),
    }
    if mixer == "amlp":
        shapes |= {
            "sgu.attn.proj_qkv.weight": (3 * dim, 8 * hidden),
            "sgu.attn.proj_qkv.bias": (3 * dim,),
            "sgu.attn.proj_ffn.weight": (4 * hidden, dim),
            "sgu.attn.proj_ffn.bias": (4 * hidden,),
        }
    return shapes


@pytest.mark.parametrize("mixer", ["gmlp", "amlp"])
def test_every_weight_goes_out_under_its_name_and_shape_and_comes_back(mixer):
    changes = {"attention_config": ["global", mixer]}
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    layer = {name: tuple(tensor.shape) for name, tensor in theirs.items() if name.startswith("sequential.3.")}
    assert layer == {f"sequential.3.{name}": shape for name, shape in upstream(mixer).items()}
    back = converter(**changes).read(theirs)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_biases_that_gpt_neox_never_adds_are_left_out():
    changes = {"attention_config": ["gmlp", "gmlp"]}
    theirs = converter(**changes).write(model(**changes).state_dict())
    added = {name: tensor + 1 if name.endswith("linear.bias") else tensor for name, tensor in theirs.items()}
    assert not torch.equal(added["sequential.2.input_linear.bias"], theirs["sequential.2.input_linear.bias"])
    plain, read = converter(**changes).read(theirs), converter(**changes).read(added)
    assert all(torch.equal(plain[name], read[name]) for name in plain)


def test_an_amlp_without_attention_has_no_weights_for_it():
    changes = {"attention_config": ["amlp", "amlp"], "gmlp_attn_dim": None}
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    assert not any("attn" in name for name in theirs)
    assert converter(**changes).read(theirs).keys() == ours.keys()


def test_norms_have_the_names_of_their_kind():
    changes = {"attention_config": ["gmlp", "gmlp"], "norm": "rmsnorm"}
    theirs = converter(**changes).write(model(**changes).state_dict())
    assert "sequential.2.sgu.norm.scale" in theirs
