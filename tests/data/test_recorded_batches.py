"""The batches of recorded runs: each token and label equals what GPT-NeoX trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neox_core.config import NeoXArgs, World
from neox_core.plugins import PluginManager
from neox_core.testing.fixture import Fixture
from neox_core.testing.recorded import array_digest
from neox_core.testing.recorded_files import RecordedFiles
from neox_core.training.batches import Batches
from neox_core.training.datasets import open_datasets

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = sorted(path.stem for path in GOLDEN.glob("*.json") if "batches" in json.loads(path.read_text()))


@pytest.fixture(scope="module")
def plugins():
    return PluginManager()


@pytest.mark.parametrize("name", RECORDED)
def test_batches_equal_those_that_gpt_neox_trained_on(name, plugins):
    fixture = Fixture.read(GOLDEN / f"{name}.json")
    files = RecordedFiles(GOLDEN, fixture.data)
    assert files.differences() == 0
    config = {key: files.prefixes(value) if "data_path" in key else value for key, value in fixture.config.items()}
    args = NeoXArgs.from_dict({"compat": "gpt-neox", **config}, plugins=plugins)
    resolved = args.resolve(World.local(), fixture.vocabulary)
    batches = Batches(
        open_datasets(resolved).train,
        resolved,
        0,
        ("labels", "loss_mask"),
        0 if config.get("eod_mask_loss") else None,
    )
    rows = resolved.batch.micro
    found = []
    while len(found) < len(fixture.batches):
        batch = next(batches)
        # Of pairs, the good answers were recorded apart from the bad ones.
        for part in range(0, len(batch["tokens"]), rows):
            found.append({field: batch[field][part : part + rows] for field in batch})
    for batch, recorded in zip(found, fixture.batches, strict=True):
        assert array_digest(batch["tokens"].numpy()) == recorded.tokens
        assert array_digest(batch["labels"].numpy()) == recorded.labels
        assert float(batch["loss_mask"].sum()) == recorded.mask_sum
