"""Given entries held against the groups that own their keys: in today's names, with the types that the keys take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import ValidationError

from neox_core.config.entry import Entry
from neox_core.config.ownership import Ownership
from neox_core.config.plain import copied, plain_entries
from neox_core.config.settings import Settings
from neox_core.config.translation import translate
from neox_core.config.validation import claimed_twice, group_problems, unknown_key
from neox_core.config.variables import expanded
from neox_core.errors import Notice, Problem, SettingsError


class Reading(NamedTuple):
    """Entries that were found right.

    Args:
        entries: by key, in today's names.
        groups: the typed groups with their values.
        notices: what was said of those that had other names or forms.
    """

    entries: Mapping[str, Entry]
    groups: Mapping[type[Settings], Settings]
    notices: tuple[Notice, ...]


def read(entries: Iterable[Entry], ownership: Ownership, *, partial: bool = False, variables: bool = True) -> Reading:
    """Hold entries against their owners.

    Args:
        entries: the given keys, in older names and forms too.
        ownership: which group owns which key.
        partial: whether keys that must be given may be missing, as in one file of several.
        variables: whether environment variables in values are replaced, and must be set.

    Raises:
        SettingsError: values that are not plain data; unknown keys, wrong types or values; all of them at once.
    """
    given, unset = plain_entries(entries), list[Problem]()
    if variables:
        given, unset = expanded(given)
    translation = translate(given, ownership)
    found = translation.entries
    groups, problems = typed(found, ownership)
    if partial:
        problems = [problem for problem in problems if any(key in found for key in problem.keys)]
    problems = [*unset, *translation.problems, *key_problems(found, ownership), *problems]
    if problems:
        raise SettingsError(problems, unheld=not partial)
    return Reading(found, groups, tuple(translation.notices))


def key_problems(entries: Mapping[str, Entry], ownership: Ownership) -> list[Problem]:
    """Keys that no group owns, and those that several do."""
    owners = ownership.by_key
    unknown = [unknown_key(entry, ownership) for entry in entries.values() if entry.key not in owners]
    conflicts = [
        claimed_twice(entry, owners[entry.key]) for entry in entries.values() if len(owners.get(entry.key, ())) > 1
    ]
    return unknown + conflicts


def typed(
    entries: Mapping[str, Entry], ownership: Ownership, *, defaults_too: bool = False
) -> tuple[dict[type[Settings], Settings], list[Problem]]:
    """The groups with these values, and what they refuse. Defaults are held against their types only if asked."""
    groups: dict[type[Settings], Settings] = {}
    problems: list[Problem] = []
    for group in ownership.groups:
        given = {key: entries[key] for key in group.model_fields if key in entries}
        if not given and not defaults_too and _needs_no_validator(group):
            groups[group] = group.model_construct()  # validators of all groups would be half of the time to start
            continue
        try:
            groups[group] = group.model_validate({key: copied(entry.value) for key, entry in given.items()})
        except ValidationError as error:
            problems.extend(group_problems(error, group, given))
    return groups, problems


def _needs_no_validator(group: type[Settings]) -> bool:
    """Whether a group of which no key is given holds its defaults, and nothing that its own validators make of them."""
    own = group.__pydantic_decorators__
    return not (group.has_required_keys() or own.field_validators or own.model_validators or own.validators)
