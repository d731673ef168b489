"""`neox config convert`: today's names, the same settings."""

from __future__ import annotations

import pytest
from gpt_neox_tables import as_text, configs, examples

from neox_core.config import NeoXArgs, read_text
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())


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
    monkeypatch.setenv("NEOX_DATA_PATH", "/somewhere")
    neox.write("paths.yml", data_path=None, train_data_path="${NEOX_DATA_PATH}/text")
    assert "- ${NEOX_DATA_PATH}/text\n" in converted(neox, "paths.yml")


def test_a_file_is_written_and_never_replaced(neox):
    assert neox("config", "convert", "tiny.yml", "--output", "new.yml").code == 0
    assert neox("config", "diff", "tiny.yml", "new.yml").out == "same\n"
    done = neox("config", "convert", "tiny.yml", "--output", "tiny.yml")
    assert done.code == 2
    assert "tiny.yml exists" in done.err


@pytest.mark.parametrize("tables", [configs, examples])
def test_every_configuration_of_gpt_neox_converts_to_equal_settings(tables, monkeypatch):
    from neox_core.cli.config.convert import converted as convert

    done = 0
    for name, table in tables().items():
        entries = read_text(as_text(table), name)
        try:
            args = NeoXArgs(entries, PLUGINS)
        except SettingsError:
            continue  # a fragment, or one that does not load
        again = NeoXArgs(read_text(convert(args, entries), name), PLUGINS)
        assert again.to_dict() == args.to_dict(), name
        done += 1
    assert done > len(tables()) / 3
