"""`neox config check`: mistakes are errors, limitations are notes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from neox_core.training.gpt_neox_names import GPT_NEOX_NAMES


def test_settings_in_order_are_summed_up(neox):
    done = neox("config", "check", "tiny.yml", "--world-size", "2", "vocab_size=64")
    assert (done.code, done.err) == (0, "")
    assert done.out == "in order: 9 settings, 2 ranks, 4 samples a step\n"


def test_every_mistake_is_an_error(neox):
    done = neox(
        "config", "check", "tiny.yml", "norm=laynorm", "launcher=slrm", "optimizer={type: adamz}", "vocab_size=64"
    )
    assert done.code == 2
    assert done.err.count("error: ") == 3
    assert done.err.endswith("\n3 problems\n")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("launcher=pdsh", "launcher"),
        ("train_impl=dpo", "train_impl"),
    ],
)
def test_a_name_of_gpt_neox_that_is_not_here_yet_is_a_limitation(neox, override, key):
    done = neox("config", "check", "tiny.yml", override, "vocab_size=64", "--world-size=1")
    assert done.code == 0, done.err
    assert f": {key}: " in done.err
    assert "this version does not have it yet" in done.err
    assert neox("config", "check", "tiny.yml", override, "vocab_size=64", "--here").code == 2


def test_what_needs_another_machine_is_a_limitation(neox):
    words = ("config", "check", "tiny.yml", "norm=te_layernorm", "vocab_size=64", "--world-size=1", "--device=cpu")
    done = neox(*words)
    assert done.code == 0
    assert done.err.startswith("note: command line (norm=te_layernorm): norm: ")
    assert neox(*words, "--here").err.startswith("error: ")


def test_a_component_without_its_requirement_is_a_limitation(neox):
    neox.write(
        "needy.py",
        "from neox_core.plugins import Optimizer\n"
        "def neox_components():\n"
        "    return [Optimizer(name='quantum', summary='s', factory='needy:build', probe='needy:reason')]\n"
        "def reason():\n    return 'it needs a quantum computer'\n",
    )
    words = ("-p", "needy.py", "config", "check", "tiny.yml", "vocab_size=64", "optimizer={type: quantum}")
    done = neox(*words)
    assert done.code == 0
    assert "it needs a quantum computer" in done.err
    assert neox(*words, "--here").code == 2


def test_a_hostfile_of_another_machine_is_a_limitation_where_the_ranks_are_counted(neox):
    neox.write("hosts.yml", hostfile="/not/here", global_num_gpus="4", vocab_size="64")
    done = neox("config", "check", "hosts.yml")
    assert (done.code, done.out.count("4 ranks")) == (0, 1)
    assert "note: hosts.yml:9: hostfile: /not/here cannot be read" in done.err
    assert neox("config", "check", "hosts.yml", "global_num_gpus=null", "--world-size=2").code == 0
    alone = neox("config", "check", "hosts.yml", "global_num_gpus=null", "pipe_parallel_size=3")
    assert (alone.code, alone.out.count("3 ranks")) == (0, 1), "as many as the model needs"
    cut = ("context_parallel_size=2", "model_parallel_size=2", 'attention_config=[[["ring"], "all"]]')
    alone = neox("config", "check", "hosts.yml", "global_num_gpus=null", *cut)
    assert (alone.code, alone.out.count("4 ranks")) == (0, 1), "as many along every axis"
    assert neox("config", "check", "hosts.yml", "--here").code == 2


def test_the_hostfile_of_the_environment_goes_before_that_of_the_settings(neox, monkeypatch):
    neox.write("hosts.yml", hostfile="one", vocab_size="64")
    for name, slots in (("one", 1), ("two", 2)):
        (neox.directory / name).write_text(f"localhost slots={slots}\n")
    assert "1 rank," in neox("config", "check", "hosts.yml").out
    monkeypatch.setenv("DLTS_HOSTFILE", "two")
    assert "2 ranks," in neox("config", "check", "hosts.yml").out


def test_notices_are_notes_and_told_once(neox):
    neox.write("older.yml", checkpoint_factor=None, save_interval="3", save="out", vocab_size="64")
    done = neox("config", "check", "older.yml")
    assert done.code == 0
    assert done.err == "note: older.yml:9: save_interval: is called checkpoint_factor today\n"


def test_limitations_are_notes_also_beside_a_mistake(neox):
    done = neox("config", "check", "tiny.yml", "norm=scalenorm", "activation=gulu", "vocab_size=64")
    assert done.code == 2
    assert done.err.count("error: ") == 1
    assert "error: command line (activation=gulu)" in done.err


def test_directory_of_the_files(neox):
    neox.write("confs/inner.yml", vocab_size="64")
    assert neox("config", "check", "-d", "confs", "inner").code == 0
    assert neox("config", "check", "inner").code == 2


@pytest.mark.parametrize("words", [["nowhere.yml"], ["tiny.yml", "--world-size=0"], ["tiny.yml", "--no-such-option"]])
def test_bad_command_lines_exit_with_2(neox, words):
    try:
        code = neox("config", "check", *words).code
    except SystemExit as end:
        code = end.code
    assert code == 2


def test_an_unknown_verb_is_a_mistake(neox):
    done = neox("config", "chek")
    assert (done.code, done.err) == (2, "error: there is no verb 'config chek'; did you mean 'check'?\n")
    assert neox("config").code == 2
    assert "explain" in neox("config", "--help").out


def test_checking_imports_neither_torch_nor_numpy(neox):
    source = (
        "import sys\nfrom neox_core.cli.main import main\n"
        "code = main(['config', 'check', 'tiny.yml', 'vocab_size=64'])\n"
        "assert not {'torch', 'numpy', 'deepspeed', 'tokenizers'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=neox.directory, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_names_of_gpt_neox_are_told_by_kind():
    assert {"megablocks", "deepspeed"} == GPT_NEOX_NAMES["moe"]
    assert "flash" in GPT_NEOX_NAMES["attention"]
    assert "flash" not in GPT_NEOX_NAMES["optimizer"]


@pytest.mark.parametrize("override", [f"eval_tasks=[{', '.join(['lambada'] * 60)}]", f"save={'a' * 300}"])
def test_a_long_override_is_no_file(neox, override):
    done = neox("config", "check", "tiny.yml", override, "--world-size=1", "vocab_size=64")
    assert (done.code, done.out) == (0, "in order: 10 settings, 1 rank, 4 samples a step\n")


@pytest.mark.parametrize("text", ["\n", "# nothing yet\n", "null\n", "{}\n"])
def test_a_file_without_keys_is_told(neox, text):
    neox.write("empty.yml", text)
    note = "note: empty.yml: gives no keys: it is empty, or nothing but comments\n"
    alone = neox("config", "check", "empty.yml")
    assert alone.code == 2
    assert alone.err.startswith(f"{note}error: num_layers: must be given\n")
    beside = neox("config", "check", "tiny.yml", "empty.yml", "vocab_size=64", "--world-size=1")
    assert (beside.code, beside.err) == (0, note)
    assert neox("config", "explain", "seed", "tiny.yml", "empty.yml").err == note


def test_a_file_of_which_every_key_is_overridden_is_not_empty(neox):
    neox.write("seed.yml", "seed: 1\n")
    assert neox("config", "check", "tiny.yml", "seed.yml", "seed=2", "vocab_size=64", "--world-size=1").err == ""


@pytest.mark.parametrize("verb", [["config", "check"], ["train"]])
def test_an_empty_word_is_a_mistake_of_its_own(neox, verb):
    done = neox(*verb, "tiny.yml", "")
    assert done.code == 2
    assert done.err == (
        "error: '': an empty word is neither a file nor an override; a variable of the shell may be unset\n"
    )
