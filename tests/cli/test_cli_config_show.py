"""`neox config show`."""

from __future__ import annotations

import json

from neox_core.config import NeoXArgs, read_entries


def rows(text):
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("  ")}


def test_values_are_shown_with_their_origins(neox):
    done = neox("config", "show", "tiny.yml", "hidden_size=32")
    shown = rows(done.out)
    assert shown["hidden_size"].split(maxsplit=1) == ["32", "command line (hidden_size=32)"]
    assert shown["num_layers"].split() == ["2", "tiny.yml:1"]
    assert shown["norm"].split() == ["layernorm", "default"]
    assert shown["batch_size"].startswith("4 ")
    assert "\nMODEL\n" in done.out
    assert "\nCOMPUTED\n" in done.out


def test_only_the_given_ones(neox):
    shown = rows(neox("config", "show", "tiny.yml", "--given").out)
    assert "norm" not in shown
    assert "num_layers" in shown


def test_as_json(neox):
    shown = json.loads(neox("config", "show", "tiny.yml", "--json").out)
    assert shown["settings"]["num_layers"] == {"value": 2, "from": "tiny.yml:1", "group": "model"}
    assert shown["computed"]["world_size"] == 1


def test_as_a_configuration_that_loads_again(neox):
    neox.write("again.yml", neox("config", "show", "tiny.yml", "--yaml").out)
    assert neox("config", "diff", "tiny.yml", "again.yml").out == "same\n"
    assert "# norm: layernorm\n" in (neox.directory / "again.yml").read_text()
    neox.write("given.yml", neox("config", "show", "tiny.yml", "--yaml", "--given").out)
    first, *others = (
        NeoXArgs(read_entries([name]).values()).to_dict() for name in ("tiny.yml", "given.yml", "again.yml")
    )
    assert others == [first, first]


def test_as_deepspeed_is_given_it(neox):
    shown = json.loads(neox("config", "show", "tiny.yml", "--deepspeed").out)
    assert shown["train_batch_size"] == 4
    words = (
        "config",
        "show",
        "tiny.yml",
        "scheduler={type: WarmupLR}",
        "zero_optimization={stage: 1, overlap_comm: true}",
    )
    whole, stages = (json.loads(neox(*words, "--deepspeed", f"pipe_parallel_size={n}").out) for n in (1, 2))
    assert "scheduler" not in whole, "rates are set in each step"
    assert [each["zero_optimization"]["overlap_comm"] for each in (whole, stages)] == [True, False]


def test_mistakes_are_told_in_place_of_values(neox):
    done = neox("config", "show", "tiny.yml", "norm=layernrom")
    assert (done.code, done.out) == (2, "")


def test_values_are_spelt_as_neox_reads_them(neox):
    shown = rows(neox("config", "show", "tiny.yml", "run_name='1e5'", "load='010'", "save=1_0").out)
    assert [shown[key].split()[0] for key in ("run_name", "load", "save")] == ["'1e5'", "'010'", "1_0"]
