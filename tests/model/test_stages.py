"""A model that is cut into stages is the same model."""

from __future__ import annotations

import pytest
import torch
from training_models import SEQ_LENGTH, model, resolve, tokens

from neox_core.model import LanguageModel
from neox_core.parallel import Stage, copies_of, is_copy

LAYERS = {"num_layers": 3}
PROMPT = {"soft_prompt_tuning": {"enabled": True, "num_tokens": 4, "init_range": 0.3}}
RPE = {"pos_emb": "rpe", "rpe_max_distance": 8, "rpe_num_buckets": 4}
KINDS = [
    {},
    {"no_weight_tying": False},
    RPE,
    {"pos_emb": "learned", "no_weight_tying": False},
    PROMPT,
    {"hidden_dropout": 0.3, "attention_dropout": 0.2},
    {"checkpoint_activations": True, "checkpoint_num_layers": 2, "hidden_dropout": 0.3},
]
CUTS = [(range(2), range(2, 3)), (range(0), range(3), range(3, 3)), (range(1), range(1, 2), range(2, 3))]


def stages(cuts, **changes):
    return [
        LanguageModel(*resolve(**LAYERS, **changes), stage=Stage(layers, index, len(cuts)))
        for index, layers in enumerate(cuts)
    ]


def through(parts, *inputs):
    """The output of stages one after the other."""
    carry = parts[0].begin(*inputs)
    for part in parts:
        carry = part.run(carry)
    return parts[-1].end(carry)


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_stages_compute_what_the_model_computes(kind, cuts):
    whole, parts = model(**LAYERS, **kind).train(), stages(cuts, **kind)
    documents = (torch.arange(SEQ_LENGTH) >= torch.tensor([[5], [0]])).long()
    positions = torch.arange(SEQ_LENGTH) - torch.tensor([[5], [0]]) * documents
    for inputs in ((tokens(),), (tokens(), positions, documents)):
        expected = whole(*inputs).logits()
        found = through(parts, *inputs).logits()
        torch.testing.assert_close(found, expected, atol=0, rtol=0)
    expected.square().mean().backward()
    found.square().mean().backward()
    summed = {}
    for part in parts:
        for name, parameter in part.named_parameters():
            if parameter.grad is not None:
                summed[name] = summed.get(name, 0) + parameter.grad
    for name, parameter in whole.named_parameters():
        assert (parameter.grad is None) is (name not in summed), name
        if parameter.grad is not None:
            torch.testing.assert_close(summed[name], parameter.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_parameter_is_on_one_stage_or_a_copy_that_is_said_to_be_one(kind):
    parts, expected = stages(CUTS[2], **kind), dict(model(**LAYERS, **kind).named_parameters())
    for index, part in enumerate(parts):
        for name, parameter in part.named_parameters():
            torch.testing.assert_close(parameter, expected[name], atol=0, rtol=0)
            copies = copies_of(parameter)
            assert copies is None or copies.stage == index
            holders = [number for number, other in enumerate(parts) if name in dict(other.named_parameters())]
            assert holders == ([index] if copies is None else [*copies.stages])
    answered = [name for part in parts for name, p in part.named_parameters() if not is_copy(p)]
    assert sorted(answered) == sorted(expected)
    assert sum(part.num_parameters() for part in parts) == model(**LAYERS, **kind).num_parameters()
    whole = model(**LAYERS, **kind).flops_per_token(SEQ_LENGTH)
    assert sum(part.flops_per_token(SEQ_LENGTH) for part in parts) == pytest.approx(whole)


def test_stages_share_tied_embeddings_tables_of_biases_and_nothing_else():
    def held(**changes):
        return [{name for name, _ in part.named_parameters()} & SHARED for part in stages(CUTS[2], **changes)]

    assert held() == [{"embedding.weight"}, set(), set()]
    assert held(no_weight_tying=False) == [{"embedding.weight"}, set(), {"embedding.weight"}]
    assert held(**RPE) == [SHARED, {"embedding.positions.weight"}, {"embedding.positions.weight"}]
    assert held(pos_emb="learned") == [SHARED, set(), set()]


SHARED = {"embedding.weight", "embedding.positions.weight"}
