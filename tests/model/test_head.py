"""Losses of the head: in one go or in pieces, with weights of its own or the embedding's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from training_models import model, resolve, tokens

from neox_core.config import ModelSettings
from neox_core.model import Head, HeadOutput, head as module


def losses_and_gradients(chunk_rows, monkeypatch, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 9, 8, generator=random, dtype=dtype, requires_grad=True)
    weight = torch.randn(24, 8, generator=random, dtype=dtype, requires_grad=True)
    targets = torch.randint(24, (2, 9), generator=random)
    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 24 * chunk_rows)
    losses = HeadOutput(hidden, weight, torch.zeros(())).token_losses(targets)
    (losses * torch.arange(18.0).view(2, 9)).sum().backward()
    expected = functional.cross_entropy((hidden @ weight.T).flatten(0, 1), targets.flatten(), reduction="none")
    return losses, hidden.grad, weight.grad, expected.view(2, 9)


@pytest.mark.parametrize("rows", [1, 4, 17])
def test_losses_in_pieces_are_those_in_one_go(rows, monkeypatch):
    whole, pieces = losses_and_gradients(18, monkeypatch), losses_and_gradients(rows, monkeypatch)
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_losses_are_cross_entropy(monkeypatch):
    found, _, _, expected = losses_and_gradients(18, monkeypatch)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)
    assert found.dtype == torch.float32


def test_untied_weights_are_two():
    network = model(no_weight_tying=True)
    assert {"embedding.weight", "head.weight"} <= dict(network.named_parameters()).keys()
    torch.testing.assert_close(network(tokens()).weight, network.head.weight)


def test_tied_weights_are_one_and_learn_from_both_sides():
    network = model(no_weight_tying=False)
    assert "head.weight" not in dict(network.named_parameters())
    output = network(tokens())
    assert output.weight is network.embedding.weight
    unused = sorted(set(range(61)) - set(tokens().flatten().tolist()))
    output.token_losses(tokens(seed=1)).mean().backward()
    assert network.embedding.weight.grad[unused].abs().sum() > 0, "rows that were not looked up learn from the head"


def test_a_tied_head_must_be_given_the_weight():
    head = Head(resolve(no_weight_tying=False)[0][ModelSettings], 8)
    with pytest.raises(ValueError, match="must be called with the embedding's"):
        head(torch.zeros(1, 1, 16), torch.zeros(()))
