"""Choosing a component by name: case, qualified names, conflicts and preferences."""

from __future__ import annotations

import pytest
from plugin_distributions import neox

from neox_core.config import NeoXArgs
from neox_core.errors import SettingsError, UserError
from neox_core.model.tables import check
from neox_core.plugins import ComponentError


@pytest.fixture
def crowded(with_acme, with_faulty, manager):
    return manager


def test_case_does_not_matter(manager):
    assert manager().find("attention", "GLOBAL") == manager().find("attention", "global")


def test_an_unknown_name_gets_the_nearest_one(manager):
    with pytest.raises(ComponentError, match=r"^there is no optimizer 'adamv'; did you mean 'adam"):
        manager().find("optimizer", "adamv")


def test_an_unknown_kind_has_nothing(manager):
    with pytest.raises(ComponentError, match=r"^there is no profiler 'x'; there is none$"):
        manager().find("profiler", "x")


def test_a_name_that_two_offer_is_an_error_when_it_is_used(crowded):
    plugins = crowded()
    with pytest.raises(ComponentError) as caught:
        plugins.find("attention", "ema")
    message = str(caught.value)
    assert "attention 'ema' is offered by acme-neox 1.2.0 (" in message
    assert "acme_neox/plugin.py) and rival_neox 2.0 (" in message
    assert "'acme-neox/ema' or 'rival_neox/ema'" in message
    assert "plugin_prefer: {attention.ema: acme-neox}" in message
    assert plugins.find("optimizer", "signum")


def test_our_own_names_have_no_privilege(crowded):
    with pytest.raises(ComponentError, match=r"attention 'global' is offered by neox-toolkit .* and rival_neox"):
        crowded().find("attention", "global")


@pytest.mark.parametrize(
    ("name", "distribution"),
    [("acme-neox/ema", "acme-neox"), ("rival-neox/ema", "rival_neox"), ("Rival.Neox/EMA", "rival_neox")],
)
def test_a_qualified_name_chooses(crowded, name, distribution):
    assert crowded().find("attention", name).source.distribution == distribution


def test_a_qualified_name_of_somebody_else_is_unknown(crowded):
    with pytest.raises(ComponentError, match=r"there is no attention 'rival_neox/emma'; did you mean 'rival_neox/ema'"):
        crowded().find("attention", "rival_neox/emma")


@pytest.mark.parametrize("preferred", ["rival_neox", "rival-neox:acme"])
def test_a_preference_chooses(crowded, preferred):
    plugins = crowded(prefer={"attention.ema": preferred})
    assert plugins.make("attention", "ema", None) == "rival"
    assert plugins.find("attention", "acme-neox/ema").source.distribution == "acme-neox"


def test_a_preference_for_who_does_not_offer_it_is_an_error(crowded):
    plugins = crowded(prefer={"attention.global": "acme-neox"})
    with pytest.raises(ComponentError, match="there is no attention 'acme-neox/global'"):
        plugins.find("attention", "global")


def test_a_preference_for_who_is_switched_off_is_no_silent_fallback(crowded):
    plugins = crowded(prefer={"attention.ema": "rival_neox"}, disable={"rival_neox": "-p no:rival_neox"})
    with pytest.raises(ComponentError, match=r"there is no attention 'rival_neox/ema'.*switched off: rival_neox:acme"):
        plugins.find("attention", "ema")


@pytest.mark.parametrize("disabled", ["rival_neox", "rival_neox:acme"])
def test_doing_without_one_ends_the_conflict(crowded, disabled):
    plugins = crowded(disable={disabled: "plugin_disable"})
    assert plugins.find("attention", "ema").source.distribution == "acme-neox"
    assert plugins.conflicts(plugins.find("attention", "ema")) == []


def test_conflicts_are_known_without_using_the_name(crowded):
    plugins = crowded()
    crowd = {offer.qualified: [other.qualified for other in plugins.conflicts(offer)] for offer in plugins.offers()}
    assert crowd["acme-neox/ema"] == ["rival_neox/ema"]
    assert crowd["rival_neox/global"] == ["neox-toolkit/global"]
    assert crowd["acme-neox/signum"] == []


def test_a_name_of_the_cores_tables_conflicts_too(crowded):
    with pytest.raises(
        UserError, match=r"norm 'rmsnorm' is the core's and also offered by a plugin: write 'rival_neox/"
    ):
        check("norm", "rmsnorm", crowded())
    check("norm", "rival_neox/rmsnorm", crowded())
    check("norm", "layernorm", crowded())
    check("norm", "lengthnorm", crowded())


def test_a_key_that_two_claim_is_fatal_to_who_sets_it(crowded):
    with pytest.raises(SettingsError) as caught:
        NeoXArgs.from_dict({"acme_z_loss": 0.1}, plugins=crowded())
    assert "acme_z_loss: is claimed by acme-neox 1.2.0 and rival_neox 2.0 (do without one: `plugin_disable:" in str(
        caught.value
    )


def test_a_key_that_a_plugin_takes_from_the_core_names_the_plugin(crowded):
    with pytest.raises(
        SettingsError, match=r"log_interval: is claimed by neox_core and rival_neox 2.0 .*\[rival_neox\]"
    ):
        NeoXArgs.from_dict({"log_interval": 3}, plugins=crowded())


MODEL = {"num_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "seq_length": 8, "train_iters": 1}
MODEL["max_position_embeddings"] = 8


def test_a_claimed_key_harms_nobody_who_leaves_it_alone(crowded):
    args = NeoXArgs.from_dict({**MODEL, "rival_key": 2}, plugins=crowded())
    assert args.rival_key == 2
    assert args.log_interval == 100


def test_a_verb_that_two_offer_is_an_error_when_it_is_used(installed, tmp_path):
    done = neox("acme", cwd=tmp_path, path=[installed.acme, installed.faulty])
    assert done.returncode == 2
    assert "the verb 'acme' is offered by acme-neox and rival_neox" in done.stderr
    assert neox("-p", "no:rival_neox", "acme", cwd=tmp_path, path=[installed.acme, installed.faulty]).returncode == 0
