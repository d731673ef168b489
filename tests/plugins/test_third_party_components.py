"""Components of the third-party distribution do what their kinds ask of them, through the same seams as ours."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from copied_checkpoints import contents, make_checkpoint
from plugin_runs import MODEL, TRAINING

from neox_core.checkpoint.remote import StoreOptions, open_store, pull, push, remote_checkpoint
from neox_core.config import NeoXArgs, World
from neox_core.errors import SettingsError, UserError
from neox_core.model import LanguageModel
from neox_core.testing.mixers import Bench, checks
from neox_core.training import ScheduleShape
from neox_core.training.components import selected_companions

PARTS = {
    "attention_config": ["ema", "global"],
    "norm": "lengthnorm",
    "pos_emb": "wavelengths",
    "activation": "squared_relu",
    "moe_type": "soft",
    "moe_num_experts": 3,
}


@pytest.fixture
def plugins(with_acme, manager):
    return manager()


def resolved(plugins, **changes):
    return NeoXArgs.from_dict({**MODEL, **TRAINING, **changes}, plugins=plugins).resolve(World.local())


def test_a_model_is_built_of_its_parts_and_ours(plugins):
    model = LanguageModel(resolved(plugins, **PARTS), plugins)
    names = {name for name, _ in model.named_parameters()}
    assert {"layers.0.attention.decay", "layers.1.attention.query_key_value.weight", "norm.scale"} <= names
    assert "layers.1.mlp.experts.2.up.weight" in names
    tokens = torch.arange(16)[None]
    assert model(tokens).logits().shape == (1, 16, 64)


def test_generating_with_its_cache_is_the_same_as_without(plugins):
    model = LanguageModel(resolved(plugins, **PARTS), plugins).eval()
    tokens, caches = torch.arange(12).reshape(2, 6), model.new_caches(2, 6)
    with torch.no_grad():
        whole = model(tokens).logits()
        pieces = [
            model(tokens[:, a:b], torch.arange(a, b)[None], caches=caches).logits() for a, b in pairwise((0, 3, 4, 6))
        ]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)


def test_its_mixer_sees_nothing_of_other_documents_and_of_later_tokens(plugins):
    model = LanguageModel(resolved(plugins, attention_config=["ema", "ema"], pos_emb="none"), plugins).eval()
    tokens, documents = torch.arange(8)[None], torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        both = model(tokens, documents=documents).logits()
        alone = model(tokens[:, 3:]).logits()
        shorter = model(tokens[:, :7], documents=documents[:, :7]).logits()
    torch.testing.assert_close(both[:, 3:], alone)
    torch.testing.assert_close(both[:, :7], shorter)


def test_its_mixer_does_what_all_must_do_and_what_it_claims(plugins):
    bench = Bench(plugins, "ema")
    for check in checks(plugins, "ema"):
        check(bench)


def test_its_converter_is_its_own_inverse(plugins):
    converter = plugins.make("converter", "acme", resolved(plugins))
    ours = {"norm.weight": torch.ones(3)}
    assert list(converter.write(ours)) == ["acme.norm.weight"]
    assert converter.read(converter.write(ours)) == ours
    with pytest.raises(UserError, match=r"does not begin with 'acme\.'"):
        converter.read(ours)


def test_its_schedule_rises_and_falls(plugins):
    schedule = plugins.make("schedule", "inverse_sqrt", ScheduleShape(peak=1.0, minimum=0.2, warmup=4, end=100))
    assert [schedule(step) for step in (0, 3, 15, 99)] == [0.25, 1.0, 0.5, 0.2]


def test_its_optimizer_descends(plugins):
    offer = plugins.find("optimizer", "signum")
    params = plugins.load(offer, offer.component.params).model_validate({"lr": 0.1})
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = plugins.make("optimizer", "signum", [{"params": [weight], "weight_decay": 0.5}], params)
    weight.square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.data, torch.tensor([1 * 0.95 - 0.1, -2 * 0.95 + 0.1]))


def test_its_rule_is_reported_with_the_cores(plugins):
    with pytest.raises(SettingsError) as caught:
        resolved(plugins, acme_ema_heads=3, hidden_size=17)
    messages = [str(problem) for problem in caught.value.problems]
    assert any("hidden_size 17 is not a multiple of num_attention_heads 2" in message for message in messages)
    assert any("hidden_size 17 is not a multiple of acme_ema_heads 3" in message for message in messages)


def test_its_keys_are_checked_like_ours(plugins):
    with pytest.raises(SettingsError, match=r"acme_z_loss: -1.0 is not a number >= 0"):
        resolved(plugins, acme_z_loss=-1.0)
    with pytest.raises(SettingsError, match=r"acme_ema_head: .*did you mean 'acme_ema_heads'"):
        resolved(plugins, acme_ema_head=2)


def test_checkpoints_are_copied_to_its_store_and_back(plugins, tmp_path):
    path = make_checkpoint(tmp_path / "here", 4, 1000)
    sent = push(path, open_store(f"acme://{tmp_path}/stores/one", plugins), StoreOptions())
    assert sent == sum(len(content) for name, content in contents(path).items() if name != "manifest.json")
    pull(remote_checkpoint(f"acme://{tmp_path}/stores", plugins), tmp_path / "back/global_step4", StoreOptions())
    assert contents(tmp_path / "back/global_step4") == contents(path)


def test_its_companion_is_there_where_its_key_asks_for_it(plugins):
    assert selected_companions(resolved(plugins), plugins) == []
    assert selected_companions(resolved(plugins, acme_tally="tally", loggers=[]), plugins) == ["tally"]
