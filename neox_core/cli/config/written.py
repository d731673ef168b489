"""Settings as they are written, whether or not they are a whole configuration: of files that are meant to be joined with others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from neox_core.config import Entry
from neox_core.config.fitting import fitted
from neox_core.config.ownership import Ownership
from neox_core.config.translation import translate
from neox_core.config.validation import group_problems, unknown_key
from neox_core.errors import Notice, SettingsError


@dataclass(frozen=True, slots=True)
class Written:
    """Given keys in today's names, each of which takes its value.

    Args:
        entries: by key.
        notices: what was said when they were translated.
    """

    entries: Mapping[str, Entry]
    notices: tuple[Notice, ...]


def written(entries: Iterable[Entry], ownership: Ownership) -> Written:
    """The given keys in today's names. Keys that must be given may be missing.

    Raises:
        SettingsError: there is no such key, or it does not take the value; all of them at once.
    """
    translation = translate(entries, ownership)
    known = {key: _fitted(entry, ownership) for key, entry in translation.entries.items() if key in ownership.by_key}
    problems = list(translation.problems)
    problems += [unknown_key(entry, ownership) for key, entry in translation.entries.items() if key not in known]
    for group in ownership.groups:
        given = {key: known[key] for key in group.model_fields if key in known}
        try:
            if given:
                group.model_validate({key: entry.value for key, entry in given.items()})
        except ValidationError as error:
            found = group_problems(error, group, given)
            problems += [problem for problem in found if any(key in given for key in problem.keys)]
    if problems:
        raise SettingsError(problems)
    return Written(known, tuple(translation.notices))


def _fitted(entry: Entry, ownership: Ownership) -> Entry:
    field = ownership.by_key[entry.key][0].group.model_fields[entry.key]
    return replace(entry, value=fitted(entry.value, field.annotation))


def with_variables(value: Any, raw: Any) -> Any:
    """A value with the environment variables in its text by name, as in the raw value that it was made of."""
    if isinstance(value, str) and isinstance(raw, str) and "$" in raw:
        return raw
    if isinstance(value, list):
        raws = raw if isinstance(raw, list) and len(raw) == len(value) else [raw] * len(value)
        return [with_variables(*pair) for pair in zip(value, raws, strict=True)]
    if isinstance(value, dict) and isinstance(raw, dict):
        return {name: with_variables(item, raw.get(name)) for name, item in value.items()}
    return value
