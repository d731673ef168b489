"""Checking requirements in the installed metadata, before anything is imported."""

from __future__ import annotations

import importlib.metadata
from functools import cache

from neox_core.plugins.states import AVAILABLE, Availability, State


@cache
def check_extra(distribution: str, extra: str) -> Availability:
    """Whether everything that the distribution's requirement group `extra` names is installed in a fitting version."""
    from packaging.requirements import Requirement

    remedy = f"pip install '{distribution}[{extra}]'"
    try:
        declared = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return Availability(State.BROKEN, f"it names the extra '{extra}' but is not an installed distribution")
    wanted = [
        requirement
        for requirement in map(Requirement, declared)
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    ]
    if not wanted:
        return Availability(State.BROKEN, f"{distribution} declares no requirements under the extra '{extra}'")
    for requirement in wanted:
        found = check_requirement(str(requirement).split(";")[0].strip())
        if not found.ok:
            return Availability(found.state, found.reason, remedy)
    return AVAILABLE


@cache
def check_requirement(text: str) -> Availability:
    """Whether the requirement (`name>=1.2`) is installed in a fitting version."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return Availability(State.BROKEN, f"{text!r} is not a requirement: {error}")
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Availability(State.MISSING, f"{requirement} is not installed", f"pip install '{requirement}'")
    if not requirement.specifier.contains(version, prereleases=True):
        reason = f"{requirement} is needed, {requirement.name} {version} is installed"
        return Availability(State.INCOMPATIBLE, reason, f"pip install '{requirement}'")
    return AVAILABLE
