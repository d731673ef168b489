"""Every hook that a plugin can implement, on one page.

A plugin is a module (or an object) named by an entry point in the group `neox.v1`. Any function of it whose name starts with `neox_`
implements the hook of that name; it may take fewer arguments than listed here. The first four hooks declare, the others are called
while something happens. Hooks must not depend on the order in which plugins are called. A plugin that fails after training has begun
is reported and takes no further part, unless it raises a UserError, which ends the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs, World
    from neox_core.errors import Problem
    from neox_core.launch import Job, LaunchPlan
    from neox_core.plugins.commands import Commands
    from neox_core.plugins.components import Component
    from neox_core.training.run import Checkpoint, Run, Step

hookspec = pluggy.HookspecMarker("neox")


class NeoxHooks:
    """The specification of all hooks."""

    @hookspec
    def neox_components(self) -> Iterable[Component]:
        """The parts that this plugin offers. Must import nothing heavy.

        Example:
            def neox_components():
                return [Attention(name="ring", summary="ring attention", factory="acme.ring:build")]
        """
        raise NotImplementedError

    @hookspec
    def neox_settings(self) -> Iterable[str]:
        """References ("module:attribute") to settings groups that the plugin owns, with or without components.

        Example:
            def neox_settings():
                return ["acme.settings:RingSettings"]
        """
        raise NotImplementedError

    @hookspec
    def neox_targets(self) -> Iterable[str]:
        """Dotted names of modules, classes and functions that a configuration file may name as `_target_`.

        A module allows what is defined in it and below it.

        Example:
            def neox_targets():
                return ["acme.models", "acme.training.pretrain"]
        """
        raise NotImplementedError

    @hookspec
    def neox_commands(self, commands: Commands) -> None:
        """Add verbs to the command line.

        Example:
            def neox_commands(commands):
                commands.add("bench", "acme.bench:main", help="measure attention variants")
        """

    @hookspec
    def neox_check(self, args: NeoXArgs, world: World) -> Iterable[Problem]:
        """Rules over several settings; every problem of every plugin is reported at once.

        Example:
            def neox_check(args, world):
                if args.seq_length % 128:
                    yield Problem(keys=("seq_length",), message="ring attention needs a multiple of 128")
        """
        raise NotImplementedError

    @hookspec
    def neox_before_launch(self, job: Job, plan: LaunchPlan) -> None:
        """The job is about to start. Raising a UserError stops it.

        Example:
            def neox_before_launch(job, plan):
                check_quota(job.world.size)
        """

    @hookspec
    def neox_train_start(self, run: Run) -> None:
        """Training is about to take its first step, on every rank. An error here stops the run.

        Example:
            def neox_train_start(run):
                if run.is_main: open_log(run.directory)
        """

    @hookspec
    def neox_step_end(self, run: Run, step: Step) -> None:
        """A step, and the evaluations after it, are done.

        Example:
            def neox_step_end(run, step):
                log(step.iteration, step.loss)
        """

    @hookspec
    def neox_checkpoint_saved(self, run: Run, checkpoint: Checkpoint) -> None:
        """A checkpoint is complete on disk.

        Example:
            def neox_checkpoint_saved(run, checkpoint):
                copy(checkpoint.path)
        """

    @hookspec
    def neox_train_end(self, run: Run, error: BaseException | None) -> None:
        """Training has ended, with the error that ended it or None.

        Example:
            def neox_train_end(run, error):
                close_log()
        """
