"""A checkpoint keeps its tokenizer, of whatever kind, and knows it again."""

from __future__ import annotations

import pytest
from gpt2_vocabularies import SAMPLE, random_vocabulary
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
