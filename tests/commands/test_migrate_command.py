"""`neox migrate`: a run of GPT-NeoX goes on as one of neox, and every key and kind of state is told of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from config_commands import Neox
from gpt_neox_directories import CHECKPOINTS
from gpt_neox_eras import changed, copied, each, renamed, without_optimizer
from whole_matrix import in_whole

from neox_core.checkpoint import Reader
from neox_core.config import NeoXArgs
from neox_core.data.tokenizers.training import train_bpe
from neox_core.plugins import Switches
from neox_core.testing.recorded import relative_error
from neox_core.training import load_trained


@pytest.fixture
def neox(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in ("bin", "idx"):
        shutil.copy(CHECKPOINTS.parent / f"tokens_a.{part}", tmp_path)
    return Neox(tmp_path, capsys)


def recorded(name, **changes):
    """The YAML file of a recorded run, beside the token files, and its losses."""
    run = json.loads((CHECKPOINTS / f"{name}.expected.json").read_text())
    Path(f"{name}.yml").write_text(yaml.safe_dump({**run["config"], **changes}))
    return run["losses"]


def losses_of(runs):
    """Those of the steps of the only run."""
    (metrics,) = runs.glob("*/*/metrics.jsonl")
    entries = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [entry["loss"] for entry in entries if entry["event"] == "step"]


@pytest.mark.parametrize("name", ["pythia_tp2", in_whole("llama_tp2"), in_whole("pythia_pp2_tp2_zero1")])
def test_a_migrated_run_goes_on_with_its_losses(neox, name):
    losses = recorded(name)
    assert neox("migrate", f"{name}.yml", str(CHECKPOINTS / name), "out").code == 0
    here = ("model_parallel_size=1", "pipe_parallel_size=0", "train_iters=6", "eval_iters=0")
    done = neox("train", "out/config.yml", *here, "runs_dir=runs")
    assert done.code == 0, done.err
    assert relative_error(losses_of(Path("runs")), losses[3:]) < 1e-5
    assert Reader(Path("out/checkpoints/global_step6")).iteration == 6


def test_the_tokenizer_of_a_run_is_in_the_checkpoint_with_what_lies_beside_it(neox, tmp_path):
    recorded("pythia_tp2")
    train_bpe(["text"], 300).backend.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    named = ("tokenizer_type=HFTokenizer", f"vocab_file={tmp_path / 'tokenizer.json'}")
    done = neox("migrate", "pythia_tp2.yml", *named, str(CHECKPOINTS / "pythia_tp2"), "out")
    assert done.code == 0, done.err
    reader = Reader(next(Path("out/checkpoints").glob("global_step*")))
    assert reader.file("chat_template.jinja") == b"{{ messages }}"
    assert reader.file("tokenizer.json") == (tmp_path / "tokenizer.json").read_bytes()


def test_every_key_is_told_once_with_what_became_of_it(neox):
    recorded("pythia_tp2")
    keys = yaml.safe_load(Path("pythia_tp2.yml").read_text())
    del keys["checkpoint_factor"]
    Path("pythia_tp2.yml").write_text(yaml.safe_dump(keys))
    Path("older.yml").write_text("save-interval: 10\ngeglu: false\ngas: 1\n")
    done = neox("migrate", "pythia_tp2.yml", "older.yml", "seed=5", str(CHECKPOINTS / "pythia_tp2"), "out", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    fates = {entry["key"]: entry for entry in report["keys"]}
    assert len(report["keys"]) == len(fates)
    assert fates.keys() == {*keys, "save_interval", "geglu", "gas"}
    assert (fates["save_interval"]["fate"], fates["save_interval"]["now"]) == ("renamed", ["checkpoint_factor"])
    dropped = {key for key, entry in fates.items() if entry["fate"] == "dropped"}
    assert dropped == {"geglu", "padded_vocab_size", "output_layer_parallelism"}
    assert (fates["gas"]["fate"], fates["gas"]["now"]) == ("differs", ["train_batch_size"])
    assert all(fates[key]["why"] for key in dropped)
    assert fates["hidden_size"] == {"key": "hidden_size", "fate": "kept", "now": ["hidden_size"], "why": ""}
    assert json.loads(Path("out/report.json").read_text()) == report


def test_the_settings_hold_what_was_kept_and_what_was_added_and_nothing_else(neox):
    recorded("pythia_tp2")
    report = json.loads(neox("migrate", "pythia_tp2.yml", str(CHECKPOINTS / "pythia_tp2"), "out", "--json").out)
    values = NeoXArgs.from_ymls("out/config.yml").to_dict()
    told = {key for entry in report["keys"] for key in entry["now"]} | {entry["key"] for entry in report["added"]}
    assert values.keys() == told
    assert values["row_parallel_bias_copies"] == 2
    assert values["load"] == values["save"] == "out/checkpoints"
    assert (values["compat"], values["train_batch_size"], values["vocab_size"]) == ("gpt-neox", 4, 512)


def test_the_report_tells_of_every_kind_of_state(neox):
    recorded("pythia_pp2_tp2_zero1")
    done = neox("migrate", "pythia_pp2_tp2_zero1.yml", str(CHECKPOINTS / "pythia_pp2_tp2_zero1"), "out")
    assert done.code == 0, done.err
    for line in (
        "weights: kept; 28 tensors, float32",
        "optimizer state: kept; exp_avg, exp_avg_sq, step of each",
        "copies of row-parallel biases: differs; one bias, their sum, which moves 2 times as fast",
        "steps: kept; 3, of which 3 were applied",
        "schedule: kept; after 3 steps",
        "place in the data: kept; after 12 samples",
        "states of random generators: dropped",
        "Go on with: neox train out/config.yml",
    ):
        assert line in done.out
    assert Path("out/report.txt").read_text() == done.out
    reader = Reader(Path("out/checkpoints/global_step3"))
    assert reader.roles("norm.weight") == ("weight", "exp_avg", "exp_avg_sq", "step")
    assert reader.state["consumed_samples"] == 12
    assert load_trained(reader.path, Switches()).iteration == 3


def test_defects_and_the_optimizer_may_be_left_behind(neox):
    recorded("llama_tp2")
    words = ("llama_tp2.yml", str(CHECKPOINTS / "llama_tp2"), "out", "--mended", "--no-optimizer")
    done = neox("migrate", *words)
    assert done.code == 0, done.err
    assert "optimizer state: dropped; the optimizer begins anew: start with no_load_optim=true" in done.out
    assert "compat" not in NeoXArgs.from_ymls("out/config.yml").to_dict()
    assert Reader(Path("out/checkpoints/global_step3")).roles("norm.weight") == ("weight",)


def test_settings_beside_the_checkpoint_do_where_none_are_given(neox):
    recorded("llama_tp2")
    shutil.copytree(CHECKPOINTS / "llama_tp2", "run")
    Path("run/configs").mkdir()
    shutil.copy("llama_tp2.yml", "run/configs")
    assert neox("migrate", "run", "out").code == 0
    assert NeoXArgs.from_ymls("out/config.yml").num_layers == 2


def test_settings_are_those_of_the_checkpoint_that_latest_names(neox):
    for step, seed in (("global_step3", 3), ("global_step9", 9)):
        shutil.copytree(CHECKPOINTS / "llama_tp2/global_step3", f"run/{step}")
        recorded("llama_tp2", seed=seed)
        Path(f"run/{step}/configs").mkdir()
        shutil.move("llama_tp2.yml", f"run/{step}/configs")
    Path("run/latest").write_text("global_step3")
    done = neox("migrate", "run", "out")
    assert done.code == 0, done.err
    assert NeoXArgs.from_ymls("out/config.yml").seed == 3


@pytest.mark.parametrize("words", [("--iteration", "3"), ("run.yml", "iteration=3")])
def test_the_step_that_is_asked_for_is_migrated_and_the_run_goes_on_from_its_own(neox, words):
    for step in ("global_step3", "global_step9"):
        shutil.copytree(CHECKPOINTS / "llama_tp2/global_step3", f"run/{step}")
        Path(f"run/{step}/configs").mkdir()
        recorded("llama_tp2", seed=int(step.removeprefix("global_step")))
        shutil.copy("llama_tp2.yml", f"run/{step}/configs")
    Path("run/latest").write_text("global_step9")
    recorded("llama_tp2", seed=3)
    Path("llama_tp2.yml").rename("run.yml")
    files, flags = ([*words], []) if words[0] == "run.yml" else ([], [*words])
    done = neox("migrate", *files, "run", "out", *flags)
    assert done.code == 0, done.err
    values = NeoXArgs.from_ymls("out/config.yml").to_dict()
    assert (values["seed"], "iteration" in values) == (3, False)
    assert Reader(Path("out/checkpoints/global_step3")).iteration == 3


def test_flags_that_set_keys_do_so_where_settings_lie_beside_the_checkpoint(neox):
    recorded("llama_tp2")
    shutil.copytree(CHECKPOINTS / "llama_tp2", "run")
    Path("run/configs").mkdir()
    shutil.copy("llama_tp2.yml", "run/configs")
    assert neox("migrate", "run", "out", "--wandb_group", "mine").code == 0
    assert NeoXArgs.from_ymls("out/config.yml").to_dict()["wandb_group"] == "mine"


def test_what_is_of_neox_already_is_not_migrated(neox):
    recorded("llama_tp2")
    assert neox("migrate", "llama_tp2.yml", str(CHECKPOINTS / "llama_tp2"), "out").code == 0
    done = neox("migrate", "out/checkpoints", "again")
    assert done.code == 2
    assert "out/checkpoints is of neox already: go on with it by load=out/checkpoints" in done.err


def test_the_command_line_is_described_once(neox, capsys):
    with pytest.raises(SystemExit):
        neox("migrate", "--help")
    said = capsys.readouterr().out
    assert said.startswith("usage: neox migrate [OPTIONS] [CONFIGS...] CHECKPOINT OUT\n\n")


def test_a_width_that_keys_of_old_say_otherwise_is_that_of_the_tensors(neox):
    recorded("llama_tp2", intermediate_size=None, expansion_factor=3)
    checkpoint = changed(copied("llama_tp2", Path("older")), each("mlp.linear1.weight", apart))
    changed(checkpoint, renamed({"mlp.linear2.weight": "mlp.w2.weight"}))
    changed(checkpoint, without_optimizer)
    done = neox("migrate", "llama_tp2.yml", "older/llama_tp2", "out", "--no-optimizer")
    assert done.code == 0, done.err
    assert "expansion_factor: the tensors say otherwise" in done.out
    values = NeoXArgs.from_ymls("out/config.yml").to_dict()
    assert values["intermediate_size"] == 192
    assert "expansion_factor" not in values


def apart(layer, value):
    """`up` and `gate` as two weights."""
    up, gate = value.chunk(2)
    return {f"{layer}mlp.w3.weight": up.clone(), f"{layer}mlp.w1.weight": gate.clone()}


def test_a_migrated_run_never_begins_anew(neox):
    recorded("llama_tp2")
    assert neox("migrate", "llama_tp2.yml", str(CHECKPOINTS / "llama_tp2"), "out").code == 0
    Path("out/checkpoints").rename("elsewhere")
    done = neox("train", "out/config.yml", "model_parallel_size=1", "train_iters=6", "runs_dir=runs")
    assert done.code == 2
    assert "load_required is true" in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("out",), "needs a checkpoint and a directory to write"),
        (("nowhere", "out"), "nowhere is no checkpoint of GPT-NeoX"),
        ((str(CHECKPOINTS / "llama_tp2"), "out"), "there is no directory configs in it or beside it"),
        (
            (str(CHECKPOINTS / "llama_tp2"), "out", "llama_tp2.yml"),
            f"the end: neox migrate llama_tp2.yml {CHECKPOINTS / 'llama_tp2'} out",
        ),
        (("llama_tp2.yml", str(CHECKPOINTS / "llama_tp2")), "the end: neox migrate CONFIGS... CHECKPOINT OUT"),
        (
            ("llama_tp2.yml", str(CHECKPOINTS / "llama_tp2"), "out", "--iteration", "9"),
            "holds no checkpoint of that step; there is step 3",
        ),
        (
            ("llama_tp2.yml", "iteration=9", str(CHECKPOINTS / "llama_tp2"), "out"),
            "holds no checkpoint of that step; there is step 3",
        ),
        (
            ("llama_tp2.yml", str(CHECKPOINTS / "llama_tp2/global_step3"), "out", "--iteration", "9"),
            "is the checkpoint of step 3; leave --iteration out",
        ),
        ((str(CHECKPOINTS / "llama_tp2"), "out", "-d", "there"), "--conf_dir there: name the files in it"),
        (
            ("llama_tp2.yml", "num_attention_heads=5", str(CHECKPOINTS / "llama_tp2"), "out"),
            "command line (num_attention_heads=5): hidden_size, num_attention_heads: hidden_size 32 is not a multiple",
        ),
        (("llama_tp2.yml", "nowhere", "out"), "nowhere is no checkpoint of GPT-NeoX"),
        (("llama_tp2.yml", str(CHECKPOINTS / "llama_tp2"), "there"), "there is there already"),
        (
            ("llama_tp2.yml", "num_layers=3", str(CHECKPOINTS / "llama_tp2"), "out"),
            "num_layers is 3 in the settings, and 2",
        ),
        (
            ("llama_tp2.yml", "optimizer.type=muon", str(CHECKPOINTS / "llama_tp2"), "out"),
            "has no momentum_buffer that",
        ),
        (("llama_tp2.yml", "hidden_siz=3", str(CHECKPOINTS / "llama_tp2"), "out"), "did you mean 'hidden_size'"),
    ],
)
def test_what_cannot_be_migrated_is_a_sentence_and_leaves_nothing(neox, words, sentence):
    recorded("llama_tp2")
    Path("there").mkdir()
    before = sorted(Path().iterdir())
    done = neox("migrate", *words)
    assert done.code == 2
    assert sentence in done.err
    assert sorted(Path().iterdir()) == before
