"""GPT-NeoX's names to ours and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from training_models import model, resolve

from neox_core.errors import UserError
from neox_core.testing.recorded import rule_weights

GOLDEN = Path(__file__).parents[1] / "golden"
ARCHITECTURES = [
    {},
    {"norm": "rmsnorm"},
    {"pos_emb": "learned", "no_weight_tying": False},
    {"gpt_j_residual": True, "gpt_j_tied": True},
    {"activation": "SwiGLU", "intermediate_size": 48},
    {"use_bias_in_mlp": False, "use_bias_in_attn_linear": False, "num_layers": 3},
]


def converter(**changes):
    resolved, plugins = resolve(**changes)
    return plugins.make("converter", "gpt-neox", resolved)


@pytest.mark.parametrize("changes", ARCHITECTURES)
def test_every_weight_of_a_model_goes_out_and_comes_back(changes):
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    gates = [name for name in ours if ".gate." in name]  # whose rows are below those of `up` in theirs
    assert len(theirs) == len(ours) - len(gates)
    back = converter(**changes).read(theirs)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


@pytest.mark.parametrize("name", ["base", "pythia", "act_swiglu"])
def test_the_names_are_those_that_gpt_neox_recorded(name):
    fixture = json.loads((GOLDEN / f"{name}.json").read_text())
    config = fixture["config"]
    changes = {
        key: config[key]
        for key in ("num_layers", "norm", "pos_emb", "no_weight_tying", "gpt_j_residual")
        if key in config
    } | {key: config[key] for key in ("activation",) if key in config}
    theirs = {name: torch.from_numpy(rule_weights(name, shape)) for name, shape in fixture["params"].items()}
    made = converter(**changes)
    ours = made.read(theirs)
    assert torch.equal(ours["layers.1.mlp.down.weight"], theirs["sequential.3.mlp.linear2.weight"])
    assert made.write(ours).keys() == theirs.keys()


def test_a_weight_that_the_architecture_lacks_is_refused():
    theirs = converter().write(model().state_dict())
    for name in ("sequential.0.position_embeddings.weight", "sequential.4.mlp.linear1.weight", "nonsense"):
        with pytest.raises(UserError, match=f"'{name}' is not a weight of this architecture"):
            converter().read({**theirs, name: torch.zeros(1)})


def test_a_weight_that_is_missing_is_named():
    theirs = converter().write(model().state_dict())
    del theirs["sequential.3.attention.dense.bias"]
    with pytest.raises(UserError, match=r"'sequential\.3\.attention\.dense\.bias' is a weight .* and is not there"):
        converter().read(theirs)


def test_the_second_norm_of_a_tied_block_is_left_where_it_is():
    changes = {"gpt_j_residual": True, "gpt_j_tied": True}
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    unused = {"sequential.2.post_attention_layernorm.weight": torch.ones(16)}
    assert converter(**changes).read({**theirs, **unused}).keys() == ours.keys()


def test_grouped_queries_are_refused():
    with pytest.raises(UserError, match=r"num_kv_heads: 2: .* as many key/value heads as query heads"):
        converter(num_kv_heads=2)
