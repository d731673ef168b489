"""What `sparsity_config` may say, and how mistakes in it are told."""

from __future__ import annotations

import pytest
from neox_attention.settings.sparse import SparseSettings, SparsityConfig
from neox_attention.sparse.rules import COMMON, VARIANTS
from training_models import plugins, resolve

from neox_core.errors import SettingsError


def problems(attention, **config):
    """What is told, as text."""
    layers = [attention, attention] if isinstance(attention, str) else attention
    try:
        resolve(attention_config=layers, sparsity_config=config)
    except SettingsError as error:
        return " | ".join(str(problem) for problem in error.problems)
    return ""


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"blok": 16}, "it has no 'blok', did you mean 'block'?"),
        ({"num_sliding_blocks": 3}, "did you mean 'num_sliding_window_blocks'?"),
        ({"block": 0}, "block 0 is not a whole number > 0"),
        ({"block": 16.0}, "block 16.0 is not a whole number > 0"),
        ({"block": True}, "block true is not a whole number > 0"),
        ({"num_local_blocks": "4"}, 'num_local_blocks "4" is not a whole number > 0'),
        ({"num_random_blocks": -1}, "num_random_blocks -1 is not a whole number >= 0"),
        ({"different_layout_per_head": "yes"}, 'different_layout_per_head "yes" is not true or false'),
        ({"local_window_blocks": 4}, "local_window_blocks 4 is not a list of whole numbers > 0"),
        ({"local_window_blocks": [4, 0]}, "local_window_blocks [4, 0] is not a list of whole numbers > 0"),
        ({"local_window_blocks": []}, "local_window_blocks [] is not"),
        ({"global_block_indices": [-1]}, "global_block_indices [-1] is not a list of whole numbers >= 0"),
    ],
)
def test_a_key_or_value_that_no_variant_has_is_told(config, told):
    assert told in problems("global", **config)


def test_all_mistakes_are_told_at_once():
    told = problems("local", blok=16, num_local_blocks=0)
    assert "num_local_blocks 0 is not a whole number > 0" in told
    assert "it has no 'blok'" in told


@pytest.mark.parametrize(
    ("variant", "config", "told"),
    [
        (
            "sparse_fixed",
            {"num_local_blocks": 5, "num_global_blocks": 2},
            "num_global_blocks 2 does not divide num_local_blocks 5",
        ),
        ("sparse_fixed", {"num_global_blocks": 3}, "num_global_blocks 3 does not divide num_local_blocks 4"),
        ("sparse_fixed", {"num_global_blocks": 0}, "num_global_blocks 0 does not divide num_local_blocks 4"),
        ("sparse_fixed", {"num_different_global_patterns": 2}, "set different_layout_per_head: true"),
        (
            "sparse_fixed",
            {"num_different_global_patterns": 3, "num_global_blocks": 2, "different_layout_per_head": True},
            "num_different_global_patterns 3 is more than num_local_blocks 4 / num_global_blocks 2 (there are 2)",
        ),
        (
            "sparse_variable",
            {"global_block_indices": [0, 5], "global_block_end_indices": [1]},
            "2 global_block_indices have 1 global_block_end_indices",
        ),
        (
            "bslongformer",
            {"global_block_indices": [3], "global_block_end_indices": [3]},
            "the global blocks that begin at 3 end at 3, exclusive (give global_block_end_indices > 3)",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_told(variant, config, told):
    assert told in problems(variant, **config)
    assert variant in problems(variant, **config)


def test_a_rule_of_one_variant_is_none_of_another():
    assert problems(["local", "bigbird"], num_local_blocks=5, num_global_blocks=2) == ""
    assert "sparse_fixed" in problems(["sparse_fixed", "bigbird"], num_local_blocks=5, num_global_blocks=2)


def test_a_key_of_a_variant_that_no_layer_has_is_told():
    told = problems("local", num_random_blocks=1)
    assert "num_random_blocks is not read by local (remove it; it belongs to sparse_variable, bigbird)" in told
    assert problems([["local", "sparse_fixed"], 1][0], num_different_global_patterns=1, num_local_blocks=4) == ""


def test_without_sparse_layers_a_valid_dictionary_does_nothing():
    assert problems("global", num_random_blocks=1) == ""


def test_patterns_of_layers_and_qualified_names_are_looked_into():
    assert "sparse_fixed" in problems([[["global", "sparse_fixed"], "all"]], num_global_blocks=3)
    assert "sparse_fixed" in problems(["neox-toolkit/Sparse_Fixed", "global"], num_global_blocks=3)


def test_the_rules_know_every_variant_and_every_key():
    sparse = {
        offer.component.name
        for offer in plugins().offers("attention")
        if any("SparseSettings" in reference for reference in offer.component.settings)
    }
    assert sparse == set(VARIANTS)
    assert COMMON.union(*(variant.keys for variant in VARIANTS.values())) == set(SparsityConfig.model_fields)


def test_the_description_names_every_key():
    description = SparseSettings.model_fields["sparsity_config"].description
    assert all(key in description for key in SparsityConfig.model_fields)


def test_nothing_given_is_gpt_neox_s_defaults():
    resolved, _ = resolve(attention_config=["local", "local"])
    assert resolved[SparseSettings].sparsity == SparsityConfig()
