"""Whatever the settings combine: it is refused with a sentence, or the model learns, sees nothing of later tokens and generates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from training_models import model, plugins, resolve, tokens
from whole_matrix import WHOLE

from neox_core.config import GATED
from neox_core.errors import UserError
from neox_core.model.tables import TABLES
from neox_core.training.components import component_problems

LENGTH = 24
SIZE = {
    "num_layers": 3,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "seq_length": LENGTH,
    "max_position_embeddings": 40,
}
HERE = {kind: sorted(name for name in table if not name.startswith("te_")) for kind, table in TABLES.items()}

ARCHITECTURES = st.fixed_dictionaries(
    {
        "attention_config": st.lists(st.sampled_from(plugins().names("attention")), min_size=3, max_size=3),
        "norm": st.sampled_from(HERE["norm"]),
        "pos_emb": st.sampled_from(HERE["position"]),
        "activation": st.sampled_from(HERE["activation"]),
    },
    optional={
        "num_kv_heads": st.sampled_from([1, 2]),
        "gpt_j_residual": st.booleans(),
        "gpt_j_tied": st.booleans(),
        "no_weight_tying": st.booleans(),
        "use_qk_layernorm": st.booleans(),
        "use_bias_in_mlp": st.booleans(),
        "use_bias_in_attn_linear": st.booleans(),
        "sliding_window_width": st.integers(1, 30),
        "rotary_pct": st.sampled_from([0.25, 0.5, 1.0]),
        "hidden_dropout": st.sampled_from([0.0, 0.1]),
        "checkpoint_activations": st.booleans(),
        "checkpoint_num_layers": st.integers(1, 3),
        "init_method": st.sampled_from(["normal", "orthogonal", "xavier_uniform", "wang_init"]),
        "soft_prompt_tuning": st.just({"enabled": True, "num_tokens": 3}),
        "label_smoothing": st.just(0.1),
        "compat": st.just("gpt-neox"),
    },
)


def accepted(changes):
    """Whether the settings hold; every problem is a sentence that names a key."""
    try:
        resolved, manager = resolve(**SIZE, **changes)
    except UserError as error:
        assert any(key in str(error) for key in changes), error
        return False
    problems = [*resolved.limitations, *component_problems(resolved, manager)]
    assert all(set(problem.keys) & changes.keys() for problem in problems), problems
    return not problems


def sized(changes):
    gated = changes["activation"].casefold() in GATED
    return {**changes, "intermediate_size": 192 if gated else 64}


def check_learning(network, *, attention_counts):
    network.train()
    loss = network(tokens(2, LENGTH)).token_losses(tokens(2, LENGTH, seed=1), 0.1).mean()
    loss.backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert loss.isfinite()
    assert all(parameter.grad is None or bool(parameter.grad.isfinite().all()) for parameter in trained)
    if attention_counts:  # without it a prompt changes nothing
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)


@torch.no_grad()
def check_causality(network):
    network.eval()
    text = tokens(2, LENGTH)
    before = network(text).logits()
    text[:, 15] = (text[:, 15] + 1) % 61
    assert torch.equal(network(text).logits()[:, :15], before[:, :15])


@torch.no_grad()
def check_generating(network):
    text = tokens(2, LENGTH)
    caches = network.new_caches(2, LENGTH)
    cuts = [(0, 9), (9, 10), (10, 11), (11, LENGTH)]
    pieces = [network(text[:, a:b], torch.arange(a, b)[None], caches=caches).logits() for a, b in cuts]
    torch.testing.assert_close(torch.cat(pieces, 1), network(text).logits(), atol=1e-6, rtol=0)


@settings(max_examples=600 if WHOLE else 40)
@given(ARCHITECTURES.map(sized))
def test_any_architecture_is_refused_or_works(changes):
    if not accepted(changes):
        return
    network = model(**SIZE, **changes)
    check_learning(network, attention_counts="compat" not in changes)
    if changes.get("compat") and {"rwkv"} & set(changes["attention_config"]):
        return  # it mixes over the samples there
    check_causality(network)
    check_generating(network.double())  # layers of random weights multiply what float32 rounds


@pytest.mark.parametrize("name", plugins().names("attention"))
def test_each_mixer_is_accepted_with_the_plainest_settings(name):
    assert accepted({"attention_config": [name] * 3, "pos_emb": "none"})
