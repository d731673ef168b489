"""Which units are dropped follows from the seed and the place alone."""

from __future__ import annotations

import pytest
import torch
from training_models import model, tokens

DROPOUT = {"hidden_dropout": 0.3, "attention_dropout": 0.2}


def outputs(network, *, step=0, micro_batch=0):
    network.random.step, network.random.micro_batch = step, micro_batch
    with torch.no_grad():
        return network(tokens()).logits()


def test_the_same_place_drops_the_same_units_whatever_was_drawn_before():
    network = model(**DROPOUT).train()
    first = outputs(network)
    torch.rand(7)
    assert torch.equal(first, outputs(network))


@pytest.mark.parametrize("place", [{"step": 1}, {"micro_batch": 1}])
def test_another_place_drops_others(place):
    network = model(**DROPOUT).train()
    assert not torch.equal(outputs(network), outputs(network, **place))


def test_another_seed_drops_others():
    one, other = model(**DROPOUT).train(), model(**DROPOUT, seed=7).train()
    other.load_state_dict(one.state_dict())
    assert not torch.equal(outputs(one), outputs(other))


def test_layers_drop_different_units():
    network = model(**DROPOUT).train()
    network.layers[1].load_state_dict(network.layers[0].state_dict())
    x = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(0))
    carry = (x, torch.arange(12)[None], None, torch.zeros(()))
    assert not torch.equal(network.layers[0](carry)[0], network.layers[1](carry)[0])


def test_nothing_is_dropped_in_evaluation():
    network = model(**DROPOUT)
    assert torch.equal(outputs(network), outputs(network, step=3))
    assert torch.equal(outputs(network), outputs(model()))


@pytest.mark.parametrize("policy", ["full", "selective"])
def test_what_is_computed_again_drops_the_same_units_though_the_engine_is_elsewhere(policy):
    def gradients(**changes):
        network = model(**DROPOUT, **changes).train()
        network.random.step, network.random.micro_batch = 3, 1
        loss = network(tokens()).token_losses(tokens(seed=1)).mean()
        network.random.step, network.random.micro_batch = 4, 0
        network(tokens(seed=2))
        loss.backward()
        return [parameter.grad for parameter in network.parameters()]

    kept, recomputed = gradients(), gradients(checkpoint_activations=True, checkpoint_policy=policy)
    assert all(torch.equal(one, other) for one, other in zip(kept, recomputed, strict=True))


def test_the_share_of_dropped_units_is_the_probability():
    network = model(hidden_dropout=0.25, num_layers=1).train()
    torch.nn.init.ones_(network.embedding.weight)
    kept = network.embedding(tokens(64, 64), torch.arange(64)[None])
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert float((kept == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
