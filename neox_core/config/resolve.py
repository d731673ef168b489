"""Deriving a run's settings: batch arithmetic, precision, layers, vocabulary and optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neox_core.config.architecture import expand_attention, resolve_mlp_width
from neox_core.config.args import NeoXArgs
from neox_core.config.deepspeed_json import deepspeed_json
from neox_core.config.groups import MixtureSettings, ModelSettings
from neox_core.config.optimizer_choice import optimizer_choice
from neox_core.config.precision import resolve_precision
from neox_core.config.resolved import Batch, Resolved
from neox_core.config.rules import NOTICES, RULES, whole_numbers_fit
from neox_core.config.topology import AXIS_KEYS, Topology
from neox_core.config.world import World
from neox_core.errors import Notice, Origin, Problem, SettingsError, UserError
from neox_core.plugins.components import HeadKind, Objective


def resolve(args: NeoXArgs, world: World, vocabulary: int | None, epoch_samples: int | None = None) -> Resolved:
    """The frozen value that a run uses; every problem is found before any is reported.

    What this machine or this version cannot do does not keep settings from resolving; it is among `Resolved.limitations`.

    Raises:
        SettingsError: they do not fit together or the world.
    """
    groups = args.groups
    model, mixture = groups[ModelSettings], groups[MixtureSettings]
    assert isinstance(model, ModelSettings)
    assert isinstance(mixture, MixtureSettings)
    problems = _problems_by_rule(args, world)
    with _collected(problems):
        batch = resolve_batch(args, world)
    with _collected(problems):
        precision = resolve_precision(args)
    with _collected(problems):
        layers = expand_attention(model.attention_config, model.num_layers)
    with _collected(problems):
        mlp_width = resolve_mlp_width(model)
    with _collected(problems):
        optimizer = optimizer_choice(args)
    problems = [_located(problem, args) for problem in problems]
    if not all(problem.limitation for problem in problems):
        raise SettingsError(problems)
    known = max((size for size in (vocabulary, model.vocab_size) if size is not None), default=None)
    return Resolved(
        world=world,
        batch=batch,
        topology=Topology.of(args, batch.data_parallel),
        precision=precision,
        layers=layers,
        head=_head(args),
        mlp_width=mlp_width,
        mixtures=tuple(_mixture(mixture, layer) for layer in range(model.num_layers)),
        vocabulary=known,
        epoch_samples=epoch_samples,
        padded_vocab_size=None if known is None else padded_vocabulary(args, known),
        optimizer=optimizer,
        deepspeed=deepspeed_json(args, batch, precision, optimizer),
        values=args.to_dict(),
        origins=_origins(args),
        groups=groups,
        limitations=tuple(problems),
        notices=tuple(_notices(args, world)),
    )


def _problems_by_rule(args: NeoXArgs, world: World) -> list[Problem]:
    """What the rules of the core and of plugins find.

    Raises:
        SettingsError: whole numbers that no rule has to calculate with.
    """
    if huge := list(whole_numbers_fit(args, world)):
        raise SettingsError(_located(problem, args) for problem in huge)
    problems = [problem for rule in RULES for problem in rule(args, world)]
    return [*problems, *(args.plugins.check(args, world) if args.plugins is not None else ())]


@contextmanager
def _collected(problems: list[Problem]) -> Iterator[None]:
    """Add the problems of a derivation to the others, so that the next one is tried too."""
    try:
        yield
    except SettingsError as error:
        problems.extend(error.problems)


def _notices(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """What is told of settings, with the place of the first key that was given."""
    for rule in NOTICES:
        for notice in rule(args, world):
            yield notice._replace(origin=notice.origin or _first_origin(args, notice.keys))


def _origins(args: NeoXArgs) -> dict[str, Origin]:
    return {
        path: origin
        for entry in args.entries
        for path, origin in [
            (entry.key, entry.origin),
            *((f"{entry.key}.{inner}", origin) for inner, origin in entry.inner.items()),
        ]
    }


def _first_origin(args: NeoXArgs, keys: tuple[str, ...]) -> Any:
    return next((origin for key in keys if (origin := args.origin(key))), None)


def _located(problem: Problem, args: NeoXArgs) -> Problem:
    """The problem with the places where its keys were given, of which the first is that of the value within a mapping."""
    if problem.origin is not None or not problem.keys:
        return problem
    first = f"{problem.keys[0]}.{problem.path}" if problem.path else problem.keys[0]
    places = [args.origin(first), *(args.origin(key) for key in problem.keys[1:])]
    given = list(dict.fromkeys(place for place in places if place is not None))
    return problem._replace(origin=given[0], others=(*problem.others, *given[1:])) if given else problem


def _head(args: NeoXArgs) -> HeadKind:
    """The head that the objective needs; logits where there is no such objective, which is reported before a run."""
    try:
        component = args.plugins.find("objective", args.train_impl).component if args.plugins is not None else None
    except UserError:
        return "logits"
    return component.head if isinstance(component, Objective) else "logits"


def _mixture(mixture: MixtureSettings, layer: int) -> str | None:
    on = mixture.moe_num_experts > 1 and layer % mixture.moe_expert_interval == 0
    return mixture.moe_type if on else None


def padded_vocabulary(args: NeoXArgs, vocabulary: int) -> int:
    """The vocabulary, rounded up to a multiple of make_vocab_size_divisible_by times the tensor-parallel size."""
    multiple: int = args.make_vocab_size_divisible_by * max(args.model_parallel_size, 1)
    return -(-vocabulary // multiple) * multiple


def resolve_batch(args: NeoXArgs, world: World) -> Batch:
    """Micro batch, accumulation and total from whichever of the three are given.

    Raises:
        SettingsError: neither micro nor total is given, or they do not multiply to whole numbers.
    """
    ranks = Topology.of(args, data=1).size
    if world.size % ranks:
        keys = tuple(key for key in AXIS_KEYS.values() if getattr(args, key) > 1)
        counted = "1 rank" if world.size == 1 else f"{world.size} ranks"
        message = f"{counted} cannot be cut into groups of {ranks}"
        remedy = (
            f"use a multiple of {ranks} ranks; `neox config check --world-size {ranks}` checks as if there were so many"
        )
        raise SettingsError([Problem(keys=keys, message=message, remedy=remedy)])
    parallel = world.size // ranks
    total, micro = args.train_batch_size, args.train_micro_batch_size_per_gpu
    accumulation = args.gradient_accumulation_steps
    if total is None and micro is None:
        message = "the batch size is not given"
        sizes = ("train_batch_size", "train_micro_batch_size_per_gpu")
        raise SettingsError([Problem(keys=sizes, message=message, remedy="give one of them")])
    given = {
        "train_batch_size": total,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulation,
    }
    if micro is None:
        micro = total // ((accumulation or 1) * parallel)
    if accumulation is None:
        accumulation = 1 if total is None else total // (micro * parallel) if micro else 0
    batch = Batch(micro, accumulation, parallel)
    if total is not None and batch.total != total:
        parts = [
            f"{size} {what}"
            for size, what in zip(given.values(), ("", "a pass", "passes"), strict=True)
            if size and what
        ]
        message = f"{total} samples a step cannot be made of {' x '.join([*parts, f'{parallel} data-parallel ranks'])}"
        keys = tuple(key for key, value in given.items() if value is not None)
        raise SettingsError([Problem(keys=keys, message=message, remedy=_batch_remedy(given, parallel))])
    return batch


def _batch_remedy(given: Mapping[str, int | None], parallel: int) -> str:
    """What to write so that the sizes multiply."""
    total, *others = given.values()
    product = parallel * math.prod(other for other in others if other is not None)
    if None not in others:
        return f"write train_batch_size: {product}, or leave one of the three out"
    nearest = max(round((total or 0) / product), 1) * product
    return f"train_batch_size must be a multiple of {product}, such as {nearest}"
