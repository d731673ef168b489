"""Checking requirements in the installed metadata, before anything is imported."""

from __future__ import annotations

import importlib.metadata
from functools import cache

from neox_core.plugins.states import AVAILABLE, Availability, State


@cache
def check_extra(distribution: str, extra: str) -> Availability:
    """Whether everything that the distribution's requirement group `extra` names is installed in a fitting version."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    remedy = f"pip install '{distribution}[{extra}]'"
    try:
        metadata = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Availability(State.BROKEN, f"it names the extra '{extra}' but is not an installed distribution")
    if canonicalize_name(extra) not in map(canonicalize_name, metadata.get_all("Provides-Extra", [])):
        return Availability(State.BROKEN, f"{distribution} has no requirement group '{extra}'")
    for requirement in map(Requirement, metadata.get_all("Requires-Dist", [])):
        marker, requirement.marker = requirement.marker, None
        if marker is None or not marker.evaluate({"extra": extra}) or marker.evaluate({"extra": ""}):
            continue
        found = check_requirement(str(requirement))
        if not found.ok:
            return Availability(found.state, found.reason, remedy)
    return AVAILABLE


@cache
def check_requirement(text: str) -> Availability:
    """Whether the requirement (`name>=1.2`, `name[extra]`) is installed in a fitting version, with what its extras need."""
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


def distribution_of(requirement: str) -> str:
    """The name in a requirement that `check_requirement` finds in order."""
    from packaging.requirements import Requirement

    return Requirement(requirement).name
