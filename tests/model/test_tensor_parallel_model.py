"""A model that is cut over tensor-parallel ranks computes what the whole one does: losses, logits and gradients."""

from __future__ import annotations

import pytest
from whole_matrix import in_whole

DROPOUT = {"hidden_dropout": 0.2, "attention_dropout": 0.3, "train": True}
CASES = {
    "plain": {},
    "one shared key/value head": {"num_kv_heads": 1},
    "two shared key/value heads": {"num_kv_heads": 2},
    "gated, without biases": {
        "activation": "swiglu",
        "norm": "rmsnorm",
        "use_bias_in_mlp": False,
        "use_bias_in_attn_linear": False,
    },
    "a width that no number of ranks divides": {"intermediate_size": 37},
    "parallel residual": {"gpt_j_residual": True},
    "parallel residual, one norm": {"gpt_j_residual": True, "gpt_j_tied": True},
    "tied embeddings": {"no_weight_tying": False},
    "a vocabulary that no number of ranks divides": {"rows": 67},
    "relative biases": {"pos_emb": "rpe"},
    "alibi": {"pos_emb": "alibi"},
    "learned positions": {"pos_emb": "learned"},
    "norms of queries and keys over all heads": {"use_qk_layernorm": True},
    "norms of queries and keys by head": {"use_qk_layernorm": True, "norm": "rmsnorm", "num_kv_heads": 1},
    "norms of queries and keys with one weight": {"use_qk_layernorm": True, "norm": "scalenorm"},
    "smoothed labels and z-loss": {"label_smoothing": 0.1, "z_loss": 0.01},
    "dropout": DROPOUT,
    "dropout computed again": {**DROPOUT, "checkpoint_activations": True},
    "what is kept cut over ranks": {**DROPOUT, "checkpoint_activations": True, "partition_activations": True},
    "what is kept of selective recomputation cut": {
        "checkpoint_activations": True,
        "checkpoint_policy": "selective",
        "partition_activations": True,
        "train": True,
    },
    "a mixture": {"moe_num_experts": 3, "moe_type": "torch", "moe_top_k": 2, "moe_router_type": "topk"},
    "parallel residual with dropout": {"gpt_j_residual": True, **DROPOUT},
    "sparse attention by head": {
        "attention_config": [[["sparse_variable"], "all"]],
        "sparsity_config": {"block": 4, "num_random_blocks": 1, "different_layout_per_head": True},
    },
    "mamba": {"attention_config": ["mamba", "mamba"], "mamba_use_bias_in_linears": True},
    "mamba, a width that no number of ranks divides": {
        "attention_config": ["mamba", "global"],
        "intermediate_size": 37,
    },
    "rwkv": {"attention_config": ["rwkv", "rwkv"], **DROPOUT},
    "rwkv, samples mixed as in GPT-NeoX": {"attention_config": ["rwkv", "rwkv"], "compat": "gpt-neox", "dim_att": 24},
    "gmlp": {"attention_config": ["gmlp", "gmlp"], **DROPOUT},
    "gmlp, other norms": {"attention_config": ["gmlp", "gmlp"], "norm": "rmsnorm", "activation": "swiglu"},
    "gmlp, norms of a single weight": {"attention_config": ["gmlp", "global"], "norm": "scalenorm"},
    "amlp": {"attention_config": ["amlp", "amlp"], "gmlp_attn_dim": 8, **DROPOUT},
}


FOUR_MATTER = {
    *("plain", "one shared key/value head", "two shared key/value heads", "a width that no number of ranks divides"),
    *("a vocabulary that no number of ranks divides", "relative biases", "alibi", "norms of queries and keys by head"),
    *("dropout", "what is kept cut over ranks", "a mixture", "sparse attention by head", "gmlp", "amlp", "rwkv"),
    "mamba, a width that no number of ranks divides",
}
"""Cases in which four ranks are something else than two; two that cut tokens too are always tried."""


@pytest.mark.drawn(6)
@pytest.mark.parametrize("ranks", [in_whole(2), 4])
@pytest.mark.parametrize("case", [case if case in FOUR_MATTER else in_whole(case) for case in CASES])
def test_a_cut_model_computes_what_the_whole_one_does(case, ranks, workers):
    for differences in workers(ranks).run("cut_models:largest_differences", **CASES[case]):
        assert max(differences.values()) < 1e-9, differences


@pytest.mark.drawn(12)
@pytest.mark.parametrize("case", CASES)
def test_so_does_one_that_cuts_tokens_too(case, workers):
    for differences in workers(2).run("cut_models:largest_differences", sequence_parallel=True, **CASES[case]):
        assert max(differences.values()) < 1e-9, differences


@pytest.mark.parametrize(
    "case", ["one shared key/value head", "a vocabulary that no number of ranks divides", "gmlp, other norms"]
)
def test_so_does_one_on_three_ranks(case, workers):
    size = {"hidden_size": 24, "num_attention_heads": 6}
    for differences in workers(3).run("cut_models:largest_differences", sequence_parallel=True, **size, **CASES[case]):
        assert max(differences.values()) < 1e-9, differences


@pytest.mark.parametrize("sequence", [in_whole(False), in_whole(True)])
def test_so_does_a_compiled_one(sequence, workers):
    changes = {"torch_compile": True, "num_layers": 1, "sequence_parallel": sequence}
    for differences in workers(2).run("cut_models:largest_differences", **changes):
        assert max(differences.values()) < 1e-9, differences


def test_ranks_with_other_shares_of_the_vocabulary_make_losses_in_the_same_pieces(workers):
    # 8 rows of 33 logits, the one rank's, or 7 of 34, the other's.
    pieces, shares = 4 * 33 * 8, CASES["a vocabulary that no number of ranks divides"]
    for differences in workers(2).run("cut_models:largest_differences_in_pieces", pieces, **shares):
        assert max(differences.values()) < 1e-9, differences
