from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st
from text_files import read_records

from neox_core.data.preparing.blocks import Block, shard_of
from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.readers import ranges
from neox_core.errors import UserError


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 60), st.booleans())
def test_ranges_of_a_file_of_lines_are_the_file(tmp_path_factory, lengths, block_bytes, ends):
    path = tmp_path_factory.mktemp("ranges") / "a.jsonl"
    lines = [json.dumps({"text": "x" * length}).encode() for length in lengths]
    path.write_bytes(b"\n".join(lines) + (b"\n" if ends else b""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "BLOCK_BYTES", block_bytes)
        blocks = find_inputs([str(path)]).blocks
        records = list(read_records(path))
    assert [record.raw.rstrip(b"\n") for _, record in records] == lines
    assert b"".join(path.read_bytes()[block.start : block.stop] for block in blocks) == path.read_bytes()
    longest = max(map(len, lines)) + 1
    assert all(0 < block.size == block.stop - block.start < block_bytes + longest for block in blocks)
    source = find_inputs([str(path)]).sources[0]
    rows = [ranges.count_lines(source, 0, block.start) + record.row for block, record in records]
    assert rows == list(range(len(lines)))


def test_empty_file_has_no_blocks(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert find_inputs([str(tmp_path / "a.jsonl")]).blocks == ()


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40), st.data())
def test_shards_are_all_blocks_in_order_and_none_is_empty(sizes, data):
    blocks = [Block(0, size) for size in sizes]
    count = data.draw(st.integers(1, len(blocks)))
    shards = [shard_of(blocks, number, count) for number in range(1, count + 1)]
    assert [block for shard in shards for block in shard] == list(range(len(blocks)))
    assert all(shards)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=200), st.integers(1, 10))
def test_shards_are_balanced_to_a_block(sizes, count):
    blocks = [Block(0, size) for size in sizes]
    if count > len(blocks):
        with pytest.raises(UserError, match=rf"1/{count}: the input can be cut into {len(blocks)} blocks only"):
            shard_of(blocks, 1, count)
        return
    for number in range(1, count + 1):
        shard = shard_of(blocks, number, count)
        most = sum(sizes) / count + 2 * max(sizes)
        assert sum(sizes[block] for block in shard) <= most
