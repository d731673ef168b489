"""Parameters that were cut over tensor-parallel ranks, and into flat pieces, are read as any other cutting, exactly."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import cut_tensors
import pytest
import torch
from checkpoint_worlds import save_fragments
from cut_tensors import NAME, assembled, cuttings, flat_pieces, same_bits, shapes, values
from hypothesis import given, settings, strategies as st
from neox_attention.heads import Heads
from torch.profiler import ProfilerActivity, profile

from neox_core.checkpoint import Reader
from neox_core.checkpoint.index import Index
from neox_core.checkpoint.pieces import Piece
from neox_core.errors import UserError
from neox_core.parallel import Axis, Fragment, Piece as Part, ShardSpec, evenly, local_part

DTYPE = torch.float32
places = st.lists(st.integers(0, 343), max_size=4)


@st.composite
def saved_and_wanted(draw):
    """A tensor, what each rank saves of it, cut in one way or in two, and what one rank wants of it then."""
    shape = draw(shapes)
    whole = values(shape, draw(st.sampled_from(cut_tensors.DTYPES)))
    specs = [spec for _ in range(draw(st.integers(1, 2))) for spec in draw(cuttings(shape))]
    saved = [flat_pieces(whole, spec, draw(places)) for spec in specs]
    spec = draw(st.sampled_from(draw(cuttings(shape))))
    size = spec.local_size
    start, stop = sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))
    return whole, saved, spec, draw(st.sampled_from([(0, size), (start, stop)]))


def copied(fragments, spec, wanted):
    """What an index says is to be copied, done in memory; zeros elsewhere."""
    index = Index({str(number): [Piece.of(fragment)] for number, fragment in enumerate(fragments)})
    read = torch.zeros(wanted[1] - wanted[0], dtype=fragments[0].tensor.dtype)
    copies = index.copies(spec, "weight", wanted)
    assert sum(torch.Size(copy.shape).numel() for copy in copies) == len(read), "each element once"
    for copy in copies:
        held = fragments[int(copy.stored.shard)].tensor
        assert 0 <= copy.span[0] < copy.span[1] <= len(held)
        copy.target.of(read, copy.shape).copy_(copy.source.of(held, copy.shape))
    return read


@settings(max_examples=40)
@given(saved_and_wanted())
def test_every_element_that_is_read_is_the_global_one(case):
    whole, saved, spec, wanted = case
    with tempfile.TemporaryDirectory() as directory:
        reader = Reader(save_fragments(Path(directory), saved))
        read = reader.read(spec, "weight", wanted)
    assert same_bits(read, local_part(whole, spec).flatten()[slice(*wanted)])


@settings(max_examples=300)
@given(saved_and_wanted(), st.randoms(use_true_random=False))
def test_elements_that_nobody_saved_are_always_detected_and_all_others_read(case, generator):
    whole, saved, spec, wanted = case
    kept = [fragment for of_rank in saved for fragment in of_rank if generator.random() < 0.8]
    held = local_part(assembled(kept, tuple(whole.shape)), spec).flatten()[slice(*wanted)]
    if kept and held.all():
        assert same_bits(copied(kept, spec, wanted), local_part(whole, spec).flatten()[slice(*wanted)])
    else:
        with pytest.raises(UserError, match="are missing" if kept else "no parameter"):
            Index({"shard": [Piece.of(fragment) for fragment in kept]}).copies(spec, "weight", wanted)


def columns(start, stop):
    """The spec of a rank that has some columns of a tensor [4, 6]."""
    return cut_tensors.spec((4, 6), 1, [Part(start, stop)])


def test_what_is_missing_is_named_in_the_global_tensor():
    """The second of three ranks that have two columns each has not saved."""
    index = Index(
        {f"shards/{rank}": [Piece(columns(2 * rank, 2 * rank + 2), "exp_avg", (0, 8), False, DTYPE)] for rank in (0, 2)}
    )
    words = (
        f"elements [0:4, 2:4] of {NAME} ('exp_avg') are missing: a rank's part was not saved; of its shape (4, 6) there are "
        "parts in shards/0, shards/2"
    )
    with pytest.raises(UserError, match=f"^{re.escape(words)}$"):
        index.copies(ShardSpec.complete(NAME, (4, 6)), "exp_avg", (0, 24))
    with pytest.raises(UserError, match=re.escape("elements [1:3, 2:4], [3:4, 2:3] of")):
        index.copies(columns(2, 4), "exp_avg", (2, 7))
    assert [copy.shape for copy in index.copies(columns(4, 6), "exp_avg", (2, 7))] == [(5,)]
    assert index.copies(columns(3, 3), "exp_avg", (0, 0)) == []


def test_a_message_names_some_places_only():
    whole = ShardSpec.complete(NAME, (20,))
    index = Index(
        {f"shards/{place}": [Piece(whole, "weight", (place, place + 1), False, DTYPE)] for place in range(1, 20, 2)}
    )
    places, files = (
        r"\[0:1\], \[2:3\], \[4:5\], \[6:7\] and 6 more",
        "shards/1, shards/3, shards/5, shards/7 and 6 more",
    )
    with pytest.raises(UserError, match=f"elements {places} of .* there are parts in {files}"):
        index.copies(whole, "weight", (0, 20))


def test_a_run_that_is_no_part_of_the_local_tensor_is_a_mistake():
    index = Index({"shard": [Piece(ShardSpec.complete(NAME, (4, 6)), "weight", (0, 24), False, DTYPE)]})
    with pytest.raises(ValueError, match="has 8 elements here, and no elements 7 to 9"):
        index.copies(columns(0, 2), "weight", (7, 9))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_rows_that_several_ranks_hold_are_read_by_all_of_them_and_saved_by_the_first(ranks, tmp_path):
    """Two key/value heads of four ranks, each with its own queries: the ranks of a pair hold the same."""
    whole = values((32, 3), torch.float32)
    heads = [Heads(queries=12, shared=2, width=2, axis=Axis(rank, 4)) for rank in range(4)]
    specs = [cut_tensors.spec((32, 3), 0, each.row_pieces()) for each in heads]
    saved = [
        [Fragment(spec, "weight", run, local_part(whole, spec).flatten()[slice(*run)]) for run in spec.owned()]
        for spec in specs
    ]
    assert sum(fragment.tensor.numel() for of_rank in saved for fragment in of_rank) == whole.numel()
    reader = Reader(save_fragments(tmp_path, saved))
    for rank in range(ranks):
        heads = Heads(queries=12, shared=2, width=2, axis=Axis(rank, ranks))
        spec = cut_tensors.spec((32, 3), 0, heads.row_pieces())
        assert torch.equal(reader.read(spec, "weight", (0, spec.local_size)), local_part(whole, spec).flatten())


def test_a_scalar_is_that_of_every_part(tmp_path):
    """The first of two ranks has saved two, of ZeRO pieces; the other has its own."""
    saved = [
        [Fragment(columns(3 * rank, 3 * rank + 3), "step", (0, 1), torch.tensor([7.0 + rank]), scalar=True)]
        for rank in range(2)
    ]
    reader = Reader(save_fragments(tmp_path, saved))
    assert reader.read(ShardSpec.complete(NAME, (4, 6)), "step", (0, 1)).item() == 7.0
    assert [reader.read(columns(3 * rank, 3 * rank + 3), "step", (0, 1)).item() for rank in range(2)] == [7.0, 8.0]
    assert reader.read(columns(0, 1), "step", (0, 1)).item() == 7.0
    with pytest.raises(UserError, match="are missing"):
        reader.read(columns(0, 3), "step", (0, 12))


def test_however_large_a_tensor_is_there_are_few_copies():
    """In blocks, not rows: see `Copy`."""
    shape = (12288, 49152)
    whole = ShardSpec.complete(NAME, shape)
    for dimension in (0, 1):
        specs = [cut_tensors.spec(shape, dimension, evenly(shape[dimension], Axis(rank, 8))) for rank in range(8)]
        pieces = [Piece(spec, "weight", (0, spec.local_size), False, DTYPE) for spec in specs]
        assert len(Index({"": pieces}).copies(whole, "weight", (0, whole.local_size))) == 8
        index = Index({"": [Piece(whole, "weight", (0, whole.local_size), False, DTYPE)]})
        assert [len(index.copies(spec, "weight", (0, spec.local_size))) for spec in specs] == [1] * 8


def test_a_part_is_read_without_memory_for_the_rest(tmp_path):
    whole = torch.randn(512, 512)
    reader = Reader(save_fragments(tmp_path, [flat_pieces(whole, ShardSpec.complete(NAME, (512, 512)), [1000])]))
    part, out = cut_tensors.spec((512, 512), 1, [Part(100, 110)]), torch.empty(5120)
    reader.verify(part, "weight", (0, 5120))  # the file is mapped
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        reader.read(part, "weight", (0, 5120), out=out)
    assert torch.equal(out.view(512, 10), whole[:, 100:110])
    assert sum(max(event.self_cpu_memory_usage, 0) for event in profiler.events()) < 512 * 512


def test_pieces_of_all_kinds_survive_json():
    heads = Heads(queries=4, shared=2, width=2, axis=Axis(1, 4))
    of_heads = cut_tensors.spec((16, 3), 0, heads.row_pieces())
    for spec in (of_heads, columns(2, 2), ShardSpec.complete(NAME, ()), ShardSpec.complete(NAME, (4,), 1, 2)):
        piece = Piece(spec, "weight", (0, spec.local_size), False, torch.bfloat16)
        assert Piece.from_json(json.loads(json.dumps(piece.to_json()))) == piece
    plain = Piece(columns(2, 4), "weight", (0, 8), False, DTYPE).to_json()
    assert set(plain) == {"name", "role", "range", "scalar", "dtype", "shape", "blocks"}, (
        "as before there were replicas"
    )
