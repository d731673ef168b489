"""Hostfiles, and the world that the settings make of them."""

from __future__ import annotations

import re
import socket

import pytest
from hypothesis import given, strategies as st

from neox_core.config.world import Host, World
from neox_core.errors import Origin, SettingsError, UserError
from neox_core.launch import hosts, is_this_machine, parse_hostfile, plan_world

THREE = "# our cluster\n\nworker-1 slots=4\nworker-2\tslots=2   max_slots=4\n  worker-3 slots=8\n"


@pytest.fixture
def hostfile(tmp_path):
    path = tmp_path / "hostfile"
    path.write_text(THREE)
    return path


@pytest.fixture
def machine(monkeypatch):
    """Sets how many GPUs and CPU cores this machine appears to have."""

    def have(*, gpus: int = 0, cores: int = 2) -> None:
        monkeypatch.setattr(hosts, "device_kind", lambda: "cuda" if gpus else "cpu")
        monkeypatch.setattr(hosts, "local_slots", lambda device: gpus if device == "cuda" else cores)

    have()
    return have


def sizes(world: World) -> dict[str, int]:
    return {host.name: host.slots for host in world.hosts}


def test_a_hostfile_lists_hosts_in_order_between_comments_and_blank_lines():
    assert parse_hostfile(THREE, "f") == (Host("worker-1", 4), Host("worker-2", 2), Host("worker-3", 8))


@given(st.dictionaries(st.text("aZ09._-", min_size=1), st.integers(1, 10**6), min_size=1))
def test_every_written_hostfile_is_read_back(expected):
    text = "\n".join(f"{name} slots={slots}" for name, slots in expected.items())
    assert {host.name: host.slots for host in parse_hostfile(text, "f")} == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("worker-2", "f:2: 'worker-2' is not a host; write `name slots=N`"),
        ("worker-2 slots=four", "f:2: 'worker-2 slots=four' is not a host"),
        ("worker-2 slots=4x", "f:2: 'worker-2 slots=4x' is not a host"),
        ("worker-2 4", "f:2: 'worker-2 4' is not a host"),
        ("worker-2 slots=0", "f:2: worker-2 has slots=0; give at least 1"),
        ("worker-1 slots=2", "f:2: worker-1 is listed twice"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(line, message):
    with pytest.raises(UserError, match=re.escape(message)):
        parse_hostfile(f"worker-1 slots=4\n{line}\n", "f")


def test_a_hostfile_without_hosts_is_an_error():
    with pytest.raises(UserError, match="f: no host is listed"):
        parse_hostfile("# nothing\n", "f")


def test_a_cpu_machine_runs_one_rank_unless_told(machine):
    assert plan_world() == World.local(1, "cpu")
    assert plan_world(num_gpus=2) == World.local(2, "cpu")


def test_a_gpu_machine_runs_a_rank_for_each_gpu_unless_told(machine):
    machine(gpus=4)
    assert plan_world() == World.local(4, "cuda")
    assert plan_world(num_gpus=2) == World.local(2, "cuda")
    assert plan_world(device="cpu") == World.local(1, "cpu")


def test_a_gpu_that_is_not_there_cannot_be_asked_for(machine):
    with pytest.raises(UserError, match="device: cuda: no NVIDIA GPU is visible"):
        plan_world(device="cuda")


def test_more_ranks_than_slots_are_refused_with_a_way_out(machine):
    expected = (
        "num_gpus: 5: localhost has 2 slots (2 CPU cores); use at most 2, "
        "or write the line `localhost slots=5` to a file and set hostfile to its path"
    )
    with pytest.raises(UserError) as refusal:
        plan_world(num_gpus=5)
    assert str(refusal.value) == expected


def test_the_way_out_works(machine, tmp_path):
    path = tmp_path / "hostfile"
    path.write_text("localhost slots=5\n")
    assert plan_world(hostfile=path, num_gpus=5) == World.local(5, "cpu")


def test_a_hostfile_gives_every_slot_of_every_host(machine, hostfile):
    world = plan_world(hostfile=hostfile)
    assert sizes(world) == {"worker-1": 4, "worker-2": 2, "worker-3": 8}
    assert world.size == 14


def test_num_nodes_and_num_gpus_take_the_first_hosts_and_slots(machine, hostfile):
    assert sizes(plan_world(hostfile=hostfile, num_nodes=2, num_gpus=2)) == {"worker-1": 2, "worker-2": 2}
    assert len(plan_world(hostfile=hostfile, num_nodes=-1).hosts) == 3


@pytest.mark.parametrize("num_nodes", [0, 4, -2])
def test_hosts_that_are_not_there_cannot_be_asked_for(machine, hostfile, num_nodes):
    with pytest.raises(UserError, match=f"num_nodes: {num_nodes}: the number of hosts must be 1 to 3"):
        plan_world(hostfile=hostfile, num_nodes=num_nodes)


def test_several_hosts_need_a_hostfile(machine):
    with pytest.raises(UserError, match="or name a hostfile"):
        plan_world(num_nodes=2)


@pytest.mark.parametrize("num_gpus", [0, -1])
def test_a_host_runs_at_least_one_rank(machine, num_gpus):
    with pytest.raises(UserError, match="at least 1 rank"):
        plan_world(num_gpus=num_gpus)


def test_a_host_with_too_few_slots_is_named_with_its_file(machine, hostfile):
    with pytest.raises(UserError, match=rf"num_gpus: 3: worker-2 has 2 slots \({hostfile}\); use at most 2"):
        plan_world(hostfile=hostfile, num_gpus=3)


def test_filters_come_before_the_counts(machine, hostfile):
    assert sizes(plan_world(hostfile=hostfile, exclude="worker-1", num_nodes=1)) == {"worker-2": 2}


def test_filters_choose_among_this_machines_slots(machine):
    machine(cores=4)
    assert plan_world(include="localhost:0,1,2") == World.local(3, "cpu")


def test_gpus_out_of_order_are_refused_rather_than_mistaken(machine):
    machine(gpus=4)
    assert plan_world(include="localhost:0,1").size == 2
    with pytest.raises(SettingsError, match=r"include: on localhost it leaves the GPUs 1,3.*CUDA_VISIBLE_DEVICES=1,3"):
        plan_world(include="localhost:1,3")
    with pytest.raises(SettingsError, match="exclude: on localhost it leaves the GPUs 1,2,3"):
        plan_world(exclude="localhost:0")


@pytest.mark.parametrize(
    "asked",
    [
        {"num_gpus": 5},
        {"num_gpus": 0},
        {"num_nodes": 2},
        {"device": "cuda"},
        {"include": "b"},
        {"exclude": "localhost"},
    ],
)
def test_what_is_refused_is_known_by_its_key(machine, asked):
    with pytest.raises(SettingsError) as refusal:
        plan_world(**asked)
    assert [problem.keys for problem in refusal.value.problems] == [tuple(asked)]


@pytest.mark.parametrize(
    ("asked", "excused"),
    [
        ({"device": "cuda"}, True),
        ({"num_gpus": 5}, True),
        ({"num_nodes": 2}, True),
        ({"include": "b"}, True),
        ({"hostfile": "nowhere"}, True),
        ({"num_gpus": 0}, False),
        ({"num_nodes": 0}, False),
        ({"include": "a", "exclude": "b"}, False),
        ({"hostfile": "hostfile", "include": "b"}, False),
        ({"hostfile": "hostfile", "exclude": "worker-1@worker-2@worker-3"}, False),
        ({"hostfile": "hostfile", "num_nodes": 4}, False),
        ({"hostfile": "hostfile", "num_gpus": 3}, False),
        ({"hostfile": "binary"}, False),
    ],
)
def test_only_what_another_machine_may_have_is_a_limitation(machine, hostfile, asked, excused):
    (hostfile.parent / "binary").write_bytes(b"\xff\xfe\x00")
    if "hostfile" in asked:
        asked = {**asked, "hostfile": hostfile.parent / asked["hostfile"]}
    with pytest.raises(SettingsError) as refusal:
        plan_world(**asked)
    assert [problem.limitation for problem in refusal.value.problems] == [excused]


def test_gaps_among_the_gpus_are_a_mistake_where_they_are_there_on_every_machine(machine):
    machine(gpus=4)
    for asked, excused in (({"include": "localhost:1,3"}, False), ({"exclude": "localhost:2"}, True)):
        with pytest.raises(SettingsError) as refusal:
            plan_world(**asked)
        assert refusal.value.problems[0].limitation is excused


def test_a_bad_line_of_a_hostfile_is_quoted(machine, tmp_path):
    path = tmp_path / "hostfile"
    path.write_text("# ours\n  worker-1 slots=x\n")
    with pytest.raises(SettingsError) as refusal:
        plan_world(hostfile=path)
    (problem,) = refusal.value.problems
    assert problem.origin == Origin(source=str(path), line=2, text="worker-1 slots=x")


def test_a_hostfile_that_cannot_be_read_is_an_error(machine, tmp_path):
    with pytest.raises(UserError, match=r"nope cannot be read \(No such file or directory\)"):
        plan_world(hostfile=tmp_path / "nope")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is not a text file"):
        plan_world(hostfile=binary)


def test_this_machine_is_known_by_its_names():
    assert is_this_machine("localhost")
    assert is_this_machine(socket.gethostname())
    assert not is_this_machine("worker-1.example.org")
