"""Files are replaced as a whole or stay what they were."""

from __future__ import annotations

import hashlib

import pytest

from neox_core.errors import UserError
from neox_core.files import LARGE, FileRecord, replacing, write_file, write_new


def test_a_written_file_is_what_its_record_says(tmp_path):
    record = write_file(tmp_path / "new" / "a.txt", "café")
    content = (tmp_path / "new" / "a.txt").read_bytes()
    assert content == "café".encode()
    assert record == FileRecord(5, hashlib.sha256(content).hexdigest())


def test_large_pieces_are_hashed_beside_small_ones_in_their_order(tmp_path):
    pieces = [b"a" * 10, b"b" * LARGE, bytearray(b"c" * (2 * LARGE)), b"d", b"e" * LARGE]
    whole = b"".join(pieces)
    with replacing(tmp_path / "a") as file:
        for piece in pieces:
            file.write(memoryview(piece))
            if isinstance(piece, bytearray):
                piece[:] = bytes(len(piece))  # as memory that is used again
    assert (tmp_path / "a").read_bytes() == whole
    assert file.record == FileRecord(len(whole), hashlib.sha256(whole).hexdigest())


def test_a_file_stays_what_it_was_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_in_the_block_leaves_the_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_of_the_file_system_is_a_sentence_with_the_file(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match=r"a\.txt cannot be written: .*Is a directory.*\. Free space or"):
        write_file(tmp_path / "a.txt", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_new_file_takes_the_place_of_none(tmp_path):
    write_new(tmp_path / "made/file", "one")
    with pytest.raises(UserError, match=r"made/file exists; remove it or choose another name"):
        write_new(tmp_path / "made/file", "two")
    assert (tmp_path / "made/file").read_text() == "one"
