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
    assert output.weight.data_ptr() == network.embedding.weight.data_ptr()
    unused = sorted(set(range(61)) - set(tokens().flatten().tolist()))
    output.token_losses(tokens(seed=1)).mean().backward()
    assert network.embedding.weight.grad[unused].abs().sum() > 0, "rows that were not looked up learn from the head"


def test_a_tied_head_must_be_given_the_weight():
    head = Head(resolve(no_weight_tying=False)[0][ModelSettings], 8)
    with pytest.raises(ValueError, match="must be called with the embedding's"):
        head(torch.zeros(1, 1, 16))


def float64_logits(hidden, weight):
    return (hidden.double() @ weight.double().T).flatten(0, 1)


@pytest.fixture
def output():
    random = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(2, 9, 8, generator=random), torch.randn(24, 8, generator=random)
    return HeadOutput(hidden.requires_grad_(), weight.requires_grad_(), torch.zeros(()))


TARGETS = torch.randint(24, (2, 9), generator=torch.Generator().manual_seed(1))


def test_label_smoothing_mixes_in_the_mean_over_the_vocabulary(output):
    log_probabilities = float64_logits(output.hidden, output.weight).log_softmax(-1)
    right = log_probabilities.gather(1, TARGETS.flatten()[:, None])[:, 0]
    expected = -(0.9 * right + 0.1 * log_probabilities.mean(-1)).view(2, 9)
    torch.testing.assert_close(output.token_losses(TARGETS, 0.1).double(), expected, atol=1e-5, rtol=1e-5)


def test_z_loss_adds_the_squared_logarithm_of_the_denominator(output):
    expected = 0.01 * float64_logits(output.hidden, output.weight).exp().sum(-1).log().square().view(2, 9)
    added = output.token_losses(TARGETS, z_loss=0.01) - output.token_losses(TARGETS)
    torch.testing.assert_close(added.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_cross_entropy_is_computed_in_the_format_asked_for(output, dtype):
    half = HeadOutput(output.hidden.half(), output.weight.half(), output.aux)
    found, exact = half.token_losses(TARGETS, dtype=dtype), half.token_losses(TARGETS)
    assert found.dtype == torch.float32
    assert torch.equal(found, found.half().float()) == (dtype == torch.float16)
    torch.testing.assert_close(found, exact, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "z_loss": 0.01}])
def test_logits_are_never_kept_whole(output, monkeypatch, options):
    def kept(chunk_rows):
        monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 24 * chunk_rows)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            output.token_losses(TARGETS, **options)
        return sum(sizes) - (sizes.count(output.weight.numel()) * output.weight.numel())

    inputs = output.hidden.numel() + TARGETS.numel()
    assert kept(18) >= output.logits().numel(), "in one go they are, so that this test sees them"
    assert kept(4) <= 2 * inputs < output.logits().numel()


@pytest.mark.parametrize("tied", [True, False])
def test_a_reward_model_gives_one_score_a_token(tied):
    network = model(train_impl="rewarding", no_weight_tying=not tied)
    assert network.head.weight.shape == (1, 16)
    output = network(tokens())
    scores = output.scores()
    assert scores.shape == (2, 12)
    torch.testing.assert_close(scores[1, 5], output.hidden[1, 5] @ network.head.weight[0])


def test_a_reward_model_in_bfloat16_scores_in_float32():
    assert model(torch.bfloat16, train_impl="rewarding")(tokens()).scores().dtype == torch.float32


def test_a_reward_model_has_gpt_neoxs_name_in_its_checkpoints():
    resolved, plugins = resolve(train_impl="rewarding")
    network, converter = model(train_impl="rewarding"), plugins.make("converter", "gpt-neox", resolved)
    theirs = converter.write(dict(network.named_parameters()))
    assert torch.equal(theirs["sequential.6.rm_linear.weight"], network.head.weight)
    assert not any("final_linear" in name for name in theirs)
    assert converter.read(theirs).keys() == dict(network.named_parameters()).keys()


def test_other_objectives_have_logits():
    assert resolve()[0].head == "logits"
    assert resolve(train_impl="rewarding")[0].head == "reward"
