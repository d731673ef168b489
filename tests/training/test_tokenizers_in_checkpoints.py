"""A checkpoint keeps its tokenizer, of whatever kind, and knows it again."""

from __future__ import annotations

import pytest
from foreign_models import convert
from gpt2_vocabularies import SAMPLE, random_vocabulary
from instruct_models import LLAMA, ROWS, behaviour, save_instruct
from plugin_distributions import neox
from plugin_runs import write_config

from neox_core.config import NeoXArgs, World
from neox_core.config.loading import read_file
from neox_core.data.tokenizers import GPT2BPETokenizer, load_tokenizer
from neox_core.errors import UserError
from neox_core.plugins import PluginManager, Switches
from neox_core.training.resuming import checkpoint_to_resume
from neox_core.training.trained import load_trained

NAMED = {
    "tokenizer_type": "GPT2BPETokenizer",
    "vocab_file": "vocab.json",
    "merge_file": "merges.txt",
    "vocab_size": None,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A directory with a vocabulary and the checkpoint of one step."""
    directory = tmp_path_factory.mktemp("run")
    random_vocabulary().write(directory)
    write_config(directory, mock_data=True, data_path=None, train_iters=1, save="saved", **NAMED)
    done = neox("train", "tiny.yml", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory


def test_tokenizer_of_two_files_is_there_without_them(run):
    tokenizer = load_trained(run / "saved", Switches()).tokenizer
    assert isinstance(tokenizer, GPT2BPETokenizer)
    assert tokenizer.encode(SAMPLE) == load_tokenizer(
        "GPT2BPETokenizer", run / "vocab.json", run / "merges.txt"
    ).encode(SAMPLE)


def test_the_same_files_elsewhere_are_the_same_tokenizer_and_others_are_not(run, tmp_path):
    vocab_file, merge_file = tmp_path / "v", tmp_path / "m"
    vocab_file.write_bytes((run / "vocab.json").read_bytes())
    merge_file.write_bytes((run / "merges.txt").read_bytes())
    moved = {**NAMED, "vocab_file": str(vocab_file), "merge_file": str(merge_file)}
    path = write_config(
        run, "moved.yml", mock_data=True, data_path=None, train_iters=1, load=str(run / "saved"), **moved
    )
    resolved = NeoXArgs(read_file(path), PluginManager()).resolve(World.local(), len(random_vocabulary().ids))
    assert checkpoint_to_resume(resolved, print).path is not None
    merge_file.write_bytes(merge_file.read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    with pytest.raises(UserError, match="another tokenizer than"):
        checkpoint_to_resume(resolved, print)


def test_a_run_that_trains_a_model_of_chats_further_keeps_how_it_chats(train, data):
    theirs = save_instruct(data / "theirs")
    changes = {**LLAMA.ours, "num_attention_heads": 4, "rms_norm_epsilon": 1e-8, "no_weight_tying": True}
    begin = {
        "initial_ckpt_path": str(theirs),
        "vocab_file": str(theirs / "tokenizer.json"),
        "save": str(data / "saved"),
    }
    sizes = {"vocab_size": ROWS, "make_vocab_size_divisible_by": 1, "max_position_embeddings": 64}
    found = train(**changes, **begin, **sizes, tokenizer_type="HFTokenizer", train_iters=2)
    assert (found.code, len(found.steps)) == (0, 2), found.failure
    assert convert(data / "saved", data / "back") == 0
    before, after = behaviour(theirs), behaviour(data / "back")
    assert after.pop("model") == before.pop("special") == after.pop("special")
    assert after == {key: value for key, value in before.items() if key != "model"}
    again = {
        "load": str(data / "saved"),
        "save": str(data / "more"),
        "vocab_file": f"{data}/saved/global_step2/tokenizer.json",
    }
    found = train(**changes, **again, **sizes, tokenizer_type="HFTokenizer", train_iters=3)
    assert (found.code, len(found.steps)) == (0, 1), found.failure
    assert convert(data / "more", data / "further") == 0
    assert behaviour(data / "further")["chat"] == before["chat"]
