"""A rank's place among all, and the port where ranks meet."""

from __future__ import annotations

import re
import socket

import pytest
from hypothesis import given, strategies as st

from neox_core.config.world import Host, World
from neox_core.errors import UserError
from neox_core.launch import Rendezvous, free_port, port_is_free

worlds = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(
    lambda slots: World(tuple(Host(f"host-{index}", count) for index, count in enumerate(slots)))
)


def place(rank: int, world: World) -> Rendezvous:
    return Rendezvous.of_rank(rank, world, master_addr="10.0.0.1", master_port=29500)


@given(worlds)
def test_ranks_fill_one_host_after_the_other(world):
    places = [place(rank, world) for rank in range(world.size)]
    assert [one.rank for one in places] == list(range(world.size))
    assert [one.local_rank for one in places] == [slot for host in world.hosts for slot in range(host.slots)]
    assert [one.local_world_size for one in places] == [host.slots for host in world.hosts for _ in range(host.slots)]


@given(worlds, st.data())
def test_a_place_survives_the_environment(world, data):
    one = place(data.draw(st.integers(0, world.size - 1)), world)
    assert Rendezvous.from_environment(one.environment()) == one


def test_the_environment_is_torchruns():
    world = World((Host("a", 2), Host("b", 2)))
    assert place(3, world).environment() == {
        "RANK": "3",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "4",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
    }


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_outside_the_world_has_no_place(rank):
    with pytest.raises(IndexError, match=f"rank {rank} in a world of 2"):
        place(rank, World.local(2))


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_a_missing_variable_is_named_with_who_sets_it(name):
    environ = place(0, World.local(2)).environment()
    del environ[name]
    with pytest.raises(
        UserError, match=rf"^{name} is not set; each rank is started by a launcher \(`neox train`, torchrun\)"
    ):
        Rendezvous.from_environment(environ)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("RANK", "first", "0 to 1"),
        ("RANK", "2", "0 to 1"),
        ("RANK", "-1", "0 to 1"),
        ("LOCAL_RANK", "2", "0 to 1"),
        ("WORLD_SIZE", "0", "at least 1"),
        ("LOCAL_WORLD_SIZE", "3", "1 to 2"),
        ("MASTER_PORT", "65536", "1 to 65535"),
        ("MASTER_PORT", "0x10", "1 to 65535"),
    ],
)
def test_a_malformed_variable_is_named_with_what_fits(name, value, allowed):
    environ = place(0, World.local(2)).environment() | {name: value}
    with pytest.raises(UserError, match=re.escape(f"{name}: {value!r} is not a whole number that fits ({allowed})")):
        Rendezvous.from_environment(environ)


def test_a_free_port_is_free_until_somebody_listens():
    port = free_port()
    assert port_is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not port_is_free(port)
        assert not port_is_free(port, "127.0.0.1")
    assert port_is_free(port)


@pytest.mark.parametrize(
    ("dealt_out", "chosen"), [("20000\t60999\n", range(10_000, 20_000)), ("", range(10_000, 32_768))]
)
def test_a_free_port_is_none_that_connections_are_given(tmp_path, monkeypatch, dealt_out, chosen):
    """Such a one may be gone before a rank listens."""
    (tmp_path / "ip_local_port_range").write_text(dealt_out)
    monkeypatch.setattr("neox_core.launch.rendezvous._PORTS_OF_CONNECTIONS", tmp_path / "ip_local_port_range")
    assert all(free_port() in chosen for _ in range(20))


def test_where_connections_are_given_every_port_one_of_theirs_has_to_do(tmp_path, monkeypatch):
    (tmp_path / "ip_local_port_range").write_text("1024 65535\n")
    monkeypatch.setattr("neox_core.launch.rendezvous._PORTS_OF_CONNECTIONS", tmp_path / "ip_local_port_range")
    assert port_is_free(free_port())
