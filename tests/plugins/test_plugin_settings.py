"""Settings groups of plugins: whose keys they are, and which of their mistakes reach whom."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import ModelSettings, NeoXArgs, World
from neox_core.errors import SettingsError

RUN = {**MODEL, "data_path": "x"}
BETWEEN = """
from pydantic import model_validator
from neox_core.config import Settings, setting

class Between(Settings, group="between"):
    "A lower and an upper bound."

    between_low: int = setting(1, "Lower")
    between_high: int = setting(2, "Upper")

    @model_validator(mode="after")
    def ordered(self):
        if self.between_low > self.between_high:
            raise ValueError("between_low is more than between_high")
        return self

def neox_settings():
    return ["between_plugin:Between"]
"""
READER = """
from neox_core.plugins import Activation

def neox_components():
    settings = ("neox_core.config:ModelSettings", "acme_neox.settings:ObjectiveSettings")
    return [Activation(name="reader", summary="reads what others own", factory="a:b", settings=settings)]
"""


def test_groups_come_with_and_without_components(with_acme, manager):
    from acme_neox.settings import ObjectiveSettings, TraceSettings

    args = NeoXArgs.from_dict({**RUN, "acme_z_loss": 0.5}, plugins=manager())
    resolved = args.resolve(World.local())
    assert resolved[ObjectiveSettings].acme_z_loss == 0.5
    assert resolved[TraceSettings].acme_trace is None
    assert resolved.all_values()["acme_ema_heads"] == 2


def test_keys_of_a_plugin_that_is_off_are_unknown(with_acme, manager):
    with pytest.raises(SettingsError, match="acme_z_loss: there is no such setting"):
        NeoXArgs.from_dict({**RUN, "acme_z_loss": 0.5}, plugins=manager(disable={"acme-neox": "-p no:acme-neox"}))


def test_a_component_may_read_what_others_own(with_acme, manager, tmp_path):
    file = tmp_path / "reader_plugin.py"
    file.write_text(READER)
    args = NeoXArgs.from_dict({**RUN, "acme_z_loss": 0.5}, plugins=manager(modules=(str(file),)))
    assert args.groups[ModelSettings].num_layers == 4
    with pytest.raises(SettingsError) as caught:
        args.update_value("num_layer", 3)
    assert "cannot be loaded" not in str(caught.value)


def test_a_rule_within_a_group_is_reported_under_its_keys(manager, tmp_path):
    file = tmp_path / "between_plugin.py"
    file.write_text(BETWEEN)
    plugins = manager(modules=(str(file),))
    assert NeoXArgs.from_dict({**RUN, "between_low": 2}, plugins=plugins).between_low == 2
    with pytest.raises(SettingsError) as caught:
        NeoXArgs.from_dict({**RUN, "between_low": 3, "num_layers": 0}, plugins=plugins)
    assert len(caught.value.problems) == 2
    assert "dictionary: between_low: between_low is more than between_high" in str(caught.value).splitlines()
