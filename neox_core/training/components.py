"""Which components the settings name, and whether each can be had: checked before anything is launched, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from neox_core.config import (
    DataSettings,
    LoggingSettings,
    ModelSettings,
    Resolved,
    RunnerSettings,
    ScheduleSettings,
    TrainingSettings,
)
from neox_core.config.keys import Key
from neox_core.config.plain import shown
from neox_core.config.validation import allowed
from neox_core.errors import Problem, UserError, did_you_mean, nearest
from neox_core.model import tables
from neox_core.plugins import Companion, Feature, Logger, Objective, PluginManager, State
from neox_core.training.disk_checks import disk_problems
from neox_core.training.gpt_neox_names import GPT_NEOX_NAMES, is_gpt_neox_name
from neox_core.training.mup import optimizer_problems
from neox_core.training.parallel_features import parallel_problems
from neox_core.training.schedule import DECAYS, check_schedule, scheduler_problems
from neox_core.training.store_checks import store_problems
from neox_core.training.zero_admission import admission_problems, cutting_problems


def component_problems(resolved: Resolved, plugins: PluginManager) -> list[Problem]:
    """A problem for each component that the settings name and that cannot be had.

    It is a limitation where GPT-NeoX has such a component and this version has not, or where it is here but cannot run on this
    machine; a name that nobody has is a mistake.
    """
    model, training = resolved[ModelSettings], resolved[TrainingSettings]
    named: list[tuple[str, str, Iterable[str]]] = [
        ("attention_config", "attention", resolved.layers),
        ("moe_type", "moe", filter(None, resolved.mixtures)),
        ("norm", "norm", [model.norm]),
        ("pos_emb", "position", [model.pos_emb]),
        ("activation", "activation", [model.activation]),
        ("train_impl", "objective", [training.train_impl]),
        ("launcher", "launcher", [resolved[RunnerSettings].launcher]),
        ("lr_decay_style", "schedule", [resolved[ScheduleSettings].lr_decay_style]),
        ("optimizer", "optimizer", [resolved.optimizer.name]),
    ]
    problems = [
        problem
        for key, kind, names in named
        for name in dict.fromkeys(names)
        for problem in _named(key, kind, name, resolved, plugins)
    ]
    problems += [*logger_problems(resolved, plugins), *scheduler_problems(resolved)]
    problems += [*companion_problems(resolved, plugins), *store_problems(resolved, plugins)]
    if not any("optimizer" in problem.keys for problem in problems):
        problems += option_problems(resolved, plugins)
        problems += admission_problems(resolved, plugins)
        problems += cutting_problems(resolved, plugins)
        problems += disk_problems(resolved, plugins)
        problems += optimizer_problems(resolved, plugins)
    if not problems:
        problems += feature_problems(resolved, plugins)
        problems += parallel_problems(resolved, plugins)
        problems += objective_problems(resolved, plugins)
    return problems


def _named(key: str, kind: str, name: str, resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """The problem of one name, where there is one."""
    origin = resolved.origin("optimizer.type" if key == "optimizer" else key)
    known = component_names(kind, plugins)
    off = any(plugin.availability.state is State.DISABLED for plugin in plugins.plugins)
    if name.casefold() not in known and is_gpt_neox_name(kind, name) and not off:
        message = f"{kind} {name!r}: this version does not have it yet"
        remedy = f"there is: {', '.join(known)}" if known else None
        yield Problem(keys=(key,), message=message, remedy=remedy, origin=origin, limitation=True)
        return
    try:
        _check(kind, name, resolved, plugins)
    except UserError as error:
        limitation = _cannot_run_here(kind, name, plugins) or (off and is_gpt_neox_name(kind, name))
        close = nearest(name, [*known, *GPT_NEOX_NAMES.get(kind, ())])
        if name.casefold() not in known and close is not None and close not in known:
            message = f"there is no {kind} '{name}'"
            remedy = f"did you mean '{close}', which this version does not have yet?"
            yield Problem(keys=(key,), message=message, remedy=remedy, origin=origin)
        else:
            yield Problem(keys=(key,), message=str(error), origin=origin, limitation=limitation)
    else:
        if lack := tables.lack(kind, name):
            yield Problem(keys=(key,), message=lack[0], remedy=lack[1], origin=origin, limitation=True)


def component_names(kind: str, plugins: PluginManager) -> list[str]:
    """Every name of a kind that the core has or a plugin offers."""
    own = DECAYS if kind == "schedule" else tables.TABLES.get(kind, {})
    return sorted({*own, *(offer.component.name for offer in plugins.offers(kind))})


def _check(kind: str, name: str, resolved: Resolved, plugins: PluginManager) -> None:
    if kind in tables.TABLES:
        tables.check(kind, name, plugins)
    elif kind == "schedule":
        check_schedule(resolved, plugins)
    else:
        plugins.find(kind, name)


def _cannot_run_here(kind: str, name: str, plugins: PluginManager) -> bool:
    """Whether a component is offered, but lacks a requirement or does not suit this machine."""
    plain = name.rpartition("/")[2].casefold()
    offers = [offer for offer in plugins.offers(kind) if offer.component.name == plain]
    states = {plugins.availability(offer, probe=True).state for offer in offers}
    return bool(states) and states <= {State.MISSING, State.INCOMPATIBLE}


POSITION_FEATURES = {"rotary": Feature.ROPE, "alibi": Feature.ALIBI, "rpe": Feature.RPE}
"""What positions ask of sequence mixers, by name of the positions."""


def asked_features(resolved: Resolved) -> dict[str, str]:
    """Features of sequence mixers that settings ask for, by key: what their values mean, and what their declarations say."""
    model = resolved[ModelSettings]
    asked: dict[str, str] = {}
    if model.pos_emb.casefold() in POSITION_FEATURES:
        asked["pos_emb"] = POSITION_FEATURES[model.pos_emb.casefold()]
    if model.num_kv_heads not in (None, model.num_attention_heads):
        asked["num_kv_heads"] = Feature.GQA
    for group in resolved.groups:
        for name in sorted(group.model_fields.keys() & resolved.values.keys()):
            key = Key.of(group, name, "")
            if key.asks is not None and not key.is_default(resolved.values[name]):
                asked[name] = key.asks
    return asked


ASKED_OF_ALL = frozenset({Feature.VARLEN})
"""Features that every mixer of a model must have: what one of them lets through is seen by all that follow."""


def feature_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each setting that none of the model's mixers heeds, or, where it takes all of them, not every one."""
    mixers = [plugins.find("attention", name).component for name in dict.fromkeys(resolved.layers)]
    for key, feature in asked_features(resolved).items():
        lacking = [mixer for mixer in mixers if feature not in mixer.supports]
        names = ", ".join(f"'{mixer.name}'" for mixer in lacking)
        if lacking and (feature in ASKED_OF_ALL or len(lacking) == len(mixers)):
            message = (
                f"{shown(resolved.all_values()[key])} asks for {feature}, which attention {names} does not support"
            )
            remedy = "`neox plugins --kind attention` lists what each supports"
            yield Problem(keys=(key,), message=message, remedy=remedy, origin=resolved.origin(key))


def objective_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem where the objective would take data for what they are not: bad answers for text, for example."""
    kind, name = resolved[DataSettings].dataset_impl, resolved[TrainingSettings].train_impl
    objective = plugins.find("objective", name).component
    if isinstance(objective, Objective) and kind not in objective.data:
        yield Problem(
            keys=("dataset_impl", "train_impl"),
            message=f"objective '{name}' does not train on data of the kind {kind}, but on {' and '.join(objective.data)}",
            remedy="choose another objective, or data that it takes",
            origin=resolved.origin("dataset_impl"),
        )


def logger_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each logger that cannot be had or is named twice."""
    listed = resolved[LoggingSettings].loggers is not None
    names = list(selected_loggers(resolved, plugins))
    for name in dict.fromkeys(names):
        key = "loggers" if listed else enabled_by(name, plugins) or "loggers"
        yield from _named(key, "logger", name, resolved, plugins)
        if names.count(name) > 1:
            message = f"'{name}' is listed {names.count(name)} times"
            yield Problem(keys=(key,), message=message, remedy="list it once", origin=resolved.origin(key))


def option_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem when the optimizer does not take its options."""
    offer = plugins.find("optimizer", resolved.optimizer.name)
    if offer.component.params is None:
        return
    try:
        model = plugins.load(offer, offer.component.params)
        model.model_validate(dict(resolved.optimizer.params))
    except ValidationError as error:
        details: dict[str, Any] = {}
        for detail in error.errors():
            details.setdefault(str(detail["loc"][0]) if detail["loc"] else "", detail)
        for name, detail in details.items():
            yield option_problem(name, detail, model, resolved)
    except UserError as error:
        yield Problem(keys=("optimizer",), message=str(error), origin=resolved.origin("optimizer"))


def option_problem(name: str, detail: Any, model: type[BaseModel], resolved: Resolved) -> Problem:
    """What is wrong with one of the optimizer's options; without a name, with all of them together."""
    optimizer, remedy = resolved.optimizer.name, None
    if detail["type"] == "extra_forbidden":
        complaint = f"{optimizer} has no such option"
        own_key = name in resolved.all_values()
        options = list(model.model_fields)
        remedy = f"{name} is a key of its own, outside of optimizer" if own_key else did_you_mean(name, options)
    elif detail["type"] == "missing" and len(detail["loc"]) == 1:
        complaint, remedy = "must be given", allowed(model, name)
    elif detail["type"] in ("value_error", "assertion_error") or not name:
        complaint = str(detail["ctx"]["error"]) if "ctx" in detail and "error" in detail["ctx"] else detail["msg"]
    else:
        complaint = f"{shown(resolved.optimizer.params[name])} is not {allowed(model, name)}"
    path = f"params.{name}" if name else "params"
    return Problem(
        keys=("optimizer",),
        message=f"{path}: {complaint}",
        remedy=remedy,
        origin=resolved.origin(f"optimizer.{path}"),
        path=path,
    )


def selected_loggers(resolved: Resolved, plugins: PluginManager) -> Iterable[str]:
    """Names of the run's loggers: those that `loggers` lists, or the default ones and those whose key is set."""
    listed = resolved[LoggingSettings].loggers
    if listed is not None:
        return listed
    values = resolved.all_values()
    found, enabled = [], plugins.names("logger")
    for offer in plugins.offers("logger"):
        component = offer.component
        if not isinstance(component, Logger) or component.name not in enabled:
            continue
        if component.default or (component.enabled_by is not None and values.get(component.enabled_by)):
            found.append(component.name)
    return dict.fromkeys(found)


def selected_companions(resolved: Resolved, plugins: PluginManager) -> list[str]:
    """Names of what goes along with the run: those whose key is set."""
    values, enabled = resolved.all_values(), plugins.names("companion")
    components = (offer.component for offer in plugins.offers("companion"))
    found = [
        component.name
        for component in components
        if isinstance(component, Companion) and component.name in enabled and values.get(component.enabled_by)
    ]
    return [*dict.fromkeys(found)]


def companion_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each companion that cannot be had."""
    for offer in plugins.offers("companion"):
        component = offer.component
        if isinstance(component, Companion) and component.name in selected_companions(resolved, plugins):
            yield from _named(component.enabled_by, "companion", component.name, resolved, plugins)


def enabled_by(name: str, plugins: PluginManager) -> str | None:
    """The key that switches a logger on."""
    return next(
        (
            o.component.enabled_by
            for o in plugins.offers("logger")
            if isinstance(o.component, Logger) and o.component.name == name
        ),
        None,
    )
