"""What attention over context-parallel ranks sends, by formula."""

from __future__ import annotations

from typing import NamedTuple


class Traffic(NamedTuple):
    """Bytes that a rank sends in a layer."""

    forward: int
    backward: int


def ring_traffic(ranks: int, keys: int, itemsize: int) -> Traffic:
    """What ring attention sends: keys and values n - 1 times forwards; backwards as often, with gradients of 4 bytes at least.

    Args:
        ranks: n, along the context axis.
        keys: numbers in the keys of a rank: batch * its kv heads * its tokens * head_dim.
        itemsize: bytes of each.
    """
    passed = 2 * keys * (ranks - 1)
    return Traffic(passed * itemsize, passed * (itemsize + max(itemsize, 4)))


def ulysses_traffic(ranks: int, queries: int, keys: int, itemsize: int) -> int:
    """Bytes that a rank sends in a layer, forwards; backwards they are as many.

    Args:
        ranks: n, along the context axis; a rank sends (n - 1) / n of what it has.
        queries: numbers in the queries of a rank: batch * its heads * its tokens * head_dim. What is mixed are as many.
        keys: numbers in its keys, each as often as `repeats` says. Values are as many.
        itemsize: bytes of each.
    """
    return 2 * (queries + keys) // ranks * (ranks - 1) * itemsize
