"""What a user can do wrong, through the real command line: one sentence, exit code 2, nothing written or lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkpoint_worlds import fragments
from plugin_distributions import neox
from plugin_runs import listing, write_config, write_data

from neox_core.checkpoint import SoloGroup, save

NO_GPU = """
from neox_core.plugins import Optimizer

def neox_components():
    return [Optimizer(name="quantum", summary="s", factory="quantum_optimizer:build", probe="quantum_optimizer:reason")]

def reason():
    return "it needs a quantum computer"
"""

# What is written after `neox`, and what the message must contain: place, key, value, what is allowed, how to mend it.
CASES = {
    "missing file": (
        ["train", "absent.yml"],
        ["error: absent.yml: there is no such file, and no preset of this name; there are "],
    ),
    "near miss of a preset": (
        ["train", "quickstat"],
        ["quickstat: there is no such file", "did you mean 'quickstart'?"],
    ),
    "not YAML": (
        ["train", "broken.yml"],
        ["error: broken.yml:2: the '{' that begins here is not closed\n", "\n  add '}' at its end\n"],
    ),
    "not a mapping": (["train", "list.yml"], ["error: list.yml:1: a file is lines `key: value`, and this is a list\n"]),
    "unknown key": (
        ["train", "tiny.yml", "typo.yml"],
        ["error: typo.yml:2: num_kv_head: there is no such setting\n", "\n  did you mean 'num_kv_heads'?\n"],
    ),
    "key given twice": (
        ["train", "tiny.yml", "twice.yml"],
        ["error: twice.yml:1: num_layers: is given twice, first in tiny.yml:2\n", "\n  remove one\n"],
    ),
    "wrong type": (
        ["train", "tiny.yml", "num_layers=two"],
        ["error: command line (num_layers=two): num_layers: 'two' is not a whole number > 0"],
    ),
    "out of range": (["train", "tiny.yml", "rotary_pct=2"], ["rotary_pct: 2 is not a number > 0 and <= 1"]),
    "width that heads do not divide": (
        ["train", "tiny.yml", "hidden_size=15"],
        ["hidden_size 15 is not a multiple of num_attention_heads 2\n", "\n  use a multiple of 2, such as 16\n"],
    ),
    "layers that cannot be dealt": (
        ["train", "tiny.yml", "pipe_parallel_size=2", "num_gpus=2", "pipe_partition_method=unifrom"],
        [
            "error: command line (pipe_partition_method=unifrom): pipe_partition_method: 'unifrom' is none of uniform, par"
        ],
    ),
    "data that does not exist": (
        ["train", "tiny.yml", "data_path=data/toknes"],
        ["data_path: data/toknes.idx: this token file cannot be read (No such file or directory)", "neox data prepare"],
    ),
    "tokens beyond the embedding": (
        ["train", "tiny.yml", "vocab_size=32"],
        [
            "tiny.yml:12: data_path: data/tokens has the token 63, the embedding has 32 rows\n",
            "\n  set vocab_file",
            "vocab_size\n",
        ],
    ),
    "vocabulary smaller than the tokenizer": (
        ["train", "tiny.yml", "tokenizer_type=CharLevelTokenizer"],
        ["vocab_size: 64 is less than the tokenizer's 512 entries\n", "\n  remove it\n"],
    ),
    "missing tokenizer": (
        ["train", "tiny.yml", "tokenizer_type=HFTokenizer", "vocab_file=absent.json"],
        ["vocab_file: absent.json cannot be read", "give the path of a tokenizer.json"],
    ),
    "truncated index": (
        ["train", "tiny.yml", "data_path=data/cut_index"],
        ["data_path: data/cut_index.idx: the index is truncated: 200 bytes where 842 are expected. Copy or make"],
    ),
    "truncated tokens": (
        ["train", "tiny.yml", "data_path=data/cut_tokens"],
        ["data/cut_tokens.bin: the file has 100 bytes where its index (cut_tokens.idx) describes 4000"],
    ),
    "checkpoint without manifest": (
        ["train", "tiny.yml", "load=no_manifest"],
        ["load: no_manifest/latest names 'global_step3'", "it has no manifest.json, as when a save is interrupted"],
    ),
    "checkpoint without manifest asked for": (
        ["train", "tiny.yml", "load=no_manifest", "iteration=3"],
        ["load: no_manifest/global_step3 is not a complete checkpoint: it has no manifest.json"],
    ),
    "checkpoint that is not there": (
        ["train", "tiny.yml", "load=saved", "iteration=7"],
        ["load: saved/global_step7: there is no such checkpoint", "global_step3"],
    ),
    "truncated shard": (
        ["train", "tiny.yml", "load=cut_shard"],
        [
            "load: cut_shard/global_step3/shards/rank-00000.safetensors is damaged: expected ",
            " bytes, found 100",
            "Restore it from a copy",
        ],
    ),
    "checkpoint of another model": (
        ["train", "tiny.yml", "load=saved", "hidden_size=32"],
        [
            "load: saved/global_step3 was saved with hidden_size 16 (now 32): use the same settings, or load from another"
        ],
    ),
    "a place to save to where nothing can be made": (
        ["train", "tiny.yml", "save=/proc/checkpoints"],
        [
            "error: command line (save=/proc/checkpoints): save: /proc/checkpoints: /proc cannot be written to (No such file"
        ],
    ),
    "saving over later checkpoints": (
        ["train", "tiny.yml", "save=saved"],
        [
            "saved holds checkpoints later than iteration 0",
            "global_step3",
            "Save to another directory, or move them away",
        ],
    ),
    "more ranks than slots": (
        ["train", "tiny.yml", "hostfile=hosts", "num_gpus=3"],
        [
            "command line (num_gpus=3): num_gpus: 3: localhost has 2 slots (hosts); use at most 2, "
            "or declare more there with the line `localhost slots=3`"
        ],
    ),
    "missing hostfile": (["train", "tiny.yml", "hostfile=nohosts"], ["hostfile: nohosts cannot be read", "slots=N"]),
    "unknown component": (
        [
            "train",
            "tiny.yml",
            "optimizer.type=adamv",
            "launcher=lokal",
            "norm=layernrom",
            "attention_config=[[[x],all]]",
        ],
        [
            "optimizer: there is no optimizer 'adamv'; did you mean 'adam",
            "launcher: there is no launcher 'lokal'; did you mean 'local'?",
            "norm: there is no norm 'layernrom'; did you mean 'layernorm'?",
            "attention_config: there is no attention 'x'; there is: ",
        ],
    ),
    "unknown option of a component": (
        ["train", "tiny.yml", "optimizer.params.beta=1"],
        ["optimizer: params.beta: adamw has no such option", "did you mean 'betas'?"],
    ),
    "component that cannot run here": (
        ["-p", "quantum_optimizer.py", "train", "tiny.yml", "optimizer.type=quantum"],
        [
            "optimizer 'quantum' of quantum_optimizer: incompatible: it needs a quantum computer; or choose another one: adam"
        ],
    ),
    "component that is switched off": (
        ["-p", "no:optimizer.adamw", "train", "tiny.yml"],
        ["optimizer 'adamw' of neox-toolkit", "switched off by -p no:optimizer.adamw; remove 'optimizer.adamw' there"],
    ),
    "malformed override": (
        ["train", "tiny.yml", "optimizer.type={"],
        ["'optimizer.type={': in the value: the '{' that begins here is not closed; add '}' at its end"],
    ),
    "unknown verb": (["trian", "tiny.yml"], ["error: there is no verb 'trian'; did you mean 'train'?"]),
    "unknown option": (["--fast", "train"], ["error: --fast: there is no such option; see `neox --help`"]),
    "unknown plugin": (
        ["-p", "no:flash", "train", "tiny.yml"],
        ["-p no:flash: there is no plugin or component 'flash'"],
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with everything that the cases need, which none of them may change."""
    directory = tmp_path_factory.mktemp("bad_input")
    write_data(directory)
    config = write_config(directory)
    for name, index, tokens in (("cut_index", 200, 4000), ("cut_tokens", 842, 100)):
        for suffix, size in ((".idx", index), (".bin", tokens)):
            content = (directory / "data" / f"tokens{suffix}").read_bytes()
            (directory / "data" / f"{name}{suffix}").write_bytes(content[:size])
    for name in ("saved", "no_manifest", "cut_shard"):
        save_checkpoint(directory / name, config.read_text())
    (directory / "no_manifest/global_step3/manifest.json").unlink()
    shard = directory / "cut_shard/global_step3/shards/rank-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:100])
    for name, text in {
        "broken.yml": "num_layers: 2\nfp16: {enabled: true\nseed: 3\n",
        "list.yml": "- num_layers\n",
        "typo.yml": "# grouped queries\nnum_kv_head: 1\n",
        "twice.yml": "num_layers: 3\n",
        "hosts": "localhost slots=2\n",
        "quantum_optimizer.py": NO_GPU,
    }.items():
        (directory / name).write_text(text)
    return directory


def save_checkpoint(directory: Path, settings: str) -> None:
    save(
        directory,
        iteration=3,
        fragments=fragments(3),
        state={},
        files={"settings.yml": settings},
        random_state=None,
        group=SoloGroup(),
    )


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_said_in_a_sentence_and_changes_nothing(place, case):
    words, expected = CASES[case]
    before = listing(place)
    done = neox(*words, cwd=place, PYTHONDONTWRITEBYTECODE="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert all(re.match(r"error: |  |\d+ problem", line) for line in done.stderr.splitlines())
    for part in expected:
        assert part in done.stderr
    assert listing(place) == before


def test_several_mistakes_are_said_together(place):
    done = neox("train", "tiny.yml", "typo.yml", "seed=x", "precision=fp23", cwd=place)
    assert done.stderr.count("error: ") == 3


@pytest.mark.parametrize("case", ["missing file", "wrong type", "truncated index"])
def test_a_traceback_is_shown_when_it_is_asked_for(place, case):
    words, expected = CASES[case]
    done = neox("--traceback", *words, cwd=place)
    assert done.returncode != 0
    assert "Traceback (most recent call last)" in done.stderr
    assert expected[0].removeprefix("error: ") in done.stderr


def test_the_traceback_of_a_plugin_that_was_asked_for_is_shown(tmp_path):
    (tmp_path / "raising.py").write_text("raise OSError('libquantum.so: not found')\n")
    done = neox("--traceback", "-p", "raising.py", "plugins", cwd=tmp_path)
    assert f'File "{tmp_path / "raising.py"}", line 1' in done.stderr
