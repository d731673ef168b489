"""Servers of samples: what is found before a run, and what is not looked at."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.config.loading import read_text
from neox_core.plugins import PluginManager
from neox_core.training.data_checks import data_problems

ONLINE = "".join(f"{key}: {value}\n" for key, value in {**MODEL, "dataset_impl": "online", "vocab_size": 64}.items())


def limitations(text, ranks=2):
    args = NeoXArgs(read_text(ONLINE + text, "run.yml"), PluginManager())
    return [str(problem) for problem in args.resolve(World.local(ranks)).limitations]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("online_dataserver_ports", "[7]"),
        ("online_dataserver_ports", "[7, 8, 9]"),
        ("online_dataserver_ips", "[a, b, c]"),
    ],
)
def test_a_list_that_does_not_fit_the_ranks_is_found_at_its_line(key, values):
    (said,) = limitations(f"{key}: {values}\n")
    line = ONLINE.count("\n") + 1
    assert said.startswith(f"run.yml:{line}: {key}: ")
    assert "2 data-parallel ranks" in said
    assert "a single one for all" in said


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_single_server_suits_any_number_of_ranks(ranks):
    assert limitations("online_dataserver_ips: here\nonline_dataserver_ports: 7\n", ranks) == []


def test_one_entry_for_each_rank_suits():
    assert limitations("online_dataserver_ips: [a, b]\nonline_dataserver_ports: [7, 8]\n") == []


def test_lists_do_not_matter_without_a_server():
    given = {**MODEL, "mock_data": True, "vocab_size": 64, "online_dataserver_ports": [7]}
    assert NeoXArgs.from_dict(given).resolve(World.local(2)).limitations == ()


@pytest.mark.parametrize("beside", ["", "data_path: nowhere\n", "train_data_paths: [nowhere]\n"])
def test_a_server_needs_no_files_and_none_are_looked_at(beside):
    args = NeoXArgs(read_text(ONLINE + beside, "run.yml"), PluginManager())
    resolved = args.resolve(World.local())
    assert resolved.limitations == ()
    assert data_problems(resolved) == []
