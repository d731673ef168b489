"""`neox convert` as a user has it: a trained model goes to transformers and comes back, and writes the same."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import torch
import transformers
from config_commands import Neox
from foreign_models import LIKE_LLAMA, save_ours
from neox_converters.hugging_face.gpt_neox_config import GPTNeoXConfiguration
from plugin_distributions import environment
from plugin_runs import listing

from neox_core.checkpoint import Reader
from neox_core.cli.main import main

PROMPT = "the dog sat"
GREEDY = ("--prompt", PROMPT, "--temperature", "0", "--maximum-tokens", "6")


@pytest.fixture(scope="module")
def exported(trained_directory, tmp_path_factory):
    """A working directory with `checkpoints`, and `exported`, which was made of it."""
    directory = tmp_path_factory.mktemp("exported")
    shutil.copytree(trained_directory / "checkpoints", directory / "checkpoints")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        assert main(("convert", "checkpoints", "exported")) == 0
        assert main(("convert", "checkpoints", "theirs", "--to", "gpt-neox")) == 0
    return directory


@pytest.fixture
def neox(exported, capsys, monkeypatch):
    monkeypatch.chdir(exported)
    capsys.readouterr()
    return Neox(exported, capsys)


def test_what_was_done_is_said(exported, neox):
    done = neox("convert", "checkpoints", "said", "--verify", "--json")
    assert (done.code, done.err) == (0, "note: --to: hf-gpt-neox, which has such models\n")
    said = json.loads(done.out)
    assert (said["from"], said["to"]) == ("checkpoints/global_step40", "said")
    assert (said["from_family"], said["to_family"], said["dtype"]) == ("neox", "hf-gpt-neox", "float32")
    assert said["bytes"] == sum(file.stat().st_size for file in (exported / "said").iterdir())
    verified = said["verified"]
    assert verified["source"] == "neox"
    assert verified["result"] == f"transformers {transformers.__version__}"
    assert verified["difference"] < 1e-4 < verified["largest"]
    assert listing(exported / "said") == listing(exported / "exported")


def test_transformers_writes_what_neox_writes(exported, neox):
    ours, theirs = neox("generate", "checkpoints", *GREEDY), neox("generate", "exported", *GREEDY)
    assert ours.out == theirs.out
    assert ours.out.startswith(f"{PROMPT} on the ")
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported / "exported")
    model = transformers.AutoModelForCausalLM.from_pretrained(exported / "exported")
    ids = model.generate(**tokenizer(PROMPT, return_tensors="pt"), max_new_tokens=6, do_sample=False)
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == ours.out.removesuffix("\n")


def test_an_older_step_is_taken_where_it_is_asked_for(exported, neox):
    done = neox("convert", "checkpoints", "older", "--iteration", "20", "--to", "hf-gpt-neox")
    assert done.code == 0, done.err
    assert done.out.startswith("older: hf-gpt-neox, 27 tensors, ")
    assert "float32, from neox, in " in done.out
    older, newer = listing(exported / "older"), listing(exported / "exported")
    assert {name for name in newer if older[name] != newer[name]} == {"model.safetensors"}


def test_what_goes_by_way_of_gpt_neox_is_the_same(exported, neox):
    assert neox("convert", "checkpoints", "gpt-neox", "--to", "gpt-neox", "--tp", "2", "--verify").code == 0
    done = neox("convert", "gpt-neox", "by-way", "--to", "hf-gpt-neox", "--verify")
    assert done.code == 0, done.err
    assert "logits of transformers " in done.out
    assert listing(exported / "by-way")["model.safetensors"] == listing(exported / "exported")["model.safetensors"]


def test_a_result_that_computes_something_else_is_found(exported, neox, monkeypatch):
    described = GPTNeoXConfiguration.described
    wrong = {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}}
    monkeypatch.setattr(GPTNeoXConfiguration, "described", lambda *given: {**described(*given), **wrong})
    done = neox("convert", "checkpoints", "wrong", "--verify")
    assert done.code == 2
    assert "error: wrong: logits of transformers " in done.err
    assert "differ from those of neox by " in done.err
    assert "the result is not what was converted. It is left there to be looked at" in done.err


def test_without_transformers_our_model_reads_the_result_and_it_is_said(neox, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "transformers" else find(name, *rest)
    )
    done = neox("convert", "checkpoints", "alone", "--verify")
    assert done.code == 0, done.err
    assert "logits of neox with the weights of hf-gpt-neox differ from those of neox by 0 at most" in done.out


def test_a_checkpoint_of_neox_can_be_put_together_and_rounded(exported, neox):
    done = neox("convert", "checkpoints", "whole", "--to", "neox", "--dtype", "bfloat16", "--verify")
    assert done.code == 0, done.err
    reader = Reader(exported / "whole/global_step40")
    assert (reader.iteration, reader.state["consumed_samples"]) == (40, 160)
    assert set(reader.roles("norm.weight")) == {"weight", "exp_avg", "exp_avg_sq", "step"}
    assert (reader.dtype("norm.weight", "weight"), reader.dtype("norm.weight", "exp_avg")) == (
        torch.bfloat16,
        torch.float32,
    )
    before = Reader(exported / "checkpoints/global_step40")
    for name in before.names:
        assert torch.equal(reader.whole(name), before.whole(name).bfloat16())
        assert torch.equal(reader.whole(name, "exp_avg"), before.whole(name, "exp_avg"))
    assert neox("generate", "whole", *GREEDY).out == neox("generate", "checkpoints", *GREEDY).out


def test_how_far_rounding_moves_logits_is_told_apart_from_whether_the_result_is_right(exported, neox):
    done = neox("convert", "checkpoints", "half", "--dtype", "bfloat16", "--verify", "--json")
    assert done.code == 0, done.err
    verified = json.loads(done.out)["verified"]
    assert verified["rounded"] == "bfloat16"
    with torch.inference_mode():
        tokens = torch.randint(280, (2, 32), generator=torch.Generator().manual_seed(1))
        logits = [
            transformers.AutoModelForCausalLM.from_pretrained(exported / name, dtype=torch.float32)(tokens).logits
            for name in ("exported", "half")
        ]
    moved = float((logits[0] - logits[1]).abs().max())
    assert verified["difference"] < 1e-4 < moved / 4 < verified["rounding"] < 4 * moved
    said = neox("convert", "checkpoints", "half-again", "--dtype", "bfloat16", "--verify").out.splitlines()
    assert "differ from those of neox, its weights rounded to bfloat16 too, by " in said[-2]
    assert said[-1].startswith("rounding to bfloat16 moves logits by 0.")


def test_what_loses_nothing_is_not_called_rounded(exported, neox):
    assert neox("convert", "checkpoints", "small", "--to", "neox", "--dtype", "bfloat16").code == 0
    done = neox("convert", "small", "wider", "--dtype", "float32", "--verify", "--json")
    assert done.code == 0, done.err
    assert "rounding" not in json.loads(done.out)["verified"]


def test_files_of_gpt_neox_may_be_of_a_run_without_a_pipeline(exported, neox):
    done = neox("convert", "checkpoints", "flat", "--to", "gpt-neox", "--pp", "0")
    assert done.code == 0, done.err
    assert [*(exported / "flat").glob("*/mp_rank_00_model_states.pt")]
    assert not [*(exported / "flat").glob("*/layer_*")]
    assert neox("convert", "flat", "again").code == 0


def test_settings_of_transformers_are_read_without_torch(exported, neox):
    program = (
        "import sys\n"
        "from neox_core.cli.main import main\n"
        "code = main(['config', 'check', 'next.yml', 'train_iters=1', 'initial_ckpt_path=exported', '--settings-from', 'exported'])\n"
        "assert not {'torch', 'numpy', 'deepspeed', 'transformers'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    settings = {"train_iters": 1, "train_batch_size": 4, "data_path": "text", "split": "1, 0, 0", "device": "cpu"}
    (exported / "next.yml").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=exported, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = neox("config", "explain", "num_layers", "next.yml", "--settings-from", "exported")
    assert "hf-gpt-neox checkpoint exported" in shown.out, shown.err


def test_where_no_family_has_such_models_the_nearest_one_is_told_first(tmp_path, neox):
    save_ours(tmp_path / "ours", {**LIKE_LLAMA, "use_qk_layernorm": True})
    done = neox("convert", str(tmp_path / "ours"), "new")
    assert done.code == 2
    families = [line.split(": ")[1] for line in done.err.splitlines()[1:]]
    counts = Counter(families)
    assert families[0] in ("hf-llama", "hf-mistral")
    assert [*counts] == sorted(counts, key=counts.__getitem__)
    assert counts[families[0]] == 1 < counts["hf-mamba"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("nowhere", "new"), "nowhere: there is no such directory; give that of a checkpoint"),
        (
            (".", "new"),
            ".: there is no global_step.../manifest.json, no config.json and no params.json; it is no checkpoint",
        ),
        (("checkpoints", "exported"), "exported is there already, and is not an empty directory"),
        (("checkpoints", "new", "--to", "hf-lama"), "--to hf-lama: there is no such family; did you mean 'hf-llama'?"),
        (("checkpoints", "new", "--to", "hf-llama"), "norm: layernorm cannot be expressed by Hugging Face's Llama"),
        (
            ("checkpoints", "new", "--tp", "2"),
            "--tp and --pp: only some families have files that are cut for ranks: name one, --to gpt-neox, or leave",
        ),
        (("exported", "new", "--pp", "2"), "name one, --to gpt-neox, or leave them out"),
        (
            ("checkpoints", "new", "--tp", "2", "--to", "hf-gpt-neox"),
            "--tp and --pp: files of hf-gpt-neox are not cut for ranks: leave them out, or write --to gpt-neox",
        ),
        (
            ("checkpoints", "new", "--to", "neox", "--pp", "2"),
            "--tp and --pp: a checkpoint of neox loads at any number of ranks",
        ),
        (("checkpoints", "new", "--tp", "0"), "--tp 0, --pp 1: give whole numbers > 0"),
        (("checkpoints", "new", "--dtype", "int8"), "--dtype"),
        (("checkpoints", "new", "--iteration", "7"), "checkpoints/global_step7: there is no such checkpoint"),
        (
            ("checkpoints", "new", "--config", "num_layers=3"),
            "--config: checkpoints is a checkpoint of neox and has all",
        ),
        (
            ("exported", "new", "--config", "num_layers=3"),
            "exported: 'gpt_neox.layers.2.attention.dense.bias' is a weight of this",
        ),
        (("exported", "new", "--config", "no_such=3"), "no_such"),
        (
            ("exported", "new", "--iteration", "3"),
            "--iteration 3: exported holds no checkpoints by steps (global_step...): leave --iteration out",
        ),
        (
            ("theirs", "new", "--iteration", "3"),
            "--iteration 3: theirs holds no checkpoint of that step; there is step 40",
        ),
    ],
)
def test_mistakes_are_said_in_a_sentence_and_nothing_is_written(exported, neox, words, part):
    done = neox("convert", *words)
    assert done.code == 2
    assert "error: " in done.err
    assert part in done.err
    assert not (exported / "new").exists()
    assert not list(exported.glob(".*.tmp"))
