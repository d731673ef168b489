"""`neox data at` and `neox data replay` where a server makes the samples: there is nothing to read again."""

from __future__ import annotations

import pytest

from neox_core.cli.main import main


@pytest.mark.parametrize("verb", ["at", "replay"])
def test_samples_of_a_server_are_not_looked_up(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = "num_layers=2 hidden_size=16 num_attention_heads=2 seq_length=16 max_position_embeddings=16 vocab_size=64"
    batch = "train_iters=4 train_batch_size=2 dataset_impl=online device=cpu"
    assert main(["data", verb, *given.split(), *batch.split(), "--step", "1"]) == 2
    said = capsys.readouterr().err
    assert "dataset_impl: online: a server made the samples" in said
    assert "`sample_ledger: all`" in said
