"""Checking requirements in the installed metadata, before anything is imported."""

from __future__ import annotations

import importlib.metadata
import re
from functools import cache

from neox_core.plugins.states import AVAILABLE, Availability, State
from neox_core.plugins.switches import normalised

_SIMPLE = re.compile(
    r"(?P<name>[\w.-]+) *(>= *(?P<least>\d+(\.\d+)*))? *(; *extra *== *(?P<quote>['\"])(?P<extra>[\w.-]+)(?P=quote))?"
)
"""The usual form of a requirement, read without the import of `packaging`, which takes longer than all else here."""


@cache
def check_extra(distribution: str, extra: str) -> Availability:
    """Whether everything that the distribution's requirement group `extra` names is installed in a fitting version."""
    remedy = f"pip install '{distribution}[{extra}]'"
    try:
        metadata = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Availability(State.BROKEN, f"it names the extra '{extra}' but is not an installed distribution")
    if normalised(extra) not in map(normalised, metadata.get_all("Provides-Extra", [])):
        return Availability(State.BROKEN, f"{distribution} has no requirement group '{extra}'")
    for text in metadata.get_all("Requires-Dist", []):
        requirement = _of_extra(text, extra)
        if requirement is None:
            continue
        found = check_requirement(requirement)
        if not found.ok:
            return Availability(found.state, found.reason, remedy)
    return AVAILABLE


def _of_extra(text: str, extra: str) -> str | None:
    """A line of the metadata without its marker, when it holds for `extra` and not without; else None."""
    if ";" not in text:
        return None
    if simple := _SIMPLE.fullmatch(text):
        return text.partition(";")[0].strip() if normalised(simple["extra"]) == normalised(extra) else None
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    marker, requirement.marker = requirement.marker, None
    if marker is None or not marker.evaluate({"extra": extra}) or marker.evaluate({"extra": ""}):
        return None
    return str(requirement)


@cache
def check_requirement(text: str) -> Availability:
    """Whether the requirement (`name>=1.2`, `name[extra]`) is installed in a fitting version, with what its extras need."""
    if _is_met(text):
        return AVAILABLE
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = f"{text!r} is not a requirement: {' '.join(str(error).split())}"
        return Availability(State.BROKEN, reason, "write it as for pip: `name>=1.2`")
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Availability(State.MISSING, f"{requirement} is not installed", f"pip install '{requirement}'")
    if not requirement.specifier.contains(version, prereleases=True):
        reason = f"{requirement} is needed, {requirement.name} {version} is installed"
        return Availability(State.INCOMPATIBLE, reason, f"pip install '{requirement}'")
    extras = (check_extra(requirement.name, extra) for extra in sorted(requirement.extras))
    return next((found for found in extras if not found.ok), AVAILABLE)


def _is_met(text: str) -> bool:
    """Whether a requirement of the usual form holds for an installed version of the usual form; False is no answer."""
    simple = _SIMPLE.fullmatch(text)
    if simple is None or simple["extra"]:
        return False
    try:
        version = importlib.metadata.version(simple["name"])
    except importlib.metadata.PackageNotFoundError:
        return False
    return re.fullmatch(r"\d+(\.\d+)*", version) is not None and _numbers(version) >= _numbers(simple["least"] or "0")


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version; zeros at its end say nothing."""
    return tuple(map(int, re.sub(r"(\.0+)+$", "", version).split(".")))


def distribution_of(requirement: str) -> str:
    """The name in a requirement that `check_requirement` finds in order."""
    from packaging.requirements import Requirement

    return Requirement(requirement).name
