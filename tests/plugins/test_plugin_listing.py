"""`neox plugins` shows what there is, where it comes from, whether it works, and what mends it."""

from __future__ import annotations

import json

import pytest
from plugin_distributions import neox

PROBES = {"probe_says_no": "it needs a quantum computer", "probe_raises": "OSError: libquantum.so: cannot open"}


@pytest.fixture
def listed(installed, tmp_path):
    def run(*words, acme_only=False, **changes):
        path = [installed.acme] if acme_only else [installed.acme, installed.faulty]
        done = neox(*words, cwd=tmp_path, path=path, **changes)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_offer_is_listed_with_state_and_source(listed):
    rows = {
        (row["source"]["distribution"], row["kind"], row["name"]): row
        for row in json.loads(listed("plugins", "--json"))["components"]
    }
    ema = rows["acme-neox", "attention", "ema"]
    assert (ema["state"], ema["source"]["version"]) == ("conflict", "1.2.0")
    assert ema["reason"] == "also offered by rival_neox 2.0"
    assert rows["acme-neox", "optimizer", "signum"]["state"] == "ok"
    assert rows["broken-neox", "attention", "needs_missing"]["state"] == "missing"
    assert rows["broken-neox", "attention", "needs_missing"]["remedy"] == "pip install 'broken-neox[missing]'"
    assert rows["broken-neox", "attention", "needs_newer"]["state"] == "incompatible"
    assert {rows["broken-neox", "attention", name]["state"] for name in PROBES} == {"ok"}


def test_json_has_the_plugins_without_components_too(listed):
    found = json.loads(listed("-p", "no:acme-neox", "plugins", "--json"))["plugins"]
    plugins = {f"{row['source']['distribution']}:{row['source']['entry_point']}": row for row in found}
    assert plugins["broken-neox:import_error"]["state"] == "broken"
    assert "ModuleNotFoundError" in plugins["broken-neox:import_error"]["reason"]
    assert plugins["future-neox:future"]["remedy"] == "pip install --upgrade 'future-neox'"
    assert plugins["acme-neox:acme"]["state"] == "disabled"
    (commands,) = [row for row in found if "generate" in row["verbs"]]
    assert commands["seconds"] > 0


@pytest.mark.parametrize("other", ["--timing", "--requirements"])
def test_json_goes_with_the_listing_alone(tmp_path, other):
    done = neox("plugins", "--json", other, cwd=tmp_path)
    assert done.returncode == 2
    assert "not allowed with argument --json" in done.stderr


def test_probes_run_when_they_are_asked_for(listed):
    found = json.loads(listed("plugins", "--json", "--probe", "--kind", "attention"))
    rows = {row["name"]: row for row in found["components"]}
    for name, reason in PROBES.items():
        assert rows[name]["state"] == "incompatible"
        assert rows[name]["reason"].startswith(reason)


def test_the_table_is_grouped_by_kind(listed):
    lines = listed("plugins", acme_only=True).splitlines()
    heads = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert heads == sorted(heads)
    assert {"ATTENTION", "OPTIMIZER", "LAUNCHER", "LOGGER", "OBJECTIVE", "MOE", "CONVERTER"} <= set(heads)
    (row,) = [line for line in lines if line.startswith("  ema ")]
    assert "deterministic kv_cache varlen" in row
    assert "acme-neox 1.2.0" in row


def test_what_failed_is_told_with_reason_and_remedy(listed):
    for text in (listed("plugins"), listed("plugins", "--failed")):
        assert "plugin broken-neox:import_error 0.3: broken: ModuleNotFoundError" in text
        assert "no hook 'neox_componets'; did you mean 'neox_components'?" in text
        assert "future-neox:future 9.0: incompatible: made for plugin API neox.v2, this is neox.v1" in text
        assert "pip install --upgrade 'future-neox'" in text


def test_what_is_off_is_told_with_the_switch(listed):
    assert "acme-neox:acme 1.2.0: disabled: switched off by -p no:acme-neox" in listed("-p", "no:acme-neox", "plugins")


def test_the_metadata_alone_names_plugins_without_importing_them(listed):
    text = listed("plugins", "--no-import")
    assert "acme-neox:acme" in text
    assert "broken_neox.exits" in text


def test_one_component_is_shown_with_its_options_and_an_example(listed):
    text = listed("plugins", "show", "ema", acme_only=True)
    assert "exponential moving average" in text
    assert "acme_ema_heads" in text
    assert "Heads, each with a decay of its own" in text
    assert "attention_config" in text


def test_parameters_are_shown_too(listed):
    text = listed("plugins", "show", "optimizer.signum", acme_only=True)
    assert "momentum" in text
    assert "Decay of the running mean of the gradient" in text
    assert "ZeRO      untested; with zero_allow_untested_optimizer: true" in text
    assert "whole parameters" not in text


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("lion", ["ZeRO      stage 1, 2, 3", "muP       by the rules of Adam", "remembers exp_avg (of each element)"]),
        ("muon", ["          is given whole parameters there", "muP       has no rules for it"]),
        ("onebitadam", ["ZeRO      not with it: it averages over ranks itself"]),
    ],
)
def test_it_is_told_where_an_optimizer_may_be_used_and_what_it_remembers(listed, name, lines):
    text = listed("plugins", "show", name, acme_only=False)
    assert set(lines) <= set(text.splitlines())


def test_defaults_are_shown_as_a_file_would_have_them(listed):
    text = listed("plugins", "show", "muon", acme_only=False)
    assert "  [0.9, 0.95]  " in text
    assert "  true  " in text
    assert "  null  " in text


def test_a_broken_plugin_is_shown_with_its_traceback(listed):
    text = listed("plugins", "show", "broken-neox:import_error")
    assert "Traceback" in text
    assert "import a_module_that_nobody_has" in text


def test_what_is_not_there_gets_the_nearest(installed, tmp_path):
    done = neox("plugins", "show", "emma", cwd=tmp_path, path=[installed.acme])
    assert done.returncode == 2
    assert "did you mean 'ema'?" in done.stderr


def test_failures_alone_are_not_nothing(installed, tmp_path):
    """A plugin that failed has no components, and everything else works."""
    done = neox(
        "plugins", "--failed", cwd=tmp_path, path=[installed.faulty], NEOX_PLUGINS="neox-toolkit,broken-neox:typo"
    )
    assert "everything works" not in done.stdout
    assert "plugin broken-neox:typo 0.3: broken" in done.stdout
