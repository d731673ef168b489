"""Hooks that are called while a run goes on: who takes part, and what becomes of one that fails."""

from __future__ import annotations

import pytest

from neox_core.errors import UserError


class Recorder:
    """A logger that remembers what it is told."""

    def __init__(self, told: list, name: str) -> None:
        self.told, self.name = told, name

    def neox_step_end(self, step) -> None:
        self.told.append((self.name, step))


class Failing(Recorder):
    """Fails at step 2."""

    def neox_step_end(self, run, step) -> None:
        super().neox_step_end(step)
        if step == 2:
            raise OSError("disk full")


def test_registered_objects_are_told_by_name_and_may_take_fewer_arguments(manager):
    plugins, told = manager(allow=()), []
    for name in ("b", "a"):
        plugins.register(Recorder(told, name), name)
    assert plugins.notify("neox_step_end", run=None, step=1) == []
    plugins.unregister("a")
    plugins.notify("neox_step_end", run=None, step=2)
    assert told == [("a", 1), ("b", 1), ("b", 2)]


def test_one_that_fails_is_reported_once_and_takes_no_further_part(manager):
    plugins, told = manager(allow=()), []
    plugins.register(Failing(told, "a"), "logger a")
    plugins.register(Recorder(told, "b"), "logger b")
    failures = [plugins.notify("neox_step_end", run=None, step=step) for step in (1, 2, 3)]
    assert [[(f.plugin, f.hook, str(f.error)) for f in found] for found in failures] == [
        [],
        [("logger a", "neox_step_end", "disk full")],
        [],
    ]
    assert told == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", 3)]


def test_a_users_mistake_ends_the_run(manager):
    class Full:
        def neox_step_end(self):
            raise UserError("acme_csv: the disk is full; make room")

    plugins = manager(allow=())
    plugins.register(Full(), "logger full")
    with pytest.raises(UserError, match="the disk is full"):
        plugins.notify("neox_step_end", run=None, step=1)


def test_a_misspelt_hook_of_a_logger_is_refused(manager):
    class Misspelt:
        def neox_step_ends(self):
            """Never called."""

    with pytest.raises(UserError, match=r"^logger x: .*no hook 'neox_step_ends'; did you mean 'neox_step_end'\?"):
        manager(allow=()).register(Misspelt(), "logger x")


def test_an_unknown_argument_of_a_logger_is_refused(manager):
    class Curious:
        def neox_step_end(self, run, loss):
            """Never called."""

    with pytest.raises(UserError, match=r"^logger x: .*loss"):
        manager(allow=()).register(Curious(), "logger x")


def test_a_name_can_be_registered_once(manager):
    plugins = manager(allow=())
    plugins.register(Recorder([], "a"), "logger a")
    with pytest.raises(UserError, match=r"^logger a: it is there already; name it once$"):
        plugins.register(Recorder([], "a"), "logger a")
