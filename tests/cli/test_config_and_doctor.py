"""`neox config` and `neox doctor`."""

from __future__ import annotations

import pytest
from plugin_distributions import neox
from plugin_runs import write_config, write_data


@pytest.fixture
def place(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path)
    return tmp_path


def test_check_says_what_is_in_order(place):
    done = neox("config", "check", "tiny.yml", "--world-size", "2", cwd=place)
    assert done.returncode == 0
    assert done.stdout == "in order: 15 settings, 2 ranks, 4 samples a step\n"


def test_check_reports_every_problem(place):
    done = neox("config", "check", "tiny.yml", "norm=laynorm", "launcher=slrm", "lr_decay_style=cosin", cwd=place)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[2] for line in errors] == ["launcher", "lr_decay_style", "norm"]


def test_doctor_is_content_with_a_sound_environment(place):
    done = neox("doctor", "tiny.yml", cwd=place)
    assert done.returncode == 0, done.stdout
    assert "all is well" in done.stdout


def test_doctor_fails_when_what_is_asked_for_cannot_work(place):
    done = neox("doctor", "tiny.yml", "norm=laynorm", cwd=place)
    assert done.returncode == 1
    assert "x settings" in done.stdout
    assert "did you mean 'layernorm'?" in done.stdout


def test_doctor_looks_at_the_data_too(place):
    done = neox("doctor", "tiny.yml", "data_path=nowhere", cwd=place)
    assert done.returncode == 1
    assert "x settings" in done.stdout
    assert "nowhere" in done.stdout


def test_doctor_says_what_a_run_would_go_on_from(place):
    done = neox("doctor", "tiny.yml", "save=new", "load=new", cwd=place)
    assert done.returncode == 0, done.stdout
    assert "there is no checkpoint in new yet" in done.stdout


@pytest.mark.parametrize("size", ["0", "-1", "x"])
def test_a_world_has_ranks(place, size):
    done = neox("config", "check", "tiny.yml", f"--world-size={size}", cwd=place)
    assert done.returncode == 2
    assert f"{size} is not a whole number > 0" in done.stderr


@pytest.mark.parametrize("verb", [["config", "check"], ["doctor"], ["train", "--dry-run"]])
def test_an_existing_file_is_a_file_whatever_its_name(place, verb):
    (place / "tiny.yml").rename(place / "lr=1.yml")
    done = neox(*verb, "lr=1.yml", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr


def test_doctor_mentions_variables_that_nobody_reads(place):
    done = neox("doctor", cwd=place, NEOX_PLUGIN="x", DLTS_HOSTFILE="hosts")
    assert "DLTS_HOSTFILE=hosts\n" in done.stdout
    assert "NEOX_PLUGIN=x (neox reads no variable of this name)" in done.stdout
