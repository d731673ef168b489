"""One component, or one plugin, described for the terminal: `neox plugins show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.cli.tables import table
from neox_core.errors import UserError
from neox_core.plugins import Availability, Feature, Offer, Optimizer, Plugin, PluginManager

if TYPE_CHECKING:
    from pydantic import BaseModel

_KEY_OF_KIND = {
    "attention": "attention_config: [[[{name}], all]]",
    "optimizer": "optimizer: {{type: {name}, params: {{lr: 0.001}}}}",
    "moe": "moe_num_experts: 8\nmoe_type: {name}",
    "launcher": "launcher: {name}",
    "logger": "loggers: [console, {name}]",
    "objective": "train_impl: {name}",
    "norm": "norm: {name}",
    "position": "pos_emb: {name}",
    "activation": "activation: {name}",
    "schedule": "lr_decay_style: {name}",
    "recipe": "neox train {name}",
}
"""How a configuration, or a command line, asks for a component of each kind."""

_STATE = {"element": "element", "axis": "index along an axis", "scalar": "parameter"}
_RULES = {"adam": "Adam", "sgd": "SGD"}


def component_page(offer: Offer, found: Availability, plugins: PluginManager) -> str:
    """Summary, state and remedy, features, kernels, options, and an example."""
    component = offer.component
    lines = [
        f"{component.kind} {component.name}: {component.summary}",
        f"from      {offer.source} ({offer.source.file or offer.source.module})",
        f"status    {component.status}",
        f"state     {found.state}" + (f": {found.reason}" if found.reason else ""),
    ]
    lines += [f"remedy    {found.remedy}"] if found.remedy else []
    lines += [f"supports  {' '.join(sorted(component.supports))}"] if component.supports else []
    if component.kind == "attention":
        lines += [f"lacks     {' '.join(sorted(set(Feature) - component.supports))}"]
    lines += [f"kernels   {' '.join(component.kernels)}"] if component.kernels else []
    lines += of_optimizer(component) if isinstance(component, Optimizer) else []
    lines += arguments(offer, plugins) if component.kind == "recipe" else options(offer, plugins)
    example = _KEY_OF_KIND.get(component.kind)
    if example is not None:
        lines += ["example", *(f"  {line}" for line in example.format(name=component.name).splitlines())]
    return "\n".join(lines)


def of_optimizer(optimizer: Optimizer) -> list[str]:
    """Where an optimizer may be used, and what it remembers."""
    remembered = [f"{role} (of each {_STATE[shape]})" for role, shape in optimizer.state.items()]
    stages = ", ".join(str(stage) for stage in sorted(optimizer.zero))
    if optimizer.local:
        lines = ["ZeRO      not with it: it averages over ranks itself"]
    else:
        lines = [
            f"ZeRO      stage {stages}" if stages else "ZeRO      untested; with zero_allow_untested_optimizer: true"
        ]
    lines += ["          is given whole parameters there"] if optimizer.whole and optimizer.zero else []
    lines += [
        f"muP       by the rules of {_RULES[optimizer.mup]}" if optimizer.mup else "muP       has no rules for it"
    ]
    return lines + ([f"remembers {', '.join(remembered)}"] if remembered else [])


def arguments(offer: Offer, plugins: PluginManager) -> list[str]:
    """What a recipe takes in parentheses, with type and default."""
    from neox_core.cli.parameters import parameter_rows
    from neox_core.config.nodes import Partial

    try:
        rows = parameter_rows(Partial(plugins.load(offer, offer.component.factory)))
    except UserError as error:
        return [f"arguments {error}"]
    return ["arguments", *(f"  {line}" for line in table(rows).splitlines())] if rows else []


def options(offer: Offer, plugins: PluginManager) -> list[str]:
    """The keys and parameters of a component with type, default and description."""
    lines = []
    references = [*((None, group) for group in offer.component.settings), ("params", offer.component.params)]
    for title, reference in references:
        if reference is None:
            continue
        try:
            model: type[BaseModel] = plugins.load(offer, reference)
        except UserError as error:
            lines.append(f"options   {error}")
            continue
        lines.append(f"options   in {title}" if title else "options")
        lines += [f"  {line}" for line in table(option_rows(model)).splitlines()]
    return lines


def option_rows(model: type[BaseModel]) -> list[list[str]]:
    """A row for each field: name, what it takes, default, description."""
    from neox_core.config import allowed

    return [
        [
            name,
            allowed(model, name),
            "required" if field.is_required() else in_a_file(field.get_default(call_default_factory=True)),
            field.description or "",
        ]
        for name, field in model.model_fields.items()
    ]


def in_a_file(value: object) -> str:
    """A default as a configuration file would have it."""
    from neox_core.config.plain import NotPlainError, plain, shown

    try:
        return shown(plain(value))
    except NotPlainError:
        return repr(value)


def plugin_page(plugin: Plugin) -> str:
    """A plugin: where it is, its state, what it offers, and the traceback when it failed."""
    found = plugin.availability
    lines = [
        f"plugin {plugin.source.qualified} {plugin.source.version} ({plugin.source.file or plugin.source.module})",
        f"state     {found.state}" + (f": {found.reason}" if found.reason else ""),
    ]
    lines += [f"remedy    {found.remedy}"] if found.remedy else []
    lines += [f"offers    {' '.join(component.key for component in plugin.components)}"] if plugin.components else []
    lines += [f"verbs     {' '.join(command.name for command in plugin.commands)}"] if plugin.commands else []
    lines += [f"hooks     {' '.join(plugin.hooks)}"] if plugin.hooks else []
    lines += [f"loaded    in {plugin.seconds * 1000:.1f} ms"]
    lines += [plugin.traceback.rstrip()] if plugin.traceback else []
    return "\n".join(lines)
