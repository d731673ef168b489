"""A model that `neox train` trained on three sentences, for verbs that take a checkpoint."""

from __future__ import annotations

import pytest
from plugin_distributions import neox
from plugin_runs import write_config

from neox_core.data.token_files import TokenFileWriter
from neox_core.data.tokenizers.training import train_bpe

SENTENCES = ("the cat sat on the mat", "the dog sat on the log", "a bird in the hand")


@pytest.fixture(scope="session")
def trained_directory(tmp_path_factory):
    """A working directory with `checkpoints`, in which the newest of two is that of step 40."""
    directory = tmp_path_factory.mktemp("trained")
    tokenizer = train_bpe(SENTENCES, 300)
    (directory / "tokenizer.json").write_text(tokenizer.to_json())
    with TokenFileWriter(directory / "text", "uint16") as writer:
        for _ in range(100):
            for sentence in SENTENCES:
                writer.add([*tokenizer.encode(sentence), tokenizer.eod_id])
    write_config(
        directory,
        vocab_size=None,
        tokenizer_type="HFTokenizer",
        vocab_file="tokenizer.json",
        data_path="text",
        train_iters=40,
        checkpoint_factor=20,
        hidden_size=32,
        seq_length=32,
        max_position_embeddings=32,
        save="checkpoints",
        loggers=["jsonl"],
    )
    done = neox("train", "tiny.yml", cwd=directory)
    assert done.returncode == 0, done.stderr
    (directory / "tokenizer.json").unlink()  # the checkpoint has its own
    return directory
