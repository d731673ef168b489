"""`neox doctor`: look at this environment; exit code 1 when something in it cannot work."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neox_core.errors import UserError
from neox_core.launch import device_kind, local_slots, usable_cores
from neox_core.plugins import CommandContext, PluginManager, State
from neox_core.plugins.requirements import check_requirement

VARIABLES = {
    "NEOX_PLUGINS",
    "NEOX_DISABLE_PLUGINS",
    "NEOX_TRACEBACK",
    "NEOX_TERMINAL",
    "CUDA_VISIBLE_DEVICES",
    "DLTS_HOSTFILE",
    "NO_COLOR",
    "OMP_NUM_THREADS",
    "GOMP_SPINCOUNT",
    "OMP_WAIT_POLICY",
}
"""Environment variables that neox heeds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    text: str
    bad: bool = False

    def __str__(self) -> str:
        return f"{'x' if self.bad else ' '} {self.subject:12} {self.text}"


def main(argv: list[str], context: CommandContext) -> int:
    """Print what was found; with configuration files, also whether what they ask for can work."""
    parser = argparse.ArgumentParser(prog="neox doctor", description="Look at this environment.")
    parser.add_argument(
        "words", nargs="*", metavar="FILE | RECIPE | KEY=VALUE", help="also check what this run would need"
    )
    options = parser.parse_args(argv)
    findings = [*machine(), *requirements(), *duplicates(), *variables(), *plugins(context.plugins)]
    if options.words:
        findings += asked_for(options.words, context)
    print("\n".join(map(str, findings)))
    bad = [finding for finding in findings if finding.bad]
    print(f"\n{len(bad)} of these need attention" if bad else "\nall is well")
    return 1 if bad else 0


def machine() -> Iterator[Finding]:
    """Interpreter, processors, accelerators."""
    yield Finding("python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("machine", f"{platform.system()} {platform.machine()}, {usable_cores()} usable cores")
    device = device_kind()
    yield Finding("devices", f"{local_slots(device)} GPUs" if device == "cuda" else "no GPU; runs on CPUs")


def requirements() -> Iterator[Finding]:
    """What neox itself needs."""
    for text in importlib.metadata.requires("neox-toolkit") or []:
        requirement, _, marker = text.partition(";")
        if "extra" in marker:
            continue
        found = check_requirement(requirement.strip())
        name = requirement.split(">")[0].split("=")[0].split("<")[0].strip()
        version = importlib.metadata.version(name) if found.ok else f"{found.reason}; {found.remedy}"
        yield Finding(name, version, bad=not found.ok)


def duplicates() -> Iterator[Finding]:
    """Distributions that are there twice: the first on the path wins, which may be a stale one."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for distribution in importlib.metadata.distributions():
        where = str(Path(str(distribution.locate_file(""))).resolve())
        if where not in places[distribution.name]:
            places[distribution.name].append(where)
    for name, found in places.items():
        if len(found) > 1:
            mends = any(point.group.startswith("neox.") for point in importlib.metadata.distribution(name).entry_points)
            yield Finding("duplicate", f"{name} is in {' and '.join(found)}", bad=mends or name == "neox-toolkit")


def variables() -> Iterator[Finding]:
    """Variables that neox heeds, and those that look as if they were for it and are not."""
    for name in sorted(os.environ):
        if name in VARIABLES or name.startswith("NEOX_"):
            note = "" if name in VARIABLES else " (neox reads no variable of this name)"
            yield Finding("variable", f"{name}={os.environ[name]}{note}")


def plugins(manager: PluginManager) -> Iterator[Finding]:
    """Plugins and components, and what is wrong with them. A missing optional requirement is no fault."""
    for plugin in manager.plugins:
        found = plugin.availability
        detail = (
            f"{found.state}: {found.reason}; {found.remedy}" if not found.ok else f"{len(plugin.components)} components"
        )
        faulty = found.state in (State.BROKEN, State.INCOMPATIBLE)
        yield Finding("plugin", f"{plugin.source.qualified} {plugin.source.version}: {detail}", bad=faulty)
    for offer in manager.offers():
        found = manager.availability(offer, probe=True)
        if not found.ok:
            detail = f"{found.state}: {found.reason}" + (f"; {found.remedy}" if found.remedy else "")
            yield Finding(
                "component", f"{offer.component.key} of {offer.source}: {detail}", bad=found.state is State.BROKEN
            )


def asked_for(words: list[str], context: CommandContext) -> Iterator[Finding]:
    """Whether the run that a configuration describes could start."""
    from neox_core.cli.choice import chosen_plugins  # not before `requirements` has looked for what these import
    from neox_core.cli.given import read_given
    from neox_core.config import NeoXArgs
    from neox_core.training import preflight
    from neox_core.training.machines import find_world

    notices: list[str] = []
    try:
        entries = read_given(words, argparse.Namespace(conf_dir=None, allow=[]), context).entries
        manager = chosen_plugins(entries, context)
        args = NeoXArgs(entries.values(), manager)
        world = find_world(args)
        resolved, _, load, initial, _, away = preflight.check(args, world, manager, notices.append)
    except UserError as error:
        yield from (Finding("settings", line, bad=True) for line in str(error).splitlines())
    else:
        urls: dict[Path | None, object] = {each.path: each.url for each in away}
        anew = "begins anew" if initial is None else f"begins with the weights of {urls.get(initial, initial)}"
        beginning = anew if load.path is None else f"goes on from {urls.get(load.path, load.path)}"
        yield Finding("settings", f"in order: {world.size} ranks, {resolved.batch.total} samples a step; {beginning}")
    yield from (Finding("note", notice) for notice in notices)
