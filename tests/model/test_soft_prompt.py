"""A soft prompt stands before every sequence as tokens would."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from neox_commands.sampling import Sampling, generate
from training_models import SEQ_LENGTH, VOCABULARY, model, plugins, resolve, tokens

from neox_core.errors import SettingsError
from neox_core.parallel import generator

LENGTH = 3
PROMPT = {"soft_prompt_tuning": {"enabled": True, "num_tokens": LENGTH, "init_range": 0.3}}
KINDS = [
    {},
    {"pos_emb": "alibi"},
    {"pos_emb": "none", "sliding_window_width": 4},
    {"pos_emb": "rpe", "rpe_max_distance": 8, "rpe_num_buckets": 4},
]
SPATIAL = {"gmlp", "amlp"}
"""Mixers with weights for the positions of a sample, of which none are left for a prompt; settings with both are refused."""


@torch.no_grad()
def prompted(**changes):
    """A model whose prompt has the embeddings of tokens, the same without a prompt, and those tokens."""
    network, plain, words = model(**PROMPT, **changes), model(**changes), tokens(1, LENGTH, seed=7)
    for name, weight in plain.named_parameters():  # some begin at zero, which hides what they multiply
        weight += 0.1 * torch.randn(weight.shape, generator=generator(0, name))
    network.load_state_dict(plain.state_dict(), strict=False)
    network.embedding.soft_prompt.weight.copy_(network.embedding.weight[words[0]])
    return network, plain, words


@pytest.mark.parametrize("kind", KINDS, ids=str)
@torch.no_grad()
def test_it_is_as_good_as_tokens_before_the_text(kind):
    network, plain, words = prompted(**kind)
    text = tokens(2)
    expected = plain(torch.cat((words.expand(2, -1), text), 1)).logits()[:, LENGTH:]
    found = network(text).logits()
    assert found.shape == (2, SEQ_LENGTH, 64)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mixer", sorted({*plugins().names("attention")} - SPATIAL))
@torch.no_grad()
def test_every_mixer_sees_it(mixer):
    network, plain, words = prompted(attention_config=[[[mixer], "all"]], pos_emb="none")
    text = tokens(2, SEQ_LENGTH - LENGTH)
    expected = plain(torch.cat((words.expand(2, -1), text), 1)).logits()[:, LENGTH:]
    found = network(text).logits()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float((plain(text).logits() - found).abs().max()) > 1e-4
    own, padding = torch.arange(text.shape[1]), torch.tensor([[0], [4]])
    padded = network(text, (own - padding).clamp(min=0), (own >= padding).long()).logits()
    torch.testing.assert_close(padded[1, 4:], network(text[1:, 4:]).logits()[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_learned_positions_of_tokens_begin_after_it():
    network, plain, words = prompted(pos_emb="learned")
    network.embedding.soft_prompt.weight.add_(plain.embedding.positions.weight[:LENGTH])
    text = tokens(2)
    expected = plain(torch.cat((words.expand(2, -1), text), 1)).logits()[:, LENGTH:]
    torch.testing.assert_close(network(text).logits(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@torch.no_grad()
def test_in_a_padded_batch_it_stands_before_each_text(kind):
    network, _, _ = prompted(**kind)
    text, padding = tokens(2), torch.tensor([0, 4])
    own = torch.arange(SEQ_LENGTH)
    documents = (own >= padding[:, None]).long()
    positions = (own - padding[:, None]).clamp(min=0)
    found = network(text, positions, documents).logits()
    for row, skipped in enumerate(padding):
        alone = network(text[row : row + 1, skipped:]).logits()[0]
        torch.testing.assert_close(found[row, skipped:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cuts", [range(SEQ_LENGTH + 1), (0, 5, 6, SEQ_LENGTH)], ids=str)
@torch.no_grad()
def test_with_caches_it_is_put_in_once(padded, cuts):
    network, _, _ = prompted()
    text = tokens(2)
    documents = torch.tensor([[0] * 2 + [1] * 10, [1] * 12]) if padded else None
    if padded and cuts[1] < 3:
        cuts = (0, *cuts[3:])  # the first call must reach into each row's text
    positions = torch.arange(SEQ_LENGTH)[None] - (torch.tensor([[2], [0]]) if padded else 0)
    positions = positions.clamp(min=0)
    caches, found = network.new_caches(2, SEQ_LENGTH), []
    for start, stop in pairwise(cuts):
        there = None if documents is None else documents[:, start:stop]
        found.append(network(text[:, start:stop], positions[:, start:stop], there, caches).logits())
    expected = network(text, positions, documents).logits()
    read = documents.bool() if padded else torch.ones(2, SEQ_LENGTH, dtype=torch.bool)
    torch.testing.assert_close(torch.cat(found, 1)[read], expected[read], atol=1e-5, rtol=1e-5)


def test_generating_goes_on_as_it_would_after_the_tokens():
    network, plain, words = prompted()
    options = {"count": 8, "sampling": Sampling(), "vocabulary": VOCABULARY}
    found = list(generate(network, [5, 6], limit=network.context_length, **options))
    assert found == list(generate(plain, [*words[0].tolist(), 5, 6], limit=64, **options))


def test_nothing_but_the_prompt_is_trained():
    network = model(**PROMPT)
    network(tokens()).token_losses(tokens(seed=1)).mean().backward()
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {"embedding.soft_prompt.weight"}
    assert {name for name, p in network.named_parameters() if p.grad is not None} == {"embedding.soft_prompt.weight"}
    assert network.embedding.soft_prompt.weight.grad.abs().min(1).values.gt(0).all()


def test_it_begins_uniformly():
    prompt = {"enabled": True, "n_tokens": 400, "init_range": 0.3}
    weight = model(soft_prompt_tuning=prompt, max_position_embeddings=512).embedding.soft_prompt.weight.detach()
    assert weight.shape == (400, 16)
    assert 0.299 < float(weight.abs().max()) <= 0.3
    assert float(weight.std()) == pytest.approx(0.3 / 3**0.5, rel=0.02)
    assert abs(float(weight.mean())) < 0.01


def test_the_rest_of_the_model_begins_as_without_it():
    plain = dict(model().named_parameters())
    found = dict(model(**PROMPT).named_parameters())
    assert found.keys() - plain.keys() == {"embedding.soft_prompt.weight"}
    assert all(torch.equal(found[name], weight) for name, weight in plain.items())


def test_it_costs_no_operations_as_a_weight():
    assert model(**PROMPT).flops_per_token(12) == model().flops_per_token(12)


@pytest.mark.parametrize("options", [None, {}, {"enabled": False}, {"enabled": False, "num_tokens": 5}])
def test_there_is_none_unless_it_is_enabled(options):
    network = model(soft_prompt_tuning=options)
    assert network.embedding.soft_prompt is None
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_tokens": 4}, "enabled must be given (true or false)"),
        ({"enabled": True, "num_token": 4}, "there is no such option 'num_token' (did you mean 'num_tokens'?)"),
        ({"enabled": True, "num_tokens": 0}, "num_tokens: 0 is not a whole number > 0"),
        ({"enabled": True, "n_tokens": 1.5}, "n_tokens: 1.5 is not a whole number > 0"),
        ({"enabled": True, "n_tokens": 1, "num_tokens": 1}, "num_tokens and n_tokens are both given"),
        ({"enabled": "yes"}, "enabled: 'yes' is not true or false"),
        ({"enabled": True, "init_string": 3}, "init_string: 3 is not text"),
        ({"enabled": False, "init_range": -1.0}, "init_range: -1.0 is not a number > 0"),
    ],
)
def test_a_mistake_in_the_mapping_is_told(options, message):
    with pytest.raises(SettingsError) as caught:
        resolve(soft_prompt_tuning=options)
    assert f"soft_prompt_tuning: {message}" in str(caught.value)


def test_all_mistakes_in_the_mapping_are_told():
    with pytest.raises(SettingsError) as caught:
        resolve(soft_prompt_tuning={"enabled": 1, "num_tokens": "a"})
    assert len(caught.value.problems) == 2


def test_learned_positions_must_have_room_for_it():
    options = {"enabled": True, "num_tokens": 53}
    with pytest.raises(SettingsError, match="a prompt of 53 and seq_length 12 come to 65 learned positions"):
        resolve(soft_prompt_tuning=options, pos_emb="learned")
    assert resolve(soft_prompt_tuning={**options, "num_tokens": 52}, pos_emb="learned")
    assert resolve(soft_prompt_tuning=options, pos_emb="rotary")
