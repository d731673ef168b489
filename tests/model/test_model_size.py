"""Numbers of parameters and of floating-point operations, counted by hand."""

from __future__ import annotations

import pytest
from training_models import model, resolve

from neox_core.errors import UserError
from neox_core.model import LanguageModel

PYTHIA = {"vocab_size": 50304, "make_vocab_size_divisible_by": 128, "num_layers": 6, "max_position_embeddings": 2048}


@pytest.mark.parametrize(
    ("hidden_size", "heads", "parameters"), [(128, 4, 14_067_712), (512, 8, 70_426_624)], ids=["14M", "70M"]
)
def test_pythia_has_as_many_parameters_as_published(hidden_size, heads, parameters):
    network = model(**PYTHIA, hidden_size=hidden_size, num_attention_heads=heads)
    assert network.num_parameters() == parameters
    looked_up = 50304 * hidden_size
    expected = 6 * (parameters - looked_up) + 12 * 6 * hidden_size * 2048
    assert network.flops_per_token(2048) == expected


def test_tied_weights_count_once_and_multiply():
    untied, tied = model(), model(no_weight_tying=False)
    assert untied.num_parameters() - tied.num_parameters() == 64 * 16
    assert untied.flops_per_token(12) == tied.flops_per_token(12)


def test_a_table_of_positions_multiplies_nothing():
    with_table, without = model(pos_emb="learned"), model(pos_emb="none")
    assert with_table.num_parameters() - without.num_parameters() == 64 * 16
    assert with_table.flops_per_token(12) == without.flops_per_token(12)


def test_the_embedding_has_the_padded_vocabulary():
    assert model(vocab_size=61, make_vocab_size_divisible_by=50).embedding.weight.shape == (100, 16)


def test_a_model_needs_a_vocabulary():
    with pytest.raises(UserError, match="set vocab_file to a tokenizer, or vocab_size"):
        LanguageModel(*resolve(vocab_size=None))
