"""Models of transformers and ours compute the same from the same weights, whichever of the two the weights come from."""

from __future__ import annotations

import pytest
import torch
from foreign_models import CASES, ROWS, filled, their_model
from torch import Tensor, nn
from training_models import VOCABULARY, model, resolve, tokens


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def converter(case):
    resolved, plugins = resolve(**case.ours)
    return plugins.make("converter", case.converter, resolved)


def learned(network: nn.Module, logits: Tensor, samples: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and gradients by name."""
    nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), samples[:, 1:].flatten()).backward()
    return logits.detach(), {name: parameter.grad for name, parameter in network.named_parameters()}


def assert_the_same(case, ours, theirs):
    """Logits and gradients."""
    samples = tokens(2, 12)
    our_logits, our_gradients = learned(ours, ours(samples).logits(), samples)
    their_logits, their_gradients = learned(theirs, theirs(samples, use_cache=False).logits, samples)
    assert our_logits.abs().max() > 0.5
    torch.testing.assert_close(our_logits, their_logits, atol=1e-4, rtol=0)
    converted = converter(case).write(our_gradients)
    assert their_gradients.keys() <= converted.keys()
    for name, gradient in their_gradients.items():
        assert gradient.abs().max() > 1e-5, name
        torch.testing.assert_close(converted[name], gradient, atol=1e-3 * float(gradient.abs().max()), rtol=0, msg=name)


def test_their_weights_make_our_model_theirs(case):
    ours, theirs = model(**case.ours), filled(their_model(case))
    ours.load_state_dict(converter(case).read(theirs.state_dict()))
    assert_the_same(case, ours, theirs)


def test_our_weights_make_their_model_ours(case):
    ours, theirs = filled(model(**case.ours)), their_model(case)
    theirs.load_state_dict(converter(case).write(ours.state_dict()), strict=True)
    assert_the_same(case, ours, theirs)


def test_there_and_back_changes_nothing(case):
    ours = model(**case.ours).state_dict()
    back = converter(case).read(converter(case).write(ours))
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_the_window_is_shorter_than_the_samples():
    case = CASES["Mistral, a window of 5 tokens"]
    ours, theirs = model(**{**case.ours, "sliding_window_width": 5}), filled(their_model(case))
    ours.load_state_dict(converter(case).read(theirs.state_dict()))
    samples = tokens(1, 12)
    difference = (ours(samples).logits() - theirs(samples).logits).abs().amax((0, 2))
    assert difference[:5].max() < 1e-4 < 1e-2 < difference[5:].max()


def test_the_vocabulary_is_padded():
    assert VOCABULARY < ROWS == resolve()[0].padded_vocab_size
