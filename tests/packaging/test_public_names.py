"""What `neox_core` offers at its top, each imported when it is first asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import neox_core

NAMES = {
    *("Config", "Partial", "build", "autoconvert", "Script", "to_yaml", "from_yaml"),
    *("recipe", "command", "trains", "NeoXArgs", "Settings", "train"),
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_can_be_imported(name):
    assert callable(getattr(neox_core, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Confg"):
        _ = neox_core.Confg


def test_importing_the_package_and_a_node_costs_neither_pydantic_nor_yaml_nor_torch():
    code = "import sys; from neox_core import Config, Partial, build; print({'pydantic', 'yaml', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
