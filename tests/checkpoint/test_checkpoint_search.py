"""Which checkpoint is found, and when finding none is an error."""

from __future__ import annotations

import pytest
from checkpoint_worlds import save_iteration

from neox_core.checkpoint import Reader, find, require_none_later
from neox_core.errors import UserError


@pytest.fixture
def directory(tmp_path):
    """Checkpoints of iterations 9 and 10."""
    for iteration in (9, 10):
        save_iteration(tmp_path, iteration)
    return tmp_path


def gpt_neox(directory, iteration, latest=True):
    path = directory / f"global_step{iteration}"
    path.mkdir(parents=True)
    (path / "mp_rank_00_model_states.pt").write_bytes(b"weights")
    if latest:
        (directory / "latest").write_text(f"global_step{iteration}")
    return path


def interrupt(path):
    (path / "manifest.json").unlink()


def test_the_newest_is_found_by_number(directory):
    assert find(directory) == directory / "global_step10"


def test_the_one_asked_for_is_found(directory):
    assert find(directory, 9) == directory / "global_step9"


def test_newest_needs_no_latest(directory):
    (directory / "latest").unlink()
    assert find(directory) == directory / "global_step10"


def test_a_crash_between_manifest_and_latest_costs_nothing(directory):
    (directory / "latest").write_text("global_step9\n")
    assert find(directory) == directory / "global_step10"


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_where_nothing_was_saved_there_is_none(tmp_path, make):
    make(tmp_path / "save")
    assert find(tmp_path / "save") is None


def test_interrupted_saves_are_passed_over_and_reported(directory):
    for iteration in (11, 12):
        interrupt(save_iteration(directory, iteration))
    (directory / "latest").write_text("global_step10\n")
    reported = []
    assert find(directory, on_interrupted=reported.append) == directory / "global_step10"
    assert reported == [directory / "global_step11", directory / "global_step12"]


def test_a_first_save_that_was_interrupted_is_reported_and_none(tmp_path):
    interrupt(save_iteration(tmp_path, 1))
    (tmp_path / "latest").unlink()
    reported = []
    assert find(tmp_path, on_interrupted=reported.append) is None
    assert reported == [tmp_path / "global_step1"]


def test_other_names_are_no_checkpoints(directory):
    for name in ("global_step", "global_step011", "global_step12.old", "my_global_step13", "global_step-1"):
        (directory / name).mkdir()
        (directory / name / "manifest.json").write_text("{}")
    assert find(directory) == directory / "global_step10"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: interrupt(path), "it has no manifest.json, as when a save is interrupted"),
        (lambda path: path.rename(path.with_name("elsewhere")), "there is no such checkpoint"),
    ],
)
def test_what_latest_names_is_never_passed_over(directory, damage, sentence):
    damage(directory / "global_step10")
    with pytest.raises(UserError) as error:
        find(directory)
    assert f"{directory}/latest names 'global_step10', which cannot be loaded" in str(error.value)
    assert sentence in str(error.value)
    assert f"The complete checkpoints in {directory} are: global_step9." in str(error.value)
    assert str(error.value).endswith(f"Name {directory}/global_step9 itself, or remove {directory}/latest.")


def test_a_latest_that_is_not_text_is_an_error(directory):
    (directory / "latest").write_bytes(b"\xff\xfe\x12")
    with pytest.raises(UserError, match="cannot be loaded"):
        find(directory)


@pytest.mark.parametrize(
    "ask", [lambda directory: find(directory, 11), lambda directory: Reader(directory / "global_step11")]
)
def test_what_was_asked_for_is_never_replaced_by_another(directory, ask):
    with pytest.raises(UserError, match=r"there is no such checkpoint.* are: global_step9, global_step10"):
        ask(directory)
    interrupt(save_iteration(directory, 11))
    with pytest.raises(UserError, match=r"global_step11 is not a complete checkpoint: it has no manifest\.json"):
        ask(directory)


def test_asking_in_an_empty_directory_says_that_there_is_none(tmp_path):
    with pytest.raises(UserError, match=r"There is no complete checkpoint in"):
        find(tmp_path, 3)


@pytest.mark.parametrize("latest", [True, False])
def test_a_directory_of_gpt_neox_is_never_a_fresh_start(tmp_path, latest):
    path = gpt_neox(tmp_path, 7, latest)
    for ask in (lambda: find(tmp_path), lambda: find(tmp_path, 7), lambda: Reader(path)):
        with pytest.raises(UserError, match=r"global_step7 was written by GPT-NeoX .* Convert it first"):
            ask()


def test_a_run_that_began_before_a_saved_iteration_is_refused(directory):
    require_none_later(directory, 10)
    with pytest.raises(UserError, match="holds checkpoints later than iteration 9, where this run is: global_step10"):
        require_none_later(directory, 9)
    require_none_later(directory / "absent", 0)
