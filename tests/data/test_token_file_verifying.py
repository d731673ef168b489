from __future__ import annotations

import hashlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.token_files import TokenFileWriter, verify
from neox_core.errors import UserError


def write(prefix, sequences, dtype="int32"):
    with TokenFileWriter(prefix, dtype) as writer:
        for sequence in sequences:
            writer.add(sequence)
    return prefix


@settings(max_examples=50, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(-101, 12) | st.just(-100), max_size=6), max_size=8),
    vocab_size=st.integers(1, 12) | st.none(),
)
def test_everything_is_counted_as_a_plain_loop_does(tmp_path_factory, sequences, vocab_size):
    found = verify(write(tmp_path_factory.mktemp("verified") / "t", sequences), vocab_size)
    places = [(i, at, token) for i, sequence in enumerate(sequences) for at, token in enumerate(sequence)]
    values = [token for *_, token in places if token != -100]
    wrong = [place for place in places if place[2] != -100 and not 0 <= place[2] < (vocab_size or math.inf)]
    assert found.empty == sum(not sequence for sequence in sequences)
    assert found.masked == sum(sequence.count(-100) for sequence in sequences)
    assert (found.lowest, found.highest) == (min(values, default=None), max(values, default=None))
    assert found.wrong == len(wrong)
    assert len(found.places) == min(10, len(wrong))
    for said, (i, at, token) in zip(found.places, wrong, strict=False):
        assert said.startswith(f"sequence {i}, token {at}: {token} is ")


def test_numbers_that_are_not_finite_are_told(tmp_path):
    found = verify(write(tmp_path / "t", [[0.5], [math.nan, -100.0], [math.inf]], "float32"))
    assert found.places == (
        "sequence 1, token 0: nan is no finite number",
        "sequence 2, token 0: inf is no finite number",
    )
    assert (found.lowest, found.highest, found.masked) == (-100.0, 0.5, 0)


def starts(prefix, *new):
    """Change where the sequences of a file of three begin."""
    index = bytearray(prefix.with_suffix(".idx").read_bytes())
    index[46:70] = struct.pack("<3q", *new)
    prefix.with_suffix(".idx").write_bytes(bytes(index))


def test_sequences_that_overlap_are_told(tmp_path):
    prefix = write(tmp_path / "t", [[1, 2], [3], [4, 5]])
    starts(prefix, 0, 4, 12)
    found = verify(prefix)
    assert found.places == ("tokens 1 to 2 of the file belong to two sequences",)
    assert "do not lie one after the other" in found.notices[0]


def test_sequences_in_another_order_are_no_mistake(tmp_path):
    prefix = write(tmp_path / "t", [[1, 2], [3], [4, 5]])
    starts(prefix, 8, 16, 0)
    found = verify(prefix)
    assert found.wrong == 0
    assert "do not lie one after the other" in found.notices[0]


def test_digests_are_those_of_the_files(tmp_path):
    prefix = write(tmp_path / "t", [[1, 2]])
    expected = {
        kind: hashlib.sha256(prefix.with_suffix(f".{kind}").read_bytes()).hexdigest() for kind in ("bin", "idx")
    }
    assert verify(prefix, sha256=True).sha256 == expected
    assert verify(prefix).sha256 is None


def test_damaged_file_is_refused(tmp_path):
    prefix = write(tmp_path / "t", [[1, 2]])
    prefix.with_suffix(".bin").write_bytes(np.zeros(1, "<i4").tobytes())
    with pytest.raises(UserError, match="do not belong together"):
        verify(prefix)
