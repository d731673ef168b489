"""The machines that settings name, and what is said where they are not there."""

from __future__ import annotations

import pytest

from neox_core.cli.world import find_world
from neox_core.config import NeoXArgs
from neox_core.errors import SettingsError
from neox_core.launch import hosts


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
