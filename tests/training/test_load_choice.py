"""Which checkpoint of a directory is taken up, and what is said where it cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checkpoint_worlds import save_iteration

from neox_core.checkpoint import DamagedCheckpoint, Reader
from neox_core.checkpoint.layout import previous, set_aside
from neox_core.config import CheckpointSettings
from neox_core.errors import UserError
from neox_core.training.load_choice import NOTHING, LoadChoice, choose, with_sound_end


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A directory with the checkpoints of steps 1, 2 and 3."""
    monkeypatch.chdir(tmp_path)
    for iteration in (1, 2, 3):
        save_iteration(Path("saved"), iteration)
    return Path("saved")


def chosen(told=None, **changes):
    notices: list[str] = []
    choice = choose(CheckpointSettings(**{"load": "saved", "save": "saved", **changes}), notices.append)
    if told is not None:
        told += notices
    return choice


def step(number):
    return Path(f"saved/global_step{number}")


def cut_off(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1])


def test_the_newest_is_taken(saved):
    assert chosen() == LoadChoice(step(3))
    assert chosen(load_fallback=True) == LoadChoice(step(3), (step(2), step(1)))
    assert chosen(iteration=2, load_fallback=True) == LoadChoice(step(2))


@pytest.mark.parametrize("changes", [{}, {"load_fallback": True}, {"iteration": 5}, {"load": "saved/global_step5"}])
def test_one_with_the_name_of_another_step_is_refused_and_stays(saved, changes):
    step(3).rename(step(5))
    (saved / "latest").unlink()
    words = r"global_step5 was renamed: its manifest says that it is of step 3: rename it back to global_step3\.$"
    with pytest.raises(UserError, match=words):
        chosen(**changes)
    step(5).rename(step(3))
    assert chosen() == LoadChoice(step(3))


def test_one_with_the_name_of_an_earlier_step_is_passed_over(saved):
    shutil.copytree(step(3), step(0))
    assert chosen() == LoadChoice(step(3))
    shutil.rmtree(step(3))
    with pytest.raises(UserError, match="global_step0 was renamed"):
        chosen()


@pytest.mark.parametrize("name", ["index.json", "state.json"])
def test_the_last_step_is_read_before_training_is_complete(saved, name):
    whole, told = chosen(load_fallback=True), list[str]()
    assert with_sound_end(whole, 4, told.append) == whole and not told
    assert with_sound_end(whole, 3, told.append) == whole
    content = (step(3) / name).read_bytes()
    (step(3) / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    cut_off(step(2) / name)
    assert with_sound_end(whole, 3, told.append) == LoadChoice(step(1), (), (step(3), step(2)))
    assert [notice.endswith("passed over") for notice in told] == [False, False, True, True]
    with pytest.raises(DamagedCheckpoint, match=name):
        with_sound_end(LoadChoice(step(3)), 3, told.append)
    cut_off(step(1) / name)
    with pytest.raises(DamagedCheckpoint, match=rf"step3/{name}"):
        with_sound_end(whole, 3, told.append)


def test_a_damaged_one_is_an_error_that_names_the_one_before(saved):
    cut_off(step(3) / "state.json")
    words = r"global_step3/state\.json is damaged: expected .* or load saved/global_step2, the one before: `load_fallback: true`"
    with pytest.raises(DamagedCheckpoint, match=words):
        chosen()


@pytest.mark.parametrize("name", ["manifest.json", "state.json", "index.json", "shards/rank-00000.safetensors"])
def test_with_fallback_a_damaged_one_is_passed_over_and_said(saved, name):
    told = []
    cut_off(step(3) / name)
    assert chosen(told, load_fallback=True) == LoadChoice(step(2), (step(1),), (step(3),))
    (said,) = told
    assert said.startswith(f"load_fallback: saved/global_step3/{name} is damaged: ")
    assert said.endswith(": passed over")


def test_where_all_are_damaged_there_is_no_fresh_start(saved):
    for number in (1, 2, 3):
        (step(number) / "state.json").unlink()
    words = r"^load_fallback: saved holds no .* whole\. .* saved/global_step3/state\.json is damaged: .* Restore one from a copy$"
    with pytest.raises(UserError, match=words):
        chosen(load_fallback=True)


def test_with_fallback_one_that_latest_names_and_is_gone_is_said(saved):
    told = []
    shutil.rmtree(step(3))
    assert chosen(told, load_fallback=True) == LoadChoice(step(2), (step(1),))
    assert told == ["load_fallback: saved/global_step3, which `latest` names, is not there any more: passed over"]


def test_a_checkpoint_may_be_named_itself_and_is_never_another(saved):
    assert chosen(load="saved/global_step2") == LoadChoice(step(2))
    cut_off(step(2) / "state.json")
    with pytest.raises(DamagedCheckpoint, match=r"global_step2/state\.json"):
        chosen(load="saved/global_step2", load_fallback=True)


def test_one_that_is_named_itself_and_is_not_there_is_said_with_its_neighbours(saved):
    words = r"^saved/global_step7: there is no such checkpoint\. .* are: global_step1, global_step2, global_step3\.$"
    with pytest.raises(UserError, match=words):
        chosen(load="saved/global_step7")


def test_the_iteration_that_is_asked_for_is_never_another(saved):
    cut_off(step(2) / "state.json")
    with pytest.raises(DamagedCheckpoint, match="load saved/global_step1, the one before"):
        chosen(iteration=2, load_fallback=True)


def test_a_save_that_was_interrupted_is_no_checkpoint(saved):
    told = []
    (step(3) / "manifest.json").unlink()
    (saved / "latest").write_text("global_step2")
    assert chosen(told, load_fallback=True) == LoadChoice(step(2), (step(1),))
    assert told == ["saved/global_step3 has no manifest, as when a save is interrupted: passed over"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load_required": True}, "load_required is true; name a directory that holds one"),
        ({"finetune": True}, "finetune: true begins with the weights of one"),
        ({"save": "elsewhere"}, "remove `load` to begin anew"),
    ],
)
def test_nothing_there_is_an_error_with_what_was_looked_for(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=rf"no checkpoint in saved \(looked for global_step\*/manifest\.json\).*{message}"
    ):
        chosen(**changes)


def test_a_first_start_finds_nothing_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    assert chosen(told) == chosen(load_fallback=True) == NOTHING
    assert told == ["load: there is no checkpoint in saved yet: training begins anew"]


def test_what_is_set_aside_is_whole_and_no_checkpoint_any_more(saved):
    before = Reader(step(3)).file("state.json")
    assert set_aside(step(3)) == Path("saved/global_step3.damaged")
    assert (saved / "global_step3.damaged/state.json").read_bytes() == before
    save_iteration(saved, 3)
    assert set_aside(step(3)) == Path("saved/global_step3.damaged1")
    assert chosen(load_fallback=True).path == step(2)


def test_the_one_before_is_by_number(saved):
    save_iteration(saved, 10)
    assert previous(step(10)) == step(3)
    assert previous(step(1)) is None
    assert previous(Path("saved/copy")) is None
