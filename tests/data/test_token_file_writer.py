from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.token_files import TokenFileWriter, open_tokens
from neox_core.errors import UserError


def test_layout_to_the_byte(tmp_path):
    with TokenFileWriter(tmp_path / "one", "uint16") as writer:
        writer.add([7, 8, 9])
    index = (tmp_path / "one.idx").read_bytes()
    assert index.hex() == (
        "4d4d49444944580000"
        "0100000000000000"
        "08"
        "0100000000000000"
        "0200000000000000"
        "03000000"
        "0000000000000000"
        "00000000000000000100000000000000"
    )
    assert (tmp_path / "one.bin").read_bytes() == bytes([7, 0, 8, 0, 9, 0])


def test_recorded_file_is_written_to_the_byte(tmp_path, golden_tokens, golden_directory):
    with TokenFileWriter(tmp_path / "again", golden_tokens.dtype) as writer:
        for document in golden_tokens:
            writer.add(document)
    for kind in ("bin", "idx"):
        assert (tmp_path / f"again.{kind}").read_bytes() == (golden_directory / f"tokens_a.{kind}").read_bytes()


@settings(max_examples=30)
@given(documents=st.lists(st.lists(st.integers(0, 65535), max_size=9), max_size=12))
def test_any_documents_round_trip(tmp_path_factory, documents):
    prefix = tmp_path_factory.mktemp("any") / "tokens"
    with TokenFileWriter(prefix, "uint16") as writer:
        for document in documents:
            writer.add(document)
    assert [document.tolist() for document in open_tokens(prefix)] == documents


@pytest.mark.parametrize("token", [-1, 65536])
def test_id_that_does_not_fit_is_refused(tmp_path, token):
    with pytest.raises(UserError, match="uint16 holds 0 to 65535"), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1, token])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_older_files_survive_an_error(tmp_path):
    with TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1, 2])
    with pytest.raises(RuntimeError), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([3])
        raise RuntimeError
    assert open_tokens(tmp_path / "t")[0].tolist() == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.bin", "t.idx"]


def test_older_files_are_replaced_at_the_end_only(tmp_path):
    for tokens in ([1, 2], [3]):
        with TokenFileWriter(tmp_path / "t", "uint16") as writer:
            writer.add(tokens)
            before = open_tokens(tmp_path / "t")[0].tolist() if (tmp_path / "t.idx").exists() else None
    assert before == [1, 2]
    assert open_tokens(tmp_path / "t")[0].tolist() == [3]


def test_negative_labels_are_kept_in_signed_files(tmp_path):
    with TokenFileWriter(tmp_path / "labels", "int32") as writer:
        writer.add(np.array([-100, 5]))
    assert open_tokens(tmp_path / "labels")[0].tolist() == [-100, 5]
