"""Any run as a node: written in any form and read again, it is the same settings, and resolves to the same run."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings as hypothesis_settings
from settings_strategies import settings

from neox_core import Config, NeoXArgs, build, from_yaml, to_yaml
from neox_core.config import World, dump_yaml
from neox_core.config.nodes import from_json, from_toml, to_json, to_toml
from neox_core.errors import SettingsError

FORMS = {"yaml": (to_yaml, from_yaml), "json": (to_json, from_json), "toml": (to_toml, from_toml)}


def outcome(args: NeoXArgs) -> object:
    """What the settings resolve to, or why they do not fit together."""
    try:
        resolved = args.resolve(World.local(2))
    except SettingsError as error:
        return sorted(problem.message for problem in error.problems)
    return resolved.all_values(), resolved.deepspeed


@pytest.mark.parametrize("form", FORMS)
@hypothesis_settings(max_examples=20)
@given(settings())
def test_a_run_survives_every_form(form, values):
    assume(form != "toml" or "null" not in dump_yaml(values))
    write, read = FORMS[form]
    node = Config(NeoXArgs, **values)
    again = read(write(node))
    assert again == node
    assert build(again).to_dict() == build(node).to_dict() == values
    assert outcome(build(again)) == outcome(build(node))
