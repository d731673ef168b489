"""Samples of several documents that do not see each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_models import SETTINGS, VOCABULARY, model, resolve

from neox_core.config import NeoXArgs, World
from neox_core.data.samples.sample import Sample
from neox_core.plugins import PluginManager, Switches
from neox_core.training.batches import Batches
from neox_core.training.components import component_problems

LENGTHS = (3, 6, 2, 5)


class OneSample:
    """A dataset of one sample, which holds documents of LENGTHS, and the token after them."""

    names = frozenset({"text", "document"})
    windows = 1

    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: int) -> Sample:
        tokens = np.random.default_rng(4).integers(0, VOCABULARY, sum(LENGTHS) + 1)
        return {"text": tokens, "document": np.repeat(np.arange(len(LENGTHS) + 1), [*LENGTHS, 1])}

    def sources(self, i):
        return {}


def batch(**settings):
    resolved, _ = resolve(train_micro_batch_size_per_gpu=1, **settings)
    return next(Batches(OneSample(), resolved, 0, ("labels", "loss_mask"), None))


@pytest.mark.parametrize("mixer", ["global", "rwkv", "mamba"])
def test_each_document_comes_to_what_it_comes_to_alone(mixer):
    settings = {"attention_config": [[[mixer], "all"]], "reset_attention_mask": True, "reset_position_ids": True}
    made = batch(**settings)
    network = model(attention_config=settings["attention_config"]).eval()
    with torch.no_grad():
        together = network(made["tokens"], made["positions"], made["documents"]).logits()
        begin = 0
        for length in LENGTHS:
            alone = network(made["tokens"][:, begin : begin + length]).logits()
            torch.testing.assert_close(together[:, begin : begin + length], alone, atol=1e-5, rtol=1e-4)
            begin += length
        mixed = network(made["tokens"]).logits()
    assert not torch.allclose(mixed[:, LENGTHS[0] :], together[:, LENGTHS[0] :], atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, set()),
        ({"reset_attention_mask": True}, {"documents"}),
        ({"reset_position_ids": True}, {"positions"}),
        ({"reset_attention_mask": True, "reset_position_ids": True}, {"documents", "positions"}),
    ],
)
def test_a_batch_has_what_is_asked_for(settings, fields):
    assert set(batch(**settings)) == {"tokens", "labels", "loss_mask", *fields}


def test_positions_begin_anew():
    places = [place for length in LENGTHS for place in range(length)]
    assert batch(reset_position_ids=True)["positions"].tolist() == [places]


@pytest.mark.parametrize(
    ("mixers", "refused"), [(["global"], False), (["passing"], True), (["global", "passing"], True)]
)
def test_a_mixer_that_cannot_is_refused(mixers, refused):
    plugins = PluginManager(Switches(modules=("passing_plugin",)))
    changes = {"attention_config": [[mixers, "all"]], "reset_attention_mask": True, "num_layers": 2}
    resolved = NeoXArgs.from_dict({**SETTINGS, **changes}, plugins=plugins).resolve(World.local())
    found = [str(problem) for problem in component_problems(resolved, plugins)]
    sentence = "asks for varlen, which attention 'passing' does not support"
    assert any(sentence in problem for problem in found) == refused
