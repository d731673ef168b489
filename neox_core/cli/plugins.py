"""`neox plugins`: what is installed, what each part supports, whether it works here, and why not."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence

from neox_core.cli.component_page import component_page, plugin_page
from neox_core.cli.tables import table
from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import (
    Availability,
    CommandContext,
    Offer,
    Plugin,
    PluginManager,
    Source,
    State,
    installed_plugins,
)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="neox plugins", description="What is installed, what works here, and why not."
    )
    parser.add_argument("words", nargs="*", metavar="show NAME", help="everything about one component or plugin")
    parser.add_argument("--kind", help="only components of this kind")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON instead of a table: components, and all plugins")
    parser.add_argument(
        "--probe", action="store_true", help="also ask each component whether it can run on this machine"
    )
    form.add_argument("--timing", action="store_true", help="how long each plugin took to load")
    parser.add_argument("--failed", action="store_true", help="only what does not work")
    form.add_argument("--requirements", action="store_true", help="the distributions, as pip takes them")
    parser.add_argument("--no-import", action="store_true", help="what the metadata says, without importing any plugin")
    options = parser.parse_args(argv)
    if options.words and (options.words[0] != "show" or len(options.words) != 2):
        parser.error("write `neox plugins show NAME`")
    return options


def main(argv: list[str], context: CommandContext) -> int:
    """Print the listing; failures are listed, not punished: `neox doctor` is the one that fails."""
    options = parse(argv)
    if options.no_import:
        print(metadata_listing(options.json))
    elif options.words:
        print(show(options.words[1], context.plugins))
    elif options.requirements:
        print("\n".join(requirements(context.plugins)))
    elif options.timing:
        print(timing(context.plugins))
    else:
        print(listing(context.plugins, options))
    return 0


def listing(plugins: PluginManager, options: argparse.Namespace) -> str:
    """The components, as a table by kind or as JSON."""
    kinds = plugins.kinds()
    if options.kind is not None and options.kind not in kinds:
        raise UserError(f"--kind: no component is of the kind '{options.kind}'; {did_you_mean(options.kind, kinds)}")
    rows = [(offer, availability(plugins, offer, options.probe)) for offer in plugins.offers(options.kind)]
    if options.failed:
        rows = [(offer, found) for offer, found in rows if not found.ok]
    if options.json:
        found_plugins = [plugin for plugin in plugins.plugins if not (options.failed and plugin.availability.ok)]
        return json.dumps(
            {
                "components": [as_data(offer, found) for offer, found in rows],
                "plugins": [plugin_as_data(plugin) for plugin in found_plugins],
            },
            indent=1,
        )
    sections = [section(kind, [row for row in rows if row[0].component.kind == kind]) for kind in kinds]
    if not rows:
        return nothing(plugins, options)
    return "\n".join([*filter(None, sections), *dict.fromkeys(remarks(rows, plugins.plugins))]).rstrip()


def availability(plugins: PluginManager, offer: Offer, probe: bool) -> Availability:
    """The state of an offer, with conflicts, which matter only when the name is used."""
    others = plugins.conflicts(offer)
    if others:
        names = " and ".join(str(other.source) for other in others)
        return Availability(
            State.CONFLICT, f"also offered by {names}", f"write '{offer.qualified}' or use plugin_prefer"
        )
    return plugins.availability(offer, probe=probe)


def nothing(plugins: PluginManager, options: argparse.Namespace) -> str:
    """What to say when no component is to be listed."""
    notes = list(remarks((), plugins.plugins))
    if options.failed and not notes:
        return "everything works"
    title = "every component works" if options.failed and plugins.offers() else "no components: no plugins are in use"
    return "\n".join([title, *(f"  {note}" for note in notes)])


def section(kind: str, rows: Sequence[tuple[Offer, Availability]]) -> str:
    """The part of the table for one kind; empty when it has no rows."""
    if not rows:
        return ""
    head = [kind.upper(), "SUPPORTS", "STATE", "FROM", "SUMMARY"]
    body = [
        [
            f"  {offer.component.name}",
            " ".join(sorted(offer.component.supports)),
            str(found.state),
            str(offer.source),
            offer.component.summary,
        ]
        for offer, found in rows
    ]
    if not any(row[1] for row in body):  # kinds whose components claim no features have no such column
        head, body = [*head[:1], *head[2:]], [[*row[:1], *row[2:]] for row in body]
    return table([head, *body]) + "\n"


def remarks(rows: Iterable[tuple[Offer, Availability]], plugins: Iterable[Plugin]) -> Iterable[str]:
    """A line for everything that does not work: what, why, and what mends it."""
    for offer, found in rows:
        if not found.ok:
            yield f"{offer.component.key} ({offer.source}): {sentence(found)}"
    for plugin in plugins:
        if not plugin.availability.ok:
            yield f"plugin {plugin.source.qualified} {plugin.source.version}: {sentence(plugin.availability)}"


def sentence(found: Availability) -> str:
    """State, reason and remedy in a line."""
    reason = f": {found.reason}" if found.reason else ""
    remedy = f" - {found.remedy}" if found.remedy else ""
    return f"{found.state}{reason}{remedy}"


def as_data(offer: Offer, found: Availability) -> dict[str, object]:
    """One component as JSON has it."""
    component = offer.component
    return {
        "kind": component.kind,
        "name": component.name,
        "summary": component.summary,
        "status": component.status,
        "state": found.state,
        "reason": found.reason,
        "remedy": found.remedy,
        "supports": sorted(component.supports),
        "kernels": list(component.kernels),
        "settings": list(component.settings),
        "params": component.params,
        "extra": component.extra,
        "source": source_as_data(offer.source),
    }


def plugin_as_data(plugin: Plugin) -> dict[str, object]:
    """One plugin as JSON has it, also one that is off or broken."""
    found = plugin.availability
    return {
        "source": source_as_data(plugin.source),
        "state": found.state,
        "reason": found.reason,
        "remedy": found.remedy,
        "hooks": list(plugin.hooks),
        "verbs": [command.name for command in plugin.commands],
        "seconds": plugin.seconds,
    }


def source_as_data(source: Source) -> dict[str, object]:
    """Where a plugin comes from as JSON has it."""
    return {
        "distribution": source.distribution,
        "version": source.version,
        "entry_point": source.entry_point,
        "module": source.module,
        "file": source.file,
    }


def requirements(plugins: PluginManager) -> list[str]:
    """The distributions of all plugins in use, with versions."""
    found = {plugin.source for plugin in plugins.plugins if plugin.availability.ok and plugin.source.version}
    return sorted({f"{source.distribution}=={source.version}" for source in found})


def timing(plugins: PluginManager) -> str:
    """Milliseconds that each plugin took to import and declare itself, slowest first."""
    slowest = sorted(plugins.plugins, key=lambda plugin: -plugin.seconds)
    rows = [
        [plugin.source.qualified, f"{plugin.seconds * 1000:.1f} ms", str(plugin.availability.state)]
        for plugin in slowest
    ]
    return table([["PLUGIN", "TIME", "STATE"], *rows])


def metadata_listing(as_json: bool) -> str:
    """The installed plugins as their metadata names them; nothing is imported, so components are not known."""
    sources = installed_plugins()
    if as_json:
        return json.dumps({"plugins": [{"source": source_as_data(source)} for source in sources]}, indent=1)
    return table([["PLUGIN", "VERSION", "MODULE"], *([s.qualified, s.version, s.module] for s in sources)])


def show(name: str, plugins: PluginManager) -> str:
    """Everything about the components or the plugin of this name (`name`, `kind.name`, `distribution/name`, a distribution)."""
    offers = [
        offer
        for offer in plugins.offers()
        if name.casefold() in (offer.component.name, offer.component.key, offer.qualified.casefold())
    ]
    pages = [component_page(offer, availability(plugins, offer, probe=True), plugins) for offer in offers]
    pages += [
        plugin_page(plugin)
        for plugin in plugins.plugins
        if name in (plugin.source.distribution, plugin.source.qualified)
    ]
    if not pages:
        known = {offer.component.name for offer in plugins.offers()} | {p.source.distribution for p in plugins.plugins}
        raise UserError(f"no component or plugin is called '{name}'; {did_you_mean(name, sorted(known))}")
    return "\n\n".join(pages)
