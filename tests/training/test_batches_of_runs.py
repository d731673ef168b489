"""A run's batches: what the embedding does not have is told before a kernel fails on it."""

from __future__ import annotations

import numpy as np
import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.data.datasets import Sampling, listed_datasets
from neox_core.data.named import Part
from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.splits import SampleCounts
from neox_core.data.token_files import TokenFileWriter
from neox_core.errors import UserError
from neox_core.training.batches import Batches

ROWS = 128  # of the embedding: 64 tokens, filled up


@pytest.fixture
def batches(tmp_path):
    def make(text, label):
        for name, ids in (("text", text), ("label", label)):
            with TokenFileWriter(tmp_path / name, "int32") as writer:
                writer.add(np.array(ids))
        files = DocumentFiles(str(tmp_path / "text"), str(tmp_path / "label"))
        counts = SampleCounts(train=1, valid=1, test=1)
        dataset = listed_datasets({"train": Part((files,))}, counts, Sampling(seq_length=8, seed=1)).train
        resolved = NeoXArgs.from_dict({**MODEL, "mock_data": True, "vocab_size": 64, "num_workers": 0})
        return Batches(dataset, resolved.resolve(World.local(1), 64), 0, ("labels",), None)

    return make


@pytest.mark.parametrize(
    ("text", "label", "says"),
    [
        (ROWS, 0, f"the data has the token {ROWS}, the embedding has {ROWS} rows"),
        (-100, 0, "the data has the token -100, which is no token id"),
        (0, ROWS, f"the data has the label {ROWS}, the embedding has {ROWS} rows"),
    ],
)
def test_what_the_embedding_does_not_have_is_told(batches, text, label, says):
    with pytest.raises(UserError, match=says):
        next(batches([1, 2, 3, text] * 3, [1, 2, 3, label] * 3))


def test_the_last_row_and_labels_that_are_not_predicted_are_right(batches):
    batch = next(batches([1, 2, 3, ROWS - 1] * 3, [1, -100, 3, ROWS - 1] * 3))
    assert (batch["tokens"].max(), batch["labels"].max(), batch["labels"].min()) == (ROWS - 1, ROWS - 1, 0)
