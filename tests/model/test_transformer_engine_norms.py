"""Norms by Transformer Engine, with a stand-in for it that has torch's norms under the same names."""

from __future__ import annotations

import sys
import types

import pytest
from torch import nn
from training_models import resolve

from neox_core.config import ModelSettings
from neox_core.errors import UserError
from neox_core.model import make


def made(norm):
    resolved, plugins = resolve(norm=norm, layernorm_epsilon=0.25, rms_norm_epsilon=0.5)
    return make("norm", norm, plugins, 16, resolved[ModelSettings])


@pytest.mark.parametrize(("norm", "kind", "eps"), [("te_layernorm", "LayerNorm", 0.25), ("te_rmsnorm", "RMSNorm", 0.5)])
def test_they_have_the_settings_epsilon_and_do_not_decay(monkeypatch, norm, kind, eps):
    engine = types.ModuleType("transformer_engine.pytorch")
    engine.LayerNorm, engine.RMSNorm = nn.LayerNorm, nn.RMSNorm
    monkeypatch.setitem(sys.modules, "transformer_engine", types.ModuleType("transformer_engine"))
    monkeypatch.setitem(sys.modules, "transformer_engine.pytorch", engine)
    found = made(norm)
    assert (type(found).__name__, found.eps) == (kind, eps)
    assert all(parameter.no_weight_decay for parameter in found.parameters())


@pytest.mark.parametrize("norm", ["te_layernorm", "te_rmsnorm"])
def test_without_it_the_sentence_names_the_norm_that_computes_the_same(monkeypatch, norm):
    monkeypatch.setitem(sys.modules, "transformer_engine", None)
    with pytest.raises(UserError, match=rf"norm: {norm} needs Transformer Engine.*norm: {norm.removeprefix('te_')},"):
        made(norm)
