"""`include` and `exclude`."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neox_core.config.host_filters import select
from neox_core.errors import UserError

POOL = {"a": (0, 1, 2, 3), "b": (0, 1), "c": (0,)}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("b", {"b": (0, 1)}),
        ("a:1,3", {"a": (1, 3)}),
        ("c@a:3,1", {"a": (1, 3), "c": (0,)}),
        ("a:0@a:2", {"a": (0, 2)}),
        ("a:0 @ b", {"a": (0,), "b": (0, 1)}),
    ],
)
def test_include_takes_the_named_hosts_and_slots_in_the_pools_order(include, expected):
    chosen = select(POOL, include=include, exclude=None)
    assert list(chosen.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [("b", {"a": (0, 1, 2, 3), "c": (0,)}), ("a:0,1@c:0", {"a": (2, 3), "b": (0, 1)})],
)
def test_exclude_leaves_the_others(exclude, expected):
    assert select(POOL, include=None, exclude=exclude) == expected


def test_without_a_filter_all_take_part():
    assert select(POOL, include=None, exclude="") == POOL


slots = st.sampled_from([f"{host}:{slot}" for host, numbers in POOL.items() for slot in numbers])


@given(st.sets(slots, min_size=1, max_size=6))
def test_include_and_exclude_share_out_the_pool(names):
    text = "@".join(sorted(names))
    taken = select(POOL, include=text, exclude=None)
    left = select(POOL, include=None, exclude=text)
    assert {host: tuple(sorted(taken.get(host, ()) + left.get(host, ()))) for host in POOL} == POOL


@pytest.mark.parametrize(
    ("include", "exclude", "message"),
    [
        ("a", "b", "include, exclude: 'a' and 'b' exclude each other"),
        ("worker", None, "include: 'worker' names the unknown host 'worker'; there is: a, b, c"),
        ("a@", None, "unknown host ''"),
        (None, "b:2", "exclude: b has no slot '2', only 0, 1"),
        ("b:x", None, "include: b has no slot 'x'"),
        ("b:", None, "include: b has no slot ''"),
        (None, "a@b@c", "exclude: 'a@b@c' leaves no slot of a, b, c"),
    ],
)
def test_a_filter_that_fits_nothing_is_an_error(include, exclude, message):
    with pytest.raises(UserError) as refusal:
        select(POOL, include=include, exclude=exclude)
    assert message in str(refusal.value)
