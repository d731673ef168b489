"""`neox convert push`, to a hub on this machine."""

from __future__ import annotations

import sys

import pytest
from hub_server import TOKEN, hub_server
from plugin_distributions import neox

from neox_core.cli.main import main


@pytest.fixture
def model(tmp_path):
    """A directory like one that was converted."""
    directory = tmp_path / "model"
    (directory / "more").mkdir(parents=True)
    (directory / ".cache").mkdir()
    (directory / "config.json").write_text('{"model_type": "llama"}')
    (directory / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    (directory / "more/notes.txt").write_text("notes")
    (directory / ".cache/hidden").write_text("hidden")
    return directory


@pytest.fixture
def push(tmp_path):
    def run(hub, *words, **environment):
        given = {"HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN, **environment}
        return neox("convert", "push", *words, cwd=tmp_path, HF_ENDPOINT=hub, **given)

    return run


def files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def test_a_directory_becomes_a_repository(model, push):
    with hub_server() as hub:
        done = push(hub.address, "model", "me/tiny", "--message", "the first")
        assert done.returncode == 0, done.stderr
        assert hub.repositories == {"me/tiny@main": files(model)}
        assert len(hub.large) == 1, "weights go the way of large files"
        assert done.stdout == f"{hub.address}/me/tiny/commit/{'1' * 40}: 3 files, 25.03 KiB\n"
        assert (hub.messages, hub.private) == (["the first"], set())


def test_a_branch_of_a_private_one_is_made_and_used_again(model, push):
    with hub_server() as hub:
        for _ in range(2):
            done = push(hub.address, "model", "me/tiny", "--revision", "step100", "--private")
            assert done.returncode == 0, done.stderr
        assert hub.repositories == {"me/tiny@main": {}, "me/tiny@step100": files(model)}
        assert hub.private == {"me/tiny"}


def test_weights_that_nobody_is_to_see_do_not_go_where_all_can(model, push):
    with hub_server() as hub:
        assert push(hub.address, "model", "me/tiny").returncode == 0
        (model / "secret.txt").write_text("secret")
        done = push(hub.address, "model", "me/tiny", "--private")
        assert done.returncode == 2
        assert done.stderr.startswith("error: me/tiny: --private, and others can see this repository")
        assert "secret.txt" not in hub.repositories["me/tiny@main"]


def test_what_goes_wrong_is_said_in_a_sentence(model, push, tmp_path):
    with hub_server() as hub:
        done = push(hub.address, "model", "me/tiny", HF_TOKEN="hf_wrong")
        assert (done.returncode, hub.repositories) == (2, {})
        assert done.stderr.startswith(f"error: me/tiny: the hub at {hub.address} refuses: ")
        assert "401" in done.stderr
        done = push(hub.address, "model", "not/a/name")
        assert (done.returncode, hub.repositories) == (2, {})
        assert "error: not/a/name: the hub at" in done.stderr
        (tmp_path / "empty").mkdir()
        for directory, part in (("nowhere", "nowhere is no directory"), ("empty", "empty: there is nothing in it")):
            done = push(hub.address, directory, "me/tiny")
            assert (done.returncode, hub.repositories) == (2, {})
            assert f"error: {part}" in done.stderr
    done = push(hub.address, "model", "me/tiny")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: me/tiny: the hub at {hub.address} refuses: ")


def test_a_package_that_is_missing_is_named_with_what_installs_it(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(("convert", "push", str(model), "me/tiny")) == 2
    said = "neox convert push needs the package huggingface_hub, which is missing: pip install 'neox-toolkit[hub]'"
    assert capsys.readouterr().err == f"error: {said}\n"
