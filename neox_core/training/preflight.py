"""Everything about a run that can be found wrong before a process is started; costs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from neox_core.config import (
    CheckpointSettings,
    ModelSettings,
    NeoXArgs,
    Resolved,
    SoftPromptOptions,
    World,
)
from neox_core.data.tokenizers import Tokenizer, describes_tokenizer, load_tokenizer
from neox_core.errors import Problem, SettingsError, UserError
from neox_core.plugins import PluginManager
from neox_core.training.away import Away, initial_from_away, load_from_away
from neox_core.training.compilers import compiler_problems
from neox_core.training.components import component_problems
from neox_core.training.data_checks import data_problems
from neox_core.training.datasets import count_epoch_samples
from neox_core.training.initial import initial_checkpoint
from neox_core.training.load_choice import NOTHING, LoadChoice, Tell
from neox_core.training.mup import check_base_shapes
from neox_core.training.optimizer_resuming import check_same_optimizer
from neox_core.training.resuming import check_saving, checkpoint_to_resume, with_saved_rows

T = TypeVar("T")


def open_tokenizer(args: NeoXArgs) -> Tokenizer | None:
    """The tokenizer that the settings describe, or None where they describe none and say `vocab_size` instead.

    Raises:
        SettingsError: it cannot be opened, or has more entries than `vocab_size`.
    """
    described = describes_tokenizer(args)
    if not described and args.vocab_size is not None:
        return None
    try:
        tokenizer = load_tokenizer(args.tokenizer_type, args.vocab_file, args.merge_file)
    except UserError as error:
        message = f"{error}" if described else f"{error} (or set vocab_size, if the data is tokenized already)"
        raise SettingsError([Problem(keys=(), message=message, origin=args.origin("vocab_file"))]) from error
    if args.vocab_size is not None and args.vocab_size < tokenizer.vocab_size:
        message = f"{args.vocab_size} is less than the tokenizer's {tokenizer.vocab_size} entries"
        problem = Problem(keys=("vocab_size",), message=message, remedy="remove it", origin=args.origin("vocab_size"))
        raise SettingsError([problem])
    return tokenizer


class Checked(NamedTuple):
    """A run that was found to be in order.

    Args:
        resolved: its settings.
        tokenizer: None where none is described.
        load: what to resume from, if anything.
        initial: the one to begin with the weights of; None where they are initialised, or those that `load` has.
        prompt_tokens: tokens that a soft prompt begins with; none unless it begins with a text.
        away: those of `load` and `initial` that are to be copied from a URL first; the paths are those of their small files.
    """

    resolved: Resolved
    tokenizer: Tokenizer | None
    load: LoadChoice
    initial: Path | None
    prompt_tokens: tuple[int, ...] = ()
    away: tuple[Away, ...] = ()


def check(args: NeoXArgs, world: World, plugins: PluginManager, notice: Tell, found: Iterable[Problem] = ()) -> Checked:
    """Resolve the settings and look at everything that the run will need.

    Args:
        args: the settings.
        world: hosts, slots and device.
        plugins: where components are looked up.
        notice: is told what a user should know but need not mend.
        found: problems that are known already, to be told with the others.

    Raises:
        SettingsError: all that was found wrong.
    """
    problems: list[Problem] = list(found)
    tokenizer = attempt(problems, "vocab_file", args, lambda: open_tokenizer(args))
    vocabulary = None if tokenizer is None else tokenizer.vocab_size
    resolved = attempt(problems, "", args, lambda: args.resolve(world, vocabulary))
    if resolved is None:
        raise SettingsError(problems)
    for remark in (*args.notices, *resolved.notices):
        notice(str(remark))
    problems += resolved.limitations
    problems += component_problems(resolved, plugins)
    problems += compiler_problems(resolved)
    wrong_data = data_problems(resolved)
    problems += wrong_data
    if not wrong_data:
        resolved = attempt(problems, "train_epochs", args, partial(with_epochs, args, resolved)) or resolved
    load, initial, away = checkpoints_to_begin_with(args, resolved, plugins, notice, problems)
    checkpoint = load.path
    begun_with = checkpoint or initial
    settled = attempt(problems, "load", args, lambda: with_saved_rows(resolved, begun_with, plugins)) or resolved
    prompt_tokens = attempt(problems, "soft_prompt_tuning", args, lambda: soft_prompt_tokens(resolved, tokenizer))
    if not problems:
        if checkpoint is not None and not resolved[CheckpointSettings].no_load_optim:
            attempt(problems, "optimizer", args, lambda: check_same_optimizer(checkpoint, resolved, plugins))
        attempt(problems, "pipe_parallel_size", args, lambda: check_stages(settled, plugins))
        attempt(problems, "base_shapes_file", args, lambda: check_base_shapes(settled, plugins))
        attempt(problems, "save", args, lambda: check_saving(resolved, checkpoint, load.damaged))
    if problems:
        raise SettingsError(problems)
    return Checked(settled, tokenizer, load, initial, prompt_tokens or (), away)


def checkpoints_to_begin_with(
    args: NeoXArgs, resolved: Resolved, plugins: PluginManager, notice: Tell, problems: list[Problem]
) -> tuple[LoadChoice, Path | None, tuple[Away, ...]]:
    """What to resume from, what to begin with the weights of, and which of them are at URLs. Adds to `problems` what is wrong."""
    known = len(problems)
    if any(key in problem.keys for problem in problems for key in ("load", "s3_path", "initial_ckpt_path")):
        return NOTHING, None, ()
    loaded = attempt(problems, "load", args, lambda: load_from_away(resolved, plugins, notice))
    if len(problems) > known:
        return NOTHING, None, ()
    load = attempt(problems, "load", args, lambda: checkpoint_to_resume(resolved, notice, loaded)) or NOTHING
    wants = load.path is None and not resolved[CheckpointSettings].finetune
    find = partial(initial_from_away, resolved, plugins)
    begun = attempt(problems, "initial_ckpt_path", args, find) if wants else None
    if len(problems) > known:
        return load, None, ()
    work = partial(initial_checkpoint, resolved, load.path, plugins, notice, loaded=loaded, away=begun)
    initial = attempt(problems, "initial_ckpt_path", args, work)
    return load, initial, tuple(away for away in (loaded, begun) if away is not None)


def with_epochs(args: NeoXArgs, resolved: Resolved) -> Resolved:
    """The settings resolved again with the length of an epoch, where that says how long the run is.

    Raises:
        UserError: an epoch is not a single step long.
    """
    samples = count_epoch_samples(resolved)
    if samples is None:
        return resolved
    counted = args.resolve(resolved.world, resolved.vocabulary, samples)
    if not counted.train_iters:
        raise UserError(
            f"the training data have {samples} samples, and a step takes {resolved.batch.total}; "
            "give more data, or make the batch smaller"
        )
    return counted


def check_stages(resolved: Resolved, plugins: PluginManager) -> None:
    """See that each stage of a pipeline has something to do.

    Raises:
        UserError: one has not, or layers cannot be dealt as is asked.
    """
    if resolved.topology.pipe > 1:
        from neox_core.model.stages import planned_stages

        planned_stages(resolved, plugins)


def soft_prompt_tokens(resolved: Resolved, tokenizer: Tokenizer | None) -> tuple[int, ...]:
    """The tokens of the text that a soft prompt begins with; none where there is no prompt, or it begins at random.

    Raises:
        UserError: there is no tokenizer, or the text has no tokens.
    """
    prompt = SoftPromptOptions.of(resolved[ModelSettings].soft_prompt_tuning)
    if prompt is None or not prompt.init_string:
        return ()
    if tokenizer is None:
        raise UserError(
            f"init_string: {prompt.init_string!r} cannot be made tokens of without a tokenizer; set vocab_file to the one that "
            "the data was made with, or leave init_string out"
        )
    tokens = tuple(tokenizer.encode(prompt.init_string))
    if not tokens:
        raise UserError(f"init_string: {prompt.init_string!r} has no tokens; write a text, or leave it out")
    return tokens


def attempt(problems: list[Problem], key: str, args: NeoXArgs, work: Callable[[], T]) -> T | None:
    """The result of `work`; None when it fails, with what was wrong added to `problems`, about `key` unless it says itself."""
    try:
        return work()
    except SettingsError as error:
        problems += error.problems
    except UserError as error:
        said, _, rest = str(error).partition(": ")
        if said in args.ownership.keys:
            problems.append(Problem(keys=(said,), message=rest, origin=args.origin(said)))
        else:
            problems.append(Problem(keys=(key,), message=str(error), origin=args.origin(key)))
    return None
