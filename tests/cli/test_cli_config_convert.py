"""`neox config convert`: today's names, the same settings."""

from __future__ import annotations

import pytest
from gpt_neox_tables import as_text, configs, examples

from neox_core.cli.config.convert import converted as convert
from neox_core.config import Ownership, read_text
from neox_core.config.reading import read
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches

OWNERSHIP = Ownership.of(PluginManager(Switches()))


def converted(neox, *words):
    done = neox("config", "convert", *words)
    assert done.code == 0, done.err
    return done.out


def test_older_spellings_become_todays(neox):
    neox.write(
        "older.yml",
        **{"data_path": None, "train-data-path": "x", "save_interval": "5", "activation": "GELU"},
        optimizer="{type: Adam, params: {lr: 1e-3, max_grad_norm: 0.5}}",
    )
    text = converted(neox, "older.yml")
    assert "train_data_paths:\n- x\n" in text
    assert "checkpoint_factor: 5\n" in text
    assert "gradient_clipping: 0.5\n" in text
    assert "max_grad_norm" not in text
    assert text.startswith("# The architecture.\nnum_layers: 2\n")


def test_what_was_translated_is_told(neox):
    neox.write("older.yml", save_interval="5")
    assert "save_interval: is called checkpoint_factor today" in neox("config", "convert", "older.yml").err


def test_variables_stay_variables(neox, monkeypatch):
    monkeypatch.delenv("NEOX_DATA_PATH", raising=False)  # which none of them needs
    neox.write("paths.yml", data_path=None, train_data_path="${NEOX_DATA_PATH}/text")
    assert "- ${NEOX_DATA_PATH}/text\n" in converted(neox, "paths.yml")


def test_a_file_is_written_and_never_replaced(neox):
    assert neox("config", "convert", "tiny.yml", "--output", "new.yml").code == 0
    assert neox("config", "diff", "tiny.yml", "new.yml").out == "same\n"
    done = neox("config", "convert", "tiny.yml", "--output", "tiny.yml")
    assert done.code == 2
    assert "tiny.yml exists" in done.err


def test_variables_stay_in_the_keys_that_have_them_alone(neox, monkeypatch):
    monkeypatch.setenv("NEOX_DATA_PATH", "/somewhere")
    neox.write("paths.yml", data_path='"$NEOX_DATA_PATH"', load="/somewhere", run_name="costs-$5")
    text = converted(neox, "paths.yml", "save=${NEOX_DATA_PATH}/saved")
    assert "data_path: $NEOX_DATA_PATH\n" in text
    assert "load: /somewhere\n" in text
    assert "run_name: costs-$5\n" in text
    assert "save: ${NEOX_DATA_PATH}/saved\n" in text


def test_a_part_of_a_configuration_converts(neox):
    neox.write("part.yml", "gas: 2\nmlp-multiple-of: 4\nactivation: GELU\n")
    assert converted(neox, "part.yml") == (
        "# The architecture.\nmlp_multiple_of: 4\nactivation: GELU\n\n"
        "# Samples in a step: at least one of the first two; what is not given is computed.\ngradient_accumulation_steps: 2\n"
    )
    neox.write("part.yml", "hiden_size: 2\nseed: big\n")
    done = neox("config", "convert", "part.yml")
    assert done.code == 2
    assert "2 problems" in done.err


UNREADABLE = {"configs/autotuning_configs/tune.json", "configs/llemma/7B.yml"}
"""Files of GPT-NeoX's with keys that it does not have either."""


@pytest.mark.parametrize("tables", [configs, examples])
def test_every_configuration_of_gpt_neox_converts_to_equal_settings(tables):
    refused = set()
    for name, table in tables().items():
        try:
            first = read(read_text(as_text(table), name), OWNERSHIP, partial=True)
        except SettingsError:
            refused.add(name)
            continue
        again = read(read_text(convert(first, OWNERSHIP), name), OWNERSHIP, partial=True)
        assert values(again) == values(first), name
    assert refused == UNREADABLE & set(tables())


def values(found):
    return {key: entry.value for key, entry in found.entries.items()}
