"""Files of more bytes than 32 bits count, and the memory that they take."""

from __future__ import annotations

import resource
import struct

import numpy as np
import pytest
from killed_processes import killed_at
from token_bytes import index_bytes

from neox_core.data.token_files import count, extract, merge, open_tokens, verify
from neox_core.data.token_files.index_writing import write_index

GIB = 1 << 30


def sparse(prefix, sizes, width, marks):
    """Token files of which only some bytes take space: `marks` are values by their position in tokens."""
    with prefix.with_suffix(".bin").open("wb") as file:
        file.truncate(sum(sizes) * width)
        for position, value in marks.items():
            file.seek(position * width)
            file.write(value.to_bytes(width, "little"))
    with prefix.with_suffix(".idx").open("wb") as file:
        ends = np.arange(1, len(sizes) + 1)
        write_index(file, "mmap", np.dtype(f"<i{width}"), np.array(sizes, "<i4"), ends)
    return prefix


@pytest.mark.parametrize("impl", ["mmap", "cached"])
def test_index_of_many_tokens_is_written_as_spelled_out(tmp_path, impl):
    sizes = [2**31 - 1, 2**31 - 1, 5, 2**31 - 1]

    class Sequence(list):
        """A sequence whose tokens nobody looks at."""

        def __init__(self, size):
            super().__init__()
            self.size = size

        def __len__(self):
            return self.size

    expected = index_bytes([[Sequence(size)] for size in sizes], "int32", impl)
    with (tmp_path / "index").open("wb") as file:
        write_index(file, impl, np.dtype("<i4"), np.array(sizes, "<i4"), np.arange(1, 5))
    assert (tmp_path / "index").read_bytes() == expected
    assert struct.pack("<q", {"mmap": 4 * (2**32 + 3), "cached": 2**32 + 3}[impl]) in expected


def test_five_gigabytes_are_read(tmp_path):
    sizes = [500_000_000, 700_000_000, 100]
    prefix = sparse(tmp_path / "large", sizes, 4, {0: 1, 1_199_999_999: 2, 1_200_000_000: 3, 1_200_000_099: 4})
    tokens = open_tokens(prefix)
    assert count(tokens).tokens == 1_200_000_100
    assert tokens.nbytes > 4 * GIB
    assert tokens.get(0, 0, 2).tolist() == [1, 0]
    assert tokens.get(1, 699_999_998).tolist() == [0, 2]
    assert tokens[2][[0, 1, 99]].tolist() == [3, 0, 4]
    written = extract(tokens, tmp_path / "end", 2, 3)
    assert written.tokens == 100
    assert open_tokens(tmp_path / "end")[0].tolist() == tokens[2].tolist()


def peak_growth(work):
    """Megabytes by which the peak memory of a process grows, beyond what the first megabytes take."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def test_memory_does_not_grow_with_what_is_merged_and_verified(tmp_path):
    prefix = sparse(tmp_path / "large", [20_000_000] * 4, 2, {0: 7})

    def work():
        grown = peak_growth(lambda: (merge([prefix, prefix], tmp_path / "merged"), verify(tmp_path / "merged")))
        (tmp_path / "merged.bin").unlink()  # it takes its space, and test directories are kept
        assert grown < 60, f"{grown} MB for 320 MB of tokens"

    assert killed_at(1 << 30, work) is False
