"""The machines that settings name, and what is said where they are not there."""

from __future__ import annotations

import pytest

from neox_core.config import NeoXArgs
from neox_core.errors import SettingsError
from neox_core.launch import hosts
from neox_core.training.machines import find_world


@pytest.mark.parametrize("key", ["include", "exclude"])
def test_a_choice_of_gpus_that_cannot_be_had_is_told_with_its_place(neox, monkeypatch, key):
    monkeypatch.setattr(hosts, "local_slots", lambda device: 4)
    neox.write("gpus.yml", device="cuda", **{key: {"include": "localhost:1,3", "exclude": "localhost:0,2"}[key]})
    with pytest.raises(SettingsError) as refusal:
        find_world(NeoXArgs.from_ymls(["gpus.yml"]))
    (problem,) = refusal.value.problems
    assert (problem.keys, str(problem.origin)) == ((key,), "gpus.yml:10")
    assert problem.origin.text.startswith(f"{key}: ")


def test_a_bad_line_of_a_hostfile_has_its_place_there(neox):
    neox.write("hosts", "worker-1 slots=4\nworker-2 slot=4\n")
    done = neox("train", "tiny.yml", "hostfile=hosts", "vocab_size=64")
    assert done.code == 2
    assert "error: hosts:2: 'worker-2 slot=4' is not a host; write `name slots=N`" in done.err
    assert "2 | worker-2 slot=4" in done.err


def test_hosts_that_contradict_each_other_are_a_mistake_with_both_places(neox):
    neox.write("hosts.yml", include="a", exclude="b", vocab_size="64")
    done = neox("config", "check", "hosts.yml", "--world-size", "2")
    assert done.code == 2
    assert "error: hosts.yml:9: include, exclude: 'a' and 'b' exclude each other; give one of them\n" in done.err
    assert "  hosts.yml:9 | include: a\n" in done.err
    assert "  hosts.yml:10 | exclude: b\n" in done.err


def test_a_host_that_a_readable_hostfile_lacks_is_a_mistake(neox):
    neox.write("hosts", "worker-1 slots=1\n")
    done = neox("config", "check", "tiny.yml", "vocab_size=64", "hostfile=hosts", "include=worker-2")
    assert done.code == 2
    assert "error: command line (include=worker-2): include: 'worker-2' names the unknown host" in done.err


def test_what_this_machine_lacks_is_a_note(neox, monkeypatch):
    monkeypatch.setattr(hosts, "local_slots", lambda device: 0)
    done = neox("config", "check", "tiny.yml", "vocab_size=64", "device=cuda")
    assert done.code == 0
    assert "note: command line (device=cuda): device: cuda: no NVIDIA GPU is visible" in done.err
    assert "looked at as for 1 rank; --world-size N is for another number" in done.err
