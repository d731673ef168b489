"""Which components the settings name, and whether each can be had: checked before anything is launched, without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from pydantic import ValidationError

from neox_core.config import LoggingSettings, ModelSettings, Resolved, RunnerSettings, TrainingSettings
from neox_core.errors import Problem, UserError, did_you_mean
from neox_core.model import tables
from neox_core.plugins import Attention, Feature, Logger, PluginManager, State
from neox_core.training.schedule import check_schedule


def component_problems(resolved: Resolved, plugins: PluginManager) -> list[Problem]:
    """A problem for each component that the settings name and that cannot be had."""
    model, training = resolved[ModelSettings], resolved[TrainingSettings]
    checks: list[tuple[str, Callable[[], Any]]] = [
        ("attention_config", lambda: [plugins.find("attention", name) for name in dict.fromkeys(resolved.layers)]),
        ("moe_type", lambda: [plugins.find("moe", name) for name in dict.fromkeys(resolved.mixtures) if name]),
        ("norm", lambda: tables.check("norm", model.norm, plugins)),
        ("pos_emb", lambda: tables.check("position", model.pos_emb, plugins)),
        ("activation", lambda: tables.check("activation", model.activation, plugins)),
        ("train_impl", lambda: plugins.find("objective", training.train_impl)),
        ("launcher", lambda: plugins.find("launcher", resolved[RunnerSettings].launcher)),
        ("lr_decay_style", lambda: check_schedule(resolved, plugins)),
    ]
    problems = [problem for key, check in checks for problem in _attempt(key, check, resolved)]
    problems += _attempt("optimizer", lambda: check_optimizer(resolved, plugins), resolved)
    problems += logger_problems(resolved, plugins)
    if not problems:
        problems += feature_problems(resolved, plugins)
    return problems


def asked_features(model: ModelSettings) -> dict[str, Feature]:
    """Features of sequence mixers that settings ask for, by key."""
    asked = {
        "pos_emb": Feature.ROPE if model.pos_emb.casefold() == "rotary" else None,
        "num_kv_heads": Feature.GQA if model.num_kv_heads not in (None, model.num_attention_heads) else None,
        "attention_dropout": Feature.DROPOUT if model.attention_dropout > 0 else None,
    }
    return {key: feature for key, feature in asked.items() if feature is not None}


def feature_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each setting that none of the model's mixers heeds, and for mixers that this version cannot place."""
    mixers = [plugins.find("attention", name).component for name in dict.fromkeys(resolved.layers)]
    names = ", ".join(f"'{mixer.name}'" for mixer in mixers)
    for key, feature in asked_features(resolved[ModelSettings]).items():
        if not any(feature in mixer.supports for mixer in mixers):
            message = f"{resolved.all_values()[key]!r} asks for {feature}, which attention {names} does not support"
            remedy = "`neox plugins --kind attention` lists what each supports"
            yield Problem(keys=(key,), message=message, remedy=remedy, origin=resolved.origins.get(key))
    for mixer in mixers:
        if isinstance(mixer, Attention) and mixer.replaces == "block":
            message = f"'{mixer.name}' takes the place of a whole block, for which this version has no room"
            yield Problem(keys=("attention_config",), message=message, origin=resolved.origins.get("attention_config"))


def logger_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each logger that cannot be had or is named twice."""
    listed = resolved[LoggingSettings].loggers is not None
    names = list(selected_loggers(resolved, plugins))
    for name in dict.fromkeys(names):
        key = "loggers" if listed else enabled_by(name, plugins) or "loggers"
        yield from _attempt(key, partial(plugins.find, "logger", name), resolved)
        if names.count(name) > 1:
            message = f"'{name}' is listed {names.count(name)} times"
            yield Problem(keys=(key,), message=message, remedy="list it once", origin=resolved.origins.get(key))


def _attempt(key: str, check: Callable[[], Any], resolved: Resolved) -> Iterator[Problem]:
    try:
        check()
    except UserError as error:
        yield Problem(keys=(key,), message=str(error), origin=resolved.origins.get(key))


def check_optimizer(resolved: Resolved, plugins: PluginManager) -> None:
    """Whether the optimizer can be had and takes its options.

    Raises:
        UserError: it cannot or does not.
    """
    offer = plugins.find("optimizer", resolved.optimizer.name)
    if offer.component.params is None:
        return
    model = plugins.load(offer, offer.component.params)
    try:
        model.model_validate(dict(resolved.optimizer.params))
    except ValidationError as error:
        complaints = [option_complaint(detail, list(model.model_fields)) for detail in error.errors()]
        raise UserError(f"{resolved.optimizer.name}: {'; '.join(complaints)}") from error


def option_complaint(detail: Any, options: list[str]) -> str:
    """One of pydantic's complaints about a nested dictionary, in our words."""
    name = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"params.{name}: {detail['input']!r}: there is no such option; {did_you_mean(name, options)}"
    return f"params.{name}: {detail['input']!r}: {detail['msg']}"


def selected_loggers(resolved: Resolved, plugins: PluginManager) -> Iterable[str]:
    """Names of the run's loggers: those that `loggers` lists, or the default ones and those whose key is set."""
    listed = resolved[LoggingSettings].loggers
    if listed is not None:
        return listed
    values = resolved.all_values()
    found = []
    for offer in plugins.offers("logger"):
        component = offer.component
        if not isinstance(component, Logger) or plugins.availability(offer).state is State.DISABLED:
            continue
        if component.default or (component.enabled_by is not None and values.get(component.enabled_by)):
            found.append(component.name)
    return dict.fromkeys(found)


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
