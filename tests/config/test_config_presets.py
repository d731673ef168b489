"""Finding a configuration by path or by the name of a preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from neox_core.config import presets
from neox_core.config.presets import find_config, is_readable
from neox_core.errors import UserError


def test_a_path_comes_before_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("num_layers: 1\n")
    assert find_config("quickstart") == Path("quickstart")


@pytest.mark.parametrize("name", ["quickstart", "quickstart.yml"])
def test_a_preset_is_found_from_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert find_config(name).name == "quickstart.yml"


def test_an_unknown_name_gets_the_nearest_preset():
    with pytest.raises(
        UserError, match=r"^quikstart.yml: there is no such file, and no preset of this name; did you mean 'quickstart'"
    ):
        find_config("quikstart.yml")


def test_a_directory_is_no_configuration(tmp_path):
    with pytest.raises(UserError, match="is a directory, and neither that of a run"):
        find_config(str(tmp_path))


def test_a_preset_is_likened_by_its_whole_name(tmp_path, monkeypatch):
    (tmp_path / "pythia").mkdir()
    for name in ("70M.yml", "6.7B.yml"):
        (tmp_path / "pythia" / name).touch()
    monkeypatch.setattr(presets, "preset_directories", lambda: [tmp_path])
    for name, meant in (
        ("pythia/70m", "pythia/70M"),
        ("pythia/6.7b.yml", "pythia/6.7B"),
        ("pithia/6.7B", "pythia/6.7B"),
    ):
        with pytest.raises(UserError, match=f"{name}: there is no such file, .*; did you mean '{meant}'"):
            find_config(name)


@pytest.mark.parametrize("name", ["a" * 300, f"save={'a' * 300}"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path, name):
    assert not is_readable(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: there is no such file"):
        find_config(name)


@pytest.mark.parametrize("name", ["1.3B", "1.3B.yml", "1-3B"])
def test_a_size_is_written_with_a_point_or_as_its_file(name):
    assert find_config(name).name == "1-3B.yml"


def test_a_point_stays_one_in_a_path(tmp_path, monkeypatch):
    (tmp_path / "run-1-2.yml").touch()
    monkeypatch.chdir(tmp_path)
    for directory in (None, tmp_path):
        with pytest.raises(UserError, match=r"run-1\.2: there is no such file"):
            find_config("run-1.2", directory)


def test_the_directory_of_a_run_or_of_checkpoints_stands_for_its_settings(tmp_path):
    run, step = tmp_path / "run", tmp_path / "saved" / "global_step2"
    for directory, name in ((run, "resolved.yml"), (step, "settings.yml")):
        directory.mkdir(parents=True)
        (directory / name).touch()
    (tmp_path / "saved" / "latest").write_text("global_step2\n")
    assert find_config(str(run)) == run / "resolved.yml"
    assert find_config("run", tmp_path) == run / "resolved.yml"
    assert find_config(str(step)) == find_config(str(tmp_path / "saved")) == step / "settings.yml"
    with pytest.raises(UserError, match=r"name a file, or one of the directories in it, such as .*run"):
        find_config(str(tmp_path))


def test_a_file_latest_that_is_no_text_names_nothing(tmp_path):
    (tmp_path / "latest").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(UserError, match="neither that of a run"):
        find_config(str(tmp_path))
