"""Parameters cut into flat pieces in one way are read in any other way, exactly."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
import torch
from checkpoint_worlds import (
    ROLES,
    SIZES,
    check_iteration,
    fragments,
    in_threads,
    pieces,
    save_fragments,
    save_iteration,
)
from hypothesis import given, settings, strategies as st

from neox_core.checkpoint import DamagedCheckpoint, Reader, load_fragments
from neox_core.errors import UserError
from neox_core.parallel.shards import Fragment, ShardSpec

SIZE = 30
SPEC = ShardSpec.complete("layers.0.mlp.weight", (5, 6))
VALUES = torch.arange(SIZE, dtype=torch.float32)
cuts = st.lists(st.integers(0, SIZE), max_size=6)


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("before", [1, 2, 3])
def test_what_some_ranks_saved_another_number_loads(tmp_path, before, after):
    path = in_threads(before, lambda group: save_iteration(tmp_path, 1, group))[0]
    check_iteration(path, 1)
    for rank in range(after):
        live = fragments(2, rank, after)
        load_fragments(Reader(path), live)
        for fragment, saved in zip(live, fragments(1, rank, after), strict=True):
            assert torch.equal(fragment.tensor, saved.tensor)
    assert Reader(path).world_size == before


def test_the_parameters_and_roles_are_all_there_when_each_rank_has_a_part(tmp_path):
    reader = Reader(in_threads(2, lambda group: save_iteration(tmp_path, 1, group))[0])
    assert set(reader.names) == set(SIZES)
    assert set(reader.roles("norm.weight")) == {*ROLES, "step"}


@settings(max_examples=40)
@given(cuts, st.integers(1, 3), st.randoms(use_true_random=False), st.integers(0, SIZE), st.integers(0, SIZE))
def test_any_range_is_read_from_any_cutting(places, ranks, generator, one, other):
    cut = pieces(VALUES, SPEC, "weight", sorted(set(places) - {0, SIZE}))
    generator.shuffle(cut)
    start, stop = sorted((one, other))
    with tempfile.TemporaryDirectory() as directory:
        reader = Reader(save_fragments(Path(directory), [cut[rank::ranks] for rank in range(ranks)]))
        assert torch.equal(reader.read(SPEC, "weight", (start, stop)), VALUES[start:stop])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), min_size=1, max_size=6, unique=True))
def test_pieces_that_overlap_or_leave_gaps_give_the_exact_values_or_an_error(ranges):
    ordered = sorted({(min(pair), max(pair)) for pair in ranges})
    held = {index for start, stop in ordered for index in range(start, stop)}
    with tempfile.TemporaryDirectory() as directory:
        saved = [Fragment(SPEC, "weight", (start, stop), VALUES[start:stop]) for start, stop in ordered]
        reader = Reader(save_fragments(Path(directory), [saved]))
        for start, stop in [(0, SIZE), *ordered, (min(held, default=0), max(held, default=0))]:
            if held.issuperset(range(start, stop)):
                assert torch.equal(reader.read(SPEC, "weight", (start, stop)), VALUES[start:stop])
            else:
                with pytest.raises(UserError, match=re.escape("layers.0.mlp.weight ('weight') are missing")):
                    reader.read(SPEC, "weight", (start, stop))


def test_a_missing_rank_is_named_by_what_it_held(tmp_path):
    path = save_fragments(tmp_path, [pieces(VALUES, SPEC, "weight", [10, 20])[::2]])
    with pytest.raises(
        UserError, match=re.escape("elements [1:2, 4:6], [2:3, 0:6], [3:4, 0:2] of layers.0.mlp.weight")
    ):
        Reader(path).read(SPEC, "weight", (0, SIZE))


def test_a_damaged_shard_costs_only_what_it_holds(tmp_path):
    path = save_fragments(tmp_path, [[piece] for piece in pieces(VALUES, SPEC, "weight", [10])])
    shard = path / "shards" / "rank-00001.safetensors"
    shard.write_bytes(bytes(shard.stat().st_size))
    reader = Reader(path)
    assert torch.equal(reader.read(SPEC, "weight", (0, 10)), VALUES[:10])
    with pytest.raises(DamagedCheckpoint, match=r"rank-00001\.safetensors"):
        reader.read(SPEC, "weight", (9, 11))


def test_blocks_are_kept(tmp_path):
    path = save_fragments(tmp_path, [pieces(VALUES, SPEC, "weight", [])])
    assert '"blocks": [[[[0, 5], [0, 6]], [[0, 5], [0, 6]]]]' in (path / "index.json").read_text()
