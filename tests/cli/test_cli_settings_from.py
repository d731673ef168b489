"""`--settings-from` on the command line: of `neox config`, and of a whole run with the weights too."""

from __future__ import annotations

import json

import pytest
from plugin_distributions import neox as started
from plugin_runs import TRAINING, write_config, write_data

SAVED = {"activation": "relu", "layernorm_epsilon": "1e-3", "seed": "7"}
MINE = "train_iters: 6\ntrain_batch_size: 4\ndata_path: data/tokens\n"


def facts(done):
    """Label -> text of what explain prints."""
    assert done.code == 0, done.err
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in done.out.splitlines()[1:]}


@pytest.fixture
def saved(neox):
    """A checkpoint in `saved`, and a file that says what is no matter of the model."""
    neox.write("saved/global_step3/settings.yml", **SAVED)
    neox.write("saved/global_step3/manifest.json", "{}")
    neox.write("saved/latest", "global_step3")
    neox.write("mine.yml", MINE)


def test_a_file_with_what_is_new_is_whole_with_a_checkpoint(neox, saved):
    assert neox("config", "check", "mine.yml").code == 2
    done = neox("config", "check", "mine.yml", "--settings-from", "saved")
    assert (done.code, done.out[:8]) == (0, "in order")
    assert "note: from checkpoint saved/global_step3/settings.yml, by policy explicit: num_layers, " in done.err


def test_explain_and_show_say_what_is_from_the_checkpoint(neox, saved):
    page = facts(neox("config", "explain", "activation", "mine.yml", "--settings-from=saved/global_step3"))
    assert (page["value"], page["set in"]) == ("relu", "checkpoint saved/global_step3/settings.yml:9")
    page = facts(neox("config", "explain", "seed", "mine.yml", "--settings-from", "saved"))
    assert page["set in"] == "nowhere: it is the default"
    shown = json.loads(neox("config", "show", "mine.yml", "--settings-from", "saved", "--json", "--given").out)
    assert shown["settings"]["num_layers"]["from"] == "checkpoint saved/global_step3/settings.yml:1"
    assert shown["settings"]["train_iters"]["from"] == "mine.yml:1"


def test_a_part_of_a_configuration_is_explained_with_a_checkpoint_too(neox, saved):
    neox.write("part.yml", "layernorm_epsilon: 1e-4\n")
    page = facts(neox("config", "explain", "layernorm_epsilon", "part.yml", "--settings-from", "saved"))
    assert (page["value"], page["set in"]) == ("0.0001", "part.yml:1")


def test_a_section_of_a_file_is_named_as_everywhere(neox, saved):
    neox.write("nested.yml", "model: {config: {seq_length: 32, activation: relu}}\n")
    page = facts(neox("config", "explain", "activation", "mine.yml", "--settings-from", "nested.yml:model.config"))
    assert page["value"] == "relu"


def test_no_operator_changes_a_default_that_the_checkpoint_replaces(neox, saved):
    words = ("mine.yml", "--settings-from", "saved")
    refused = neox("config", "check", *words, "layernorm_epsilon*=2")
    assert refused.code == 2
    said = (
        "command line (layernorm_epsilon*=2): layernorm_epsilon: changes the default, and there is 0.001 in checkpoint"
    )
    assert said in refused.err
    assert "write layernorm_epsilon=VALUE" in refused.err
    for word in ("layernorm_epsilon=1e-4", "log_interval*=2", "train_iters*=2"):
        assert neox("config", "check", *words, word).code == 0, word
    assert neox("config", "check", *words, "layernorm_epsilon*=2", "--keep", "layernorm_epsilon").code == 0


def test_overrides_win_over_the_checkpoint_and_what_must_match_is_refused(neox, saved):
    words = ("mine.yml", "--settings-from", "saved", "layernorm_epsilon=1e-4")
    done = neox("config", "show", *words, "--given")
    assert "layernorm_epsilon: 0.0001 stays, in place of 0.001 in checkpoint saved/global_step3" in done.err
    refused = neox("config", "check", *words, "activation=gelu")
    assert refused.code == 2
    assert "activation: 'gelu' does not match 'relu' in checkpoint saved/global_step3/settings.yml:9" in refused.err
    assert neox("config", "check", *words, "activation=gelu", "--keep", "activation").code == 0


def test_the_checkpoint_wins_over_all_but_what_is_kept_by_the_policy_of_bionemo(neox, saved):
    words = ("mine.yml", "--settings-from", "saved", "--settings-policy", "bionemo", "activation=gelu", "seed=8")
    shown = json.loads(neox("config", "show", *words, "--json").out)["settings"]
    assert [shown[key]["value"] for key in ("activation", "layernorm_epsilon", "seed")] == ["relu", 1e-3, 8]
    shown = json.loads(neox("config", "show", *words, "--keep=activation", "--json").out)["settings"]
    assert [shown[key]["value"] for key in ("activation", "layernorm_epsilon", "seed")] == ["gelu", 1e-3, 8]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--keep", "seed"), "--keep: has no effect without --settings-from CKPT"),
        (("--settings-policy", "bionemo"), "--settings-policy: has no effect without --settings-from CKPT"),
        (("--settings-from", "gone"), "gone: there is no such file or directory"),
        (("--settings-from", "saved", "--keep", "sead"), "there is no setting 'sead' to keep; did you mean 'seed'?"),
        (("--settings-from", "saved", "--settings-policy", "mine"), "there is no policy 'mine'"),
    ],
)
def test_what_cannot_be_meant_is_told(neox, saved, words, message):
    done = neox("config", "check", "mine.yml", *words)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_run_begins_with_the_settings_and_the_weights_of_another(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="first", train_iters=2, norm="rmsnorm")
    done = started("train", "tiny.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "mine.yml").write_text(json.dumps({**TRAINING, "initial_ckpt_path": "first", "seq_length": 8}))
    done = started("train", "mine.yml", "save=second", "--settings-from", "first", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: initial_ckpt_path: the first weights are those of first/global_step2" in done.stderr
    assert "INFO: weights from first/global_step2: 22 tensors loaded" in done.stderr + done.stdout
    (run,) = (tmp_path / "runs" / "mine").iterdir()
    assert "\nnorm: rmsnorm\n" in f"\n{(run / 'resolved.yml').read_text()}"
    again = started("train", str(run / "resolved.yml"), "load=second", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    assert "initial_ckpt_path: first is not read: the run goes on from second/global_step6" in again.stderr
