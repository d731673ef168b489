from __future__ import annotations

import struct

import numpy as np
import pytest

from neox_core.data.token_files import DTYPES, TokenFileWriter, dtype_for_vocabulary, open_tokens
from neox_core.errors import UserError


@pytest.fixture
def pair(tmp_path):
    """A small file of uint16, as (prefix, index path, tokens path)."""
    prefix = tmp_path / "small"
    with TokenFileWriter(prefix, "uint16") as writer:
        for document in ([1, 2, 3], [], [4, 5]):
            writer.add(document)
    return prefix, tmp_path / "small.idx", tmp_path / "small.bin"


def replace(path, offset, new):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(new)] = new
    path.write_bytes(content)


def test_documents_read_back(pair):
    file = open_tokens(pair[0])
    assert len(file) == 3
    assert file.sizes.tolist() == [3, 0, 2]
    assert file.dtype == np.uint16
    assert [file[i].tolist() for i in range(3)] == [[1, 2, 3], [], [4, 5]]
    assert file.document_index.tolist() == [0, 1, 2, 3]


def test_part_of_a_document_stays_inside_it(pair):
    file = open_tokens(pair[0])
    assert file.get(0, offset=1).tolist() == [2, 3]
    assert file.get(0, offset=1, length=1).tolist() == [2]
    assert file.get(0, offset=1, length=9).tolist() == [2, 3]
    assert file.get(0, length=2).tolist() == [1, 2]


def test_recorded_file_is_read(golden_tokens):
    assert len(golden_tokens) == 80
    assert golden_tokens.sizes.sum() == 71568
    assert golden_tokens.dtype == np.uint16
    assert sum(len(golden_tokens[i]) for i in range(80)) == 71568


@pytest.mark.parametrize(("code", "dtype"), sorted(DTYPES.items()))
def test_every_element_type_round_trips(tmp_path, code, dtype):
    with TokenFileWriter(tmp_path / "t", dtype) as writer:
        writer.add([1, 2, 100])
    assert (tmp_path / "t.idx").read_bytes()[17] == code
    file = open_tokens(tmp_path / "t")
    assert file.dtype == dtype
    assert file[0].tolist() == [1, 2, 100]


def test_float_codes_are_gpt_neox_s_not_megatron_s():
    assert (DTYPES[6], DTYPES[7], DTYPES[8]) == (np.float32, np.float64, np.uint16)


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(2, "uint16"), (65499, "uint16"), (65500, "int32"), (200000, "int32")]
)
def test_element_type_follows_the_vocabulary(vocab_size, dtype):
    assert dtype_for_vocabulary(vocab_size) == dtype


def test_file_without_tokens_can_be_opened(tmp_path):
    with TokenFileWriter(tmp_path / "empty", "uint16"):
        pass
    assert len(open_tokens(tmp_path / "empty")) == 0


def test_tokens_cannot_be_changed_through_the_reader(pair):
    with pytest.raises(ValueError, match="read-only"):
        open_tokens(pair[0])[0][0] = 7


@pytest.mark.parametrize("missing", [1, 2])
def test_missing_file_is_named(pair, missing):
    pair[missing].unlink()
    with pytest.raises(UserError, match=f"{pair[missing]}.*No such file"):
        open_tokens(pair[0])


@pytest.mark.parametrize(
    ("offset", "new", "says"),
    [
        (0, b"TNTADX\x00\x00", "not the index of a token file"),
        (9, struct.pack("<Q", 2), "version 2"),
        (17, b"\x09", "type code 9"),
        (17, b"\x00", "type code 0"),
        (18, struct.pack("<Q", 4), "truncated"),
        (18, struct.pack("<Q", 2), "too long"),
        (26, struct.pack("<Q", 1 << 60), "truncated"),
        (34, struct.pack("<i", -3), "damaged"),
        (46, struct.pack("<q", -2), "damaged"),
        (46, struct.pack("<q", 1), "damaged"),
        (62, struct.pack("<q", (1 << 63) - 2), "damaged"),
        (62, struct.pack("<q", 8), "do not belong together"),
    ],
)
def test_damaged_index_is_refused(pair, offset, new, says):
    replace(pair[1], offset, new)
    with pytest.raises(UserError, match=says) as caught:
        open_tokens(pair[0])
    assert "small.idx" in str(caught.value)


@pytest.mark.parametrize("length", [0, 5, 33, 34, 60])
def test_truncated_index_is_refused(pair, length):
    pair[1].write_bytes(pair[1].read_bytes()[:length])
    with pytest.raises(UserError, match=r"small\.idx: the index is truncated"):
        open_tokens(pair[0])


@pytest.mark.parametrize("content", [b"", b"\x01\x00\x02", b"\x00" * 12])
def test_tokens_of_another_length_are_refused(pair, content):
    pair[2].write_bytes(content)
    with pytest.raises(UserError, match=rf"small\.bin: the file has {len(content)} bytes .*describes 10"):
        open_tokens(pair[0])
