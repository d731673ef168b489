from __future__ import annotations

import numpy as np
import pytest

from neox_core.data.samples import blend_files
from neox_core.data.samples.blend_files import stored_blend
from neox_core.data.samples.blending import Stage, blend_index
from neox_core.data.samples.building import Builder

STAGES = [Stage(300, (0.5, 0.3, 0.2)), Stage(200, (0.0, 0.9, 0.1))]


@pytest.fixture
def large(monkeypatch):
    """Blends of 500 samples count as large."""
    monkeypatch.setattr(blend_files, "STORED_FROM", 500)


def equal(left, right):
    return np.array_equal(left.dataset, right.dataset) and np.array_equal(left.sample, right.sample)


def test_a_large_blend_is_made_once_and_mapped(tmp_path, large):
    made = []
    for builds in (True, True, False):
        blend = stored_blend(tmp_path, "train", STAGES, Builder(builds=builds))
        assert equal(blend, blend_index(STAGES))
        assert isinstance(blend.dataset.base, np.memmap)
        made.append({path: path.stat().st_mtime_ns for path in tmp_path.iterdir()})
    assert made[0] == made[1] == made[2]
    assert len(list(tmp_path.glob("train_blend_500ns_????????_dataset_index.npy"))) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_an_unfinished_blend_is_made_again(tmp_path, large):
    stored_blend(tmp_path, "train", STAGES, Builder())
    (record,) = tmp_path.glob("*.json")
    record.unlink()
    for file in tmp_path.glob("*_dataset_index.npy"):
        np.save(file, np.zeros(500, np.uint8))
    assert equal(stored_blend(tmp_path, "train", STAGES, Builder()), blend_index(STAGES))


@pytest.mark.parametrize(
    "changes", [{"stages": [Stage(300, (0.5, 0.3, 0.2)), Stage(200, (0.0, 0.8, 0.2))]}, {"compat": True}]
)
def test_other_blends_have_other_files(tmp_path, large, changes):
    stored_blend(tmp_path, "train", STAGES, Builder())
    other = {"stages": STAGES, "compat": False} | changes
    blend = stored_blend(tmp_path, "train", other["stages"], Builder(), compat=other["compat"])
    assert equal(blend, blend_index(other["stages"], compat=other["compat"]))
    assert len(list(tmp_path.iterdir())) == 6


def test_a_small_blend_stays_in_memory(tmp_path):
    assert equal(stored_blend(tmp_path, "train", STAGES, Builder(builds=False)), blend_index(STAGES))
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_a_blend_stays_in_memory(tmp_path, large, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert equal(stored_blend(None, "train", STAGES, Builder(builds=False)), blend_index(STAGES))
    assert list(tmp_path.iterdir()) == []
