"""Whatever GPT-NeoX and Megatron-core write is read, and each format is written to the byte."""

from __future__ import annotations

import itertools
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from token_bytes import CODES, index_bytes, tokens_bytes

from neox_core.data.token_files import TokenFileWriter, document_ends, open_tokens
from neox_core.errors import UserError

DOCUMENTS = [[[1, 2, 3]], [[4], []], [], [[5, 6], [7]]]
FLAT = [[1, 2, 3], [4], [], [5, 6], [7]]


def store(prefix, index, tokens):
    prefix.with_name(f"{prefix.name}.idx").write_bytes(index)
    prefix.with_name(f"{prefix.name}.bin").write_bytes(tokens)
    return prefix


def listed(tokens):
    return [sequence.tolist() for sequence in tokens]


def values(dtype):
    if dtype.startswith("float"):
        return st.integers(-(2**20), 2**20).map(lambda number: number / 16)
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def typed_documents(draw):
    dtype = draw(st.sampled_from(sorted(CODES)))
    sequence = st.lists(values(dtype), max_size=5)
    return dtype, draw(st.lists(st.lists(sequence, max_size=3), max_size=8))


@settings(max_examples=50, deadline=None)
@given(case=typed_documents(), impl=st.sampled_from(["mmap", "cached"]))
def test_any_documents_are_written_to_the_byte_and_read_back(tmp_path_factory, case, impl):
    dtype, documents = case
    prefix = tmp_path_factory.mktemp("any") / "tokens"
    with TokenFileWriter(prefix, dtype, impl) as writer:
        for document in documents:
            writer.add(*document)
    assert prefix.with_suffix(".bin").read_bytes() == tokens_bytes(documents, dtype)
    assert prefix.with_suffix(".idx").read_bytes() == index_bytes(documents, dtype, impl)
    tokens = open_tokens(prefix, impl)
    assert (tokens.format, tokens.dtype, tokens.notices) == (impl, np.dtype(dtype), ())
    sequences = [sequence for document in documents for sequence in document]
    assert listed(tokens) == sequences
    assert list(itertools.chain(*(piece.tolist() for piece in tokens.stream()))) == list(itertools.chain(*sequences))
    assert tokens.document_index.tolist() == [0, *itertools.accumulate(map(len, documents))]


@settings(max_examples=40, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(0, 65535), max_size=5), min_size=1, max_size=8),
    gaps=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    seed=st.randoms(use_true_random=False),
)
def test_sequences_may_lie_in_any_order_with_gaps(tmp_path_factory, sequences, gaps, seed):
    order = list(range(len(sequences)))
    seed.shuffle(order)
    content, starts = b"", [0] * len(sequences)
    for number, gap in zip(order, gaps, strict=False):
        content += b"\xff\xff" * gap
        starts[number] = len(content)
        content += struct.pack(f"<{len(sequences[number])}H", *sequences[number])
    index = index_bytes([[sequence] for sequence in sequences], "uint16")
    at = 34 + 4 * len(sequences)
    index = index[:at] + struct.pack(f"<{len(starts)}q", *starts) + index[at + 8 * len(starts) :]
    prefix = store(tmp_path_factory.mktemp("order") / "tokens", index, content)
    tokens = open_tokens(prefix)
    assert listed(tokens) == sequences
    for first, last in itertools.combinations(range(len(sequences) + 1), 2):
        streamed = [token for piece in tokens.stream(first, last) for token in piece.tolist()]
        assert streamed == list(itertools.chain(*sequences[first:last]))


@pytest.mark.parametrize("impl", ["mmap", "cached"])
def test_format_is_inferred_and_may_be_asked_for(tmp_path, impl):
    store(tmp_path / "t", index_bytes(DOCUMENTS, "int32", impl), tokens_bytes(DOCUMENTS, "int32"))
    assert [open_tokens(tmp_path / "t", asked).format for asked in ("infer", impl)] == [impl, impl]
    other = {"mmap": "cached", "cached": "mmap"}[impl]
    with pytest.raises(
        UserError, match=f"have the format {impl}, and data_impl asks for {other}; set data_impl: infer"
    ):
        open_tokens(tmp_path / "t", other)


@pytest.mark.parametrize(("impl", "says"), [("lazy", "set infer or cached"), ("mmapped", "did you mean 'mmap'")])
def test_format_that_is_none_is_refused(tmp_path, impl, says):
    with pytest.raises(UserError, match=says):
        open_tokens(tmp_path / "t", impl)


@pytest.mark.parametrize("impl", ["mmap", "cached"])
@pytest.mark.parametrize(("dtype", "code"), [("float32", 7), ("float64", 6)])
@pytest.mark.parametrize("documents", [DOCUMENTS, [[[0.5]]], [[[1, 2], []]]])
def test_megatron_cores_float_codes_are_told_apart(tmp_path, impl, dtype, code, documents):
    index = bytearray(index_bytes(documents, dtype, impl))
    index[{"mmap": 17, "cached": 16}[impl]] = code
    store(tmp_path / "t", bytes(index), tokens_bytes(documents, dtype))
    tokens = open_tokens(tmp_path / "t")
    assert tokens.dtype == dtype
    assert listed(tokens) == [sequence for document in documents for sequence in document]
    assert len(tokens.notices) == 1
    assert f"in GPT-NeoX and {dtype} in Megatron-core" in tokens.notices[0]


def test_floats_whose_length_fits_neither_code_are_refused(tmp_path):
    index = bytearray(index_bytes(DOCUMENTS, "float32"))
    store(tmp_path / "t", bytes(index), tokens_bytes(DOCUMENTS, "float32") + b"\0\0\0\0")
    with pytest.raises(UserError, match="do not belong together"):
        open_tokens(tmp_path / "t")


@pytest.mark.parametrize("impl", ["mmap", "cached"])
@pytest.mark.parametrize("entries", [[0], [], [0, 2], [1, 5]])
def test_lost_document_index_is_told_and_not_needed(tmp_path, impl, entries):
    index = bytearray(index_bytes(DOCUMENTS, "int32", impl))[:-40]
    index[{"mmap": 26, "cached": 48}[impl]] = len(entries)
    store(tmp_path / "t", bytes(index) + struct.pack(f"<{len(entries)}q", *entries), tokens_bytes(DOCUMENTS, "int32"))
    tokens = open_tokens(tmp_path / "t")
    assert listed(tokens) == FLAT
    assert "the document index does not cover the 5 sequences" in tokens.notices[0]
    assert list(document_ends(tokens)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("impl", ["mmap", "cached"])
@pytest.mark.parametrize("entries", [[0, 3, 2, 4, 5], [0, -1, 2, 4, 5], [0, 1, 2, 4, 6]])
def test_document_index_out_of_order_or_range_is_refused(tmp_path, impl, entries):
    index = index_bytes(DOCUMENTS, "int32", impl)[:-40] + struct.pack("<5q", *entries)
    store(tmp_path / "t", index, tokens_bytes(DOCUMENTS, "int32"))
    with pytest.raises(UserError, match="document index is out of order, or leaves the 5 sequences"):
        open_tokens(tmp_path / "t")


@pytest.mark.parametrize(
    ("offset", "new", "says"),
    [
        (8, 2, "format version 2"),
        (16, 9, "code 9 is unknown"),
        (24, 2, "2 bytes an element, and int32"),
        (32, 4, "too long"),
        (32, 1 << 61, "truncated"),
        (40, 6, "truncated"),
        (56, 1, "several dimensions"),
        (56 + 48, -4, "a sequence from 0 to 4 has a negative size or an impossible start"),
        (56 + 48, 1 << 62, "impossible start"),
        (56 + 48 + 40, 8, "ends at element 8 of tokens of 28 bytes"),
        (56 + 96, -3, "negative or beyond 32 bits"),
        (56 + 96, (1 << 32) + 3, "beyond 32 bits"),
        (56 + 96 + 8, 7, "do not belong together"),
    ],
)
def test_damaged_cached_index_is_refused(tmp_path, offset, new, says):
    index = bytearray(index_bytes(DOCUMENTS, "int32", "cached"))
    index[offset : offset + 8] = struct.pack("<q", new)
    store(tmp_path / "t", bytes(index), tokens_bytes(DOCUMENTS, "int32"))
    with pytest.raises(UserError, match=says) as caught:
        open_tokens(tmp_path / "t")
    assert "t.idx" in str(caught.value)


def test_arrays_of_several_dimensions_are_refused(tmp_path):
    flat = index_bytes([[[1, 2, 3, 4, 5, 6]]], "int32", "cached")
    words = [0, 2, 0, 6, 2, 3, 0, 1]  # one array of 2 times 3
    header = flat[:32] + struct.pack("<QQQ", 1, 2, 2)
    store(tmp_path / "t", header + struct.pack(f"<{len(words)}q", *words), struct.pack("<6i", *range(6)))
    with pytest.raises(UserError, match="arrays of several dimensions"):
        open_tokens(tmp_path / "t")


def test_opened_file_can_be_sent_to_another_process(tmp_path):
    store(tmp_path / "t", index_bytes(DOCUMENTS, "int32"), tokens_bytes(DOCUMENTS, "int32"))
    sent = pickle.dumps(open_tokens(tmp_path / "t"))
    assert len(sent) < 300
    assert listed(pickle.loads(sent)) == FLAT
