"""Files that are not whole are refused with a sentence, or `verify` tells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from token_bytes import index_bytes, tokens_bytes

from neox_core.data.token_files import open_tokens, verify
from neox_core.errors import UserError

DOCUMENTS = [[[1, 2, 3]], [[4], []], [[50000, 60000]]]
HEADER_LENGTH = {"mmap": 34, "cached": 56}


def store(directory, index, tokens):
    (directory / "t.idx").write_bytes(index)
    (directory / "t.bin").write_bytes(tokens)
    return directory / "t"


@pytest.mark.parametrize("impl", ["mmap", "cached"])
def test_index_cut_anywhere_is_refused(tmp_path, impl):
    index, tokens = index_bytes(DOCUMENTS, "uint16", impl), tokens_bytes(DOCUMENTS, "uint16")
    for length in range(len(index)):
        prefix = store(tmp_path, index[:length], tokens)
        with pytest.raises(UserError, match=rf"t\.idx: the index is truncated: {length} bytes where"):
            open_tokens(prefix)


@pytest.mark.parametrize("impl", ["mmap", "cached"])
def test_tokens_cut_anywhere_are_refused(tmp_path, impl):
    index, tokens = index_bytes(DOCUMENTS, "uint16", impl), tokens_bytes(DOCUMENTS, "uint16")
    for length in range(len(tokens)):
        with pytest.raises(UserError, match=f"{length} bytes"):
            open_tokens(store(tmp_path, index, tokens[:length]))


@settings(max_examples=300, deadline=None)
@given(impl=st.sampled_from(["mmap", "cached"]), data=st.data())
def test_byte_of_the_index_that_is_flipped_is_found(tmp_path_factory, impl, data):
    index = bytearray(index_bytes(DOCUMENTS, "uint16", impl))
    index[data.draw(st.integers(0, len(index) - 1))] ^= data.draw(st.integers(1, 255))
    prefix = store(tmp_path_factory.mktemp("flip"), bytes(index), tokens_bytes(DOCUMENTS, "uint16"))
    try:
        found = verify(prefix)
    except UserError:
        return
    tokens = open_tokens(prefix)
    boundaries = tokens.document_index.tolist()
    assert found.wrong or found.notices or boundaries != [0, 1, 3, 4] or harmless(tokens)


def harmless(tokens):
    """Only where an empty sequence lies was changed: what is read is the same."""
    return tokens.dtype == np.uint16 and [sequence.tolist() for sequence in tokens] == [
        [1, 2, 3],
        [4],
        [],
        [50000, 60000],
    ]
