"""Large blends in files, so that all ranks of a host share one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from neox_core.data.samples.array_files import ArrayFiles, Arrays
from neox_core.data.samples.array_search import Recipe
from neox_core.data.samples.blending import BlendIndex, Stage, blend_index
from neox_core.data.samples.building import Builder, stored_arrays

STORED_FROM = 1_000_000
"""Samples from which on a blend is kept in files; a smaller one takes less than 0.1 s to make."""

_FORMAT = 2  # of what a digest is of


def stored_blend(
    directory: Path | None, name: str, stages: Sequence[Stage], builder: Builder, *, compat: bool = False
) -> BlendIndex:
    """The blend of `stages` (see `blend_index`): when large, mapped from files in `directory`, where it is made if need be.

    Args:
        directory: None keeps the blend in memory.
        name: of the blend ("train", "valid", "test"), with which the files' names begin.
        stages: how many samples to mix by which weights.
        builder: who makes the files.
        compat: whether weights of 0 may serve, as in GPT-NeoX.

    Raises:
        UserError: the files cannot be written, or did not appear in time.
    """
    size = sum(stage.num_samples for stage in stages)
    if directory is None or size < STORED_FROM:
        return blend_index(stages, compat=compat)

    def build() -> Arrays:
        blend = blend_index(stages, compat=compat)
        return {"dataset_index": blend.dataset, "dataset_sample_index": blend.sample}

    digest = hashlib.sha256(json.dumps([_FORMAT, compat, stages]).encode()).hexdigest()
    files = ArrayFiles(directory / f"{name}_blend_{size}ns_{digest[:8]}", ("dataset_index", "dataset_sample_index"))
    arrays = stored_arrays(files, Recipe(digest, build), builder)
    return BlendIndex(arrays["dataset_index"], arrays["dataset_sample_index"])
