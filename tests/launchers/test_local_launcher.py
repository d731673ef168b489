"""The launcher `local`: its plan, and ranks that it runs."""

from __future__ import annotations

import json
import os
import socket
import sys

import pytest
from hypothesis import given, settings, strategies as st
from neox_launchers.local import LocalLauncher, build

from neox_core.config.world import Host, World
from neox_core.errors import UserError
from neox_core.launch import Job, free_port
from neox_core.launch.watch import LAST_WORDS, REACTION

# Writes what it was given to a file named by its rank.
TELL = """
import json, os, sys
with open(f"told-{os.environ['RANK']}", "w") as file:
    json.dump({"argv": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}, file)
"""
text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
HOSTILE = (
    "two words",
    "'single' \"double\"",
    "new\nline",
    "Ünï→💡",
    "$HOME `id` $(id)",
    "",
    "--flag=*",
    "\\",
    "a;b&c|d",
)


def job(tmp_path, *arguments, world=None, **changes) -> Job:
    values = {
        "name": "test",
        "argv": (sys.executable, "-S", "-c", TELL, *arguments),
        "world": world or World.local(1),
        "directory": tmp_path,
        "run_dir": tmp_path / "run",
        "master_port": free_port(),
    }
    return Job(**(values | changes))


def launcher(cores: int = 8, **environ: str) -> LocalLauncher:
    return LocalLauncher(cores=cores, environ=environ)


def told(tmp_path, rank: int = 0):
    return json.loads((tmp_path / f"told-{rank}").read_text())


def test_a_plan_has_a_command_for_each_rank(tmp_path):
    plan = launcher().plan(job(tmp_path, world=World.local(2), master_port=1234))
    assert [command.rank for command in plan.commands] == [0, 1]
    assert [command.log for command in plan.commands] == [
        tmp_path / "run/logs/rank-0.log",
        tmp_path / "run/logs/rank-1.log",
    ]
    assert plan.commands[1].environment == {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1234",
        "OMP_NUM_THREADS": "4",
        "GOMP_SPINCOUNT": "10000",
        "PYTHONUNBUFFERED": "1",
    }


def test_the_same_job_gives_the_same_plan_and_touches_nothing(tmp_path):
    one = job(tmp_path, *HOSTILE, world=World.local(4))
    assert launcher().plan(one) == launcher().plan(one)
    assert str(launcher().plan(one)) == str(launcher().plan(one))
    assert list(tmp_path.iterdir()) == []


def test_threads_share_the_cores_unless_the_user_set_them(tmp_path):
    crowded = job(tmp_path, world=World.local(8))
    assert launcher(cores=2).plan(crowded).commands[0].environment["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in launcher(OMP_NUM_THREADS="3").plan(crowded).commands[0].environment
    assert "GOMP_SPINCOUNT" not in launcher(OMP_WAIT_POLICY="active").plan(crowded).commands[0].environment
    own = job(tmp_path, environment={"OMP_NUM_THREADS": "5"})
    assert launcher().plan(own).commands[0].environment["OMP_NUM_THREADS"] == "5"


def test_the_jobs_environment_cannot_misplace_a_rank(tmp_path):
    plan = launcher().plan(job(tmp_path, environment={"RANK": "7", "MINE": "x"}))
    assert plan.commands[0].environment["RANK"] == "0"
    assert plan.commands[0].environment["MINE"] == "x"


def test_this_machine_may_go_by_its_own_name(tmp_path):
    plan = launcher().plan(job(tmp_path, world=World((Host(socket.gethostname(), 1),))))
    assert plan.commands[0].host == socket.gethostname()


def test_another_host_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="launcher: local runs on this machine only, and the job needs worker-2"):
        launcher().plan(job(tmp_path, world=World((Host("localhost", 1), Host("worker-2", 1)))))


def test_ranks_get_their_arguments_environment_and_directory(tmp_path):
    values = {f"NEOX_TEST_{index}": value for index, value in enumerate(HOSTILE)}
    local = build(None)
    assert local.run(local.plan(job(tmp_path, *HOSTILE, world=World.local(2), environment=values))) == 0
    for rank in range(2):
        heard = told(tmp_path, rank)
        assert heard["argv"] == list(HOSTILE)
        assert values.items() <= heard["environment"].items()
        assert heard["environment"]["LOCAL_RANK"] == str(rank)
        assert heard["environment"]["PATH"] == os.environ["PATH"]
        assert heard["directory"] == str(tmp_path)


@settings(max_examples=10)
@given(st.lists(text, max_size=4), text)
def test_any_argument_and_any_value_arrives_intact(tmp_path_factory, arguments, value):
    directory = tmp_path_factory.mktemp("any")
    local = launcher()
    assert local.run(local.plan(job(directory, *arguments, environment={"NEOX_TEST": value}))) == 0
    assert told(directory)["argv"] == arguments
    assert told(directory)["environment"]["NEOX_TEST"] == value


def test_a_failing_rank_gives_its_code(tmp_path, capfd):
    argv = (sys.executable, "-S", "-c", "import os, sys; sys.exit('broken' if os.environ['RANK'] == '1' else 0)")
    local = launcher()
    assert local.run(local.plan(job(tmp_path, argv=argv, world=World.local(2)))) == 1
    assert "[rank 1] broken" in capfd.readouterr().err
    assert (tmp_path / "run/logs/rank-1.log").read_text() == "broken\n"


def test_a_taken_port_is_refused_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        local = launcher()
        with pytest.raises(UserError, match=f"master_port: {port} is taken on this machine"):
            local.run(local.plan(job(tmp_path, master_port=port)))
    assert list(tmp_path.iterdir()) == []


def test_ranks_have_the_time_for_their_end_that_they_give_each_other(monkeypatch, tmp_path):
    graces: list[float] = []
    monkeypatch.setattr("neox_launchers.local.supervise", lambda plan, grace: graces.append(grace) or 0)
    made = launcher()
    made.run(made.plan(job(tmp_path)))
    assert graces[0] > REACTION + LAST_WORDS
