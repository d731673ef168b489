from __future__ import annotations

import itertools
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from killed_processes import killed_at
from token_bytes import index_bytes, tokens_bytes

from neox_core.data.token_files import TokenFileWriter, count, document_ends, extract, merge, open_tokens, prefixes_in
from neox_core.errors import UserError

DOCUMENTS = st.lists(st.lists(st.lists(st.integers(0, 255), max_size=4), max_size=3), max_size=6)


def write(prefix, documents, dtype="uint16", impl="mmap"):
    with TokenFileWriter(prefix, dtype, impl) as writer:
        for document in documents:
            writer.add(*document)
    return prefix


def stored(prefix):
    return [prefix.with_name(f"{prefix.name}.{kind}").read_bytes() for kind in ("bin", "idx")]


def listed(tokens):
    return [sequence.tolist() for sequence in tokens]


@settings(max_examples=20, deadline=None)
@given(shards=st.lists(DOCUMENTS, min_size=1, max_size=4), impl=st.sampled_from(["mmap", "cached"]))
def test_shards_merge_to_what_would_be_written_at_once(tmp_path_factory, shards, impl):
    directory = tmp_path_factory.mktemp("shards")
    prefixes = [write(directory / f"shard_{i}", shard, impl=impl) for i, shard in enumerate(shards)]
    counts = merge(prefixes, directory / "merged", "uint16")
    documents = list(itertools.chain(*shards))
    assert stored(directory / "merged") == [tokens_bytes(documents, "uint16"), index_bytes(documents, "uint16", impl)]
    assert counts == count(open_tokens(directory / "merged"))
    assert counts.documents == len(documents)
    assert counts.sequences == sum(map(len, documents))


@settings(max_examples=20, deadline=None)
@given(documents=DOCUMENTS, data=st.data())
def test_ranges_of_sequences_merge_to_the_whole(tmp_path_factory, documents, data):
    directory = tmp_path_factory.mktemp("ranges")
    whole = open_tokens(write(directory / "whole", documents))
    cut = data.draw(st.integers(0, len(whole)))
    for name, first, last in (("head", 0, cut), ("tail", cut, len(whole))):
        extract(whole, directory / name, first, last)
        part = open_tokens(directory / name)
        assert listed(part) == listed(whole)[first:last]
        inside = [end for end in document_ends(whole) if first < end <= last]
        if last > first and last not in inside:
            inside.append(last)
        assert list(document_ends(part)) == [end - first for end in inside]
    merge([directory / "head", directory / "tail"], directory / "again")
    assert (directory / "again.bin").read_bytes() == (directory / "whole.bin").read_bytes()
    assert open_tokens(directory / "again").sizes.tolist() == whole.sizes.tolist()


def test_blocks_make_no_difference(tmp_path, monkeypatch):
    from neox_core.data.token_files import index_writing, merging, token_file

    documents = [[[1, 2, 3]], [], [], [[4], []], [[], [5, 6]], [[7]], []]
    prefix = write(tmp_path / "t", documents)
    for at_once in range(1, 8):
        monkeypatch.setattr(merging, "_AT_ONCE", at_once)
        monkeypatch.setattr(index_writing, "_AT_ONCE", at_once)
        monkeypatch.setattr(token_file, "_SEQUENCES", at_once)
        monkeypatch.setattr(token_file, "_TOKENS", at_once)
        merge([prefix, prefix], tmp_path / "merged")
        assert stored(tmp_path / "merged") == [
            tokens_bytes(documents * 2, "uint16"),
            index_bytes(documents * 2, "uint16"),
        ]


def test_element_types_that_differ_need_a_wider_one(tmp_path):
    narrow = write(tmp_path / "narrow", [[[1, 60000]]])
    wide = write(tmp_path / "wide", [[[2, 70000]]], "int32")
    with pytest.raises(UserError, match=r"wide holds int32 and .*narrow holds uint16; .* --dtype int32"):
        merge([narrow, wide], tmp_path / "merged")
    with pytest.raises(UserError, match="wide: holds int32, which uint16 cannot hold"):
        merge([narrow, wide], tmp_path / "merged", "uint16")
    merge([narrow, wide], tmp_path / "merged", "int32")
    assert listed(open_tokens(tmp_path / "merged")) == [[1, 60000], [2, 70000]]
    assert open_tokens(tmp_path / "merged").dtype == np.int32


def test_formats_that_differ_become_mmap(tmp_path):
    prefixes = [write(tmp_path / impl, [[[1, 2]]], impl=impl) for impl in ("cached", "mmap")]
    merge(prefixes, tmp_path / "merged")
    assert open_tokens(tmp_path / "merged").format == "mmap"


def test_lost_document_index_is_made_of_the_sequences(tmp_path):
    prefix = write(tmp_path / "t", [[[1], [2]], [[3]]])
    index = bytearray(prefix.with_suffix(".idx").read_bytes())
    index[26] = 1  # what GPT-NeoX's merge writes: the document index is [0]
    prefix.with_suffix(".idx").write_bytes(bytes(index[:-16]))
    merge([prefix], tmp_path / "merged")
    assert stored(tmp_path / "merged")[1] == index_bytes([[[1]], [[2]], [[3]]], "uint16")


def test_output_among_the_inputs_is_refused(tmp_path):
    prefix = write(tmp_path / "t", [[[1]]])
    (tmp_path / "link.bin").symlink_to("t.bin")
    for output in (prefix, tmp_path / "none" / ".." / "t", tmp_path / "link"):
        with pytest.raises(UserError, match="is read, and cannot be written at the same time"):
            merge([prefix], output)
    assert listed(open_tokens(prefix)) == [[1]]


def test_directory_is_read_in_the_order_of_names(tmp_path):
    for name in ("b", "a.10", "a.2"):
        write(tmp_path / name, [[[1]]])
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / ".a.lock").touch()
    assert [prefix.name for prefix in prefixes_in(tmp_path)] == ["a.10", "a.2", "b"]


@pytest.mark.parametrize(("kind", "other"), [("bin", "idx"), ("idx", "bin")])
def test_half_of_a_pair_in_a_directory_is_told(tmp_path, kind, other):
    write(tmp_path / "t", [[[1]]])
    (tmp_path / f"t.{other}").unlink()
    with pytest.raises(UserError, match=f"t.{kind}: t.{other} is missing beside it"):
        prefixes_in(tmp_path)


def test_directory_without_token_files_is_told(tmp_path):
    with pytest.raises(UserError, match="has no token files"):
        prefixes_in(tmp_path)
    with pytest.raises(UserError, match="is no directory"):
        prefixes_in(tmp_path / "none")


def test_nothing_to_merge_is_told(tmp_path):
    with pytest.raises(UserError, match="nothing to merge"):
        merge([], tmp_path / "merged")


def test_there_may_be_more_inputs_than_can_be_open_at_once(tmp_path):
    prefixes = [write(tmp_path / f"{i:03}", [[[i]]]) for i in range(40)]

    def merge_with_few_files():
        limit = (
            max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 12
        )  # the tests before may have left many open
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        merge(prefixes, tmp_path / "merged")

    assert killed_at(1 << 30, merge_with_few_files) is False
    assert listed(open_tokens(tmp_path / "merged")) == [[i] for i in range(40)]
