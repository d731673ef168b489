"""Settings from a checkpoint: what a run leaves open, or all that is not kept, is as the checkpoint has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_core.config.architecture import meaning
from neox_core.config.checkpoint_policies import POLICIES, PUBLISHED, Case
from neox_core.config.entry import Entry
from neox_core.config.groups import PluginSettings
from neox_core.config.keys import REQUIRED, Key
from neox_core.config.ownership import Ownership
from neox_core.config.plain import plain_entries
from neox_core.config.reading import read, typed
from neox_core.config.saved import Saved, read_saved
from neox_core.config.settings_report import RIVALS, SettingsReport, Words
from neox_core.config.translation import translate
from neox_core.errors import Notice, Problem, SettingsError, UserError, did_you_mean

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs
    from neox_core.plugins import PluginManager


class Merged(NamedTuple):
    """The given keys of a run together with those of a checkpoint, those first.

    Args:
        entries: all of them.
        report: what came of the checkpoint's.
        notices: what is to be told: of my keys, and that of the report.
    """

    entries: tuple[Entry, ...]
    report: SettingsReport
    notices: tuple[Notice, ...]


class SettingsFrom(NamedTuple):
    """Where settings are taken from, and how.

    Args:
        path: a checkpoint, of another family too, a directory of checkpoints, the directory of a run, or a YAML or JSON file.
        override_parent_fields: keys that are mine whatever the checkpoint says; None: as the policy has it.
        policy: a name of `POLICIES`.
        name: dotted path of the part of a nested file that holds settings.
        also: further keys that are mine, beside those of the policy too.
    """

    path: str | Path
    override_parent_fields: Iterable[str] | None = None
    policy: str = "explicit"
    name: str | None = None
    also: Iterable[str] = ()

    @classmethod
    def of(cls, source: SettingsFrom | str | Path) -> SettingsFrom:
        """A path as it stands for itself."""
        return source if isinstance(source, SettingsFrom) else cls(source)

    def beneath(self, mine: Iterable[Entry], ownership: Ownership, plugins: PluginManager | None = None) -> Merged:
        """The given keys of a run with what the checkpoint says where they leave room for it.

        Args:
            mine: the given keys.
            ownership: who has which key.
            plugins: whose converters read checkpoints of other families.

        Raises:
            UserError: nothing can be read there; there is no such policy, or key to keep.
            SettingsError: a given key is wrong, or must match and does not; all of them at once.
        """
        if self.policy not in POLICIES:
            raise UserError(f"there is no policy '{self.policy}'; {did_you_mean(self.policy, list(POLICIES))}")
        fields = self.override_parent_fields
        if fields is None:
            fields = POLICIES[self.policy].listed(ownership)
        listed, reading = listed_keys([*fields, *self.also], ownership), read(mine, ownership, partial=True)
        entries, report = merge(
            reading.entries, read_saved(self.path, self.name, plugins), listed, self.policy, ownership
        )
        return Merged(entries, report, (*report.notices, *reading.notices))


def load_settings_from_checkpoint(
    args: NeoXArgs,
    path: str | Path,
    override_parent_fields: Iterable[str] | None = None,
    policy: str = "explicit",
    name: str | None = None,
) -> SettingsReport:
    """Change settings to those of a checkpoint; see `NeoXArgs.load_settings_from_checkpoint`."""
    return args.load_settings_from_checkpoint(path, override_parent_fields, policy, name)


def listed_keys(names: Iterable[str], ownership: Ownership) -> set[str]:
    """The keys that are mine whatever the checkpoint says, in today's names.

    Raises:
        UserError: a name is no key.
    """
    names = [name.replace("-", "_") for name in names]
    for name in names:
        if name not in ownership.by_key and name not in ownership.aliases and name not in PUBLISHED:
            known = did_you_mean(name, list(ownership.by_key))
            raise UserError(f"there is no setting '{name}' to keep; {known}")
    return {ownership.aliases.get(name, name) for name in names}


def merge(
    mine: Mapping[str, Entry], saved: Saved, listed: set[str], policy: str, ownership: Ownership
) -> tuple[tuple[Entry, ...], SettingsReport]:
    """Mine and the checkpoint's, key by key, as a policy has it, and what came of that.

    Raises:
        SettingsError: keys that must match do not; an operator changes a default in place of which the checkpoint has a value.
    """
    theirs, dropped = _known(saved, ownership)
    comparison, words = _Comparison(mine, theirs, saved.whole, ownership), Words(saved, theirs)
    taken, kept, problems, notices = list[str](), list[str](), list[Problem](), list[Notice]()
    for key in _common(mine, theirs, saved.whole, ownership):
        name, same = key.name, comparison.is_same(key.name)
        choose = POLICIES[policy].choose
        if name in mine and mine[name].of_default and choose(Case(key, False, same, name in listed)).saved:
            problems.append(words.not_the_default(mine[name], key))
            continue
        choice = choose(Case(key, name in mine, same, name in listed))
        from_there = choice.saved or (name not in mine and key.default is REQUIRED)
        if choice.refused:
            problems.append(words.mismatch(mine[name], key))
        elif choice.told:
            notices.append(words.outcome(mine[name], key, from_there))
        if from_there:
            taken.append(name)
        elif not same:
            kept.append(name)
    if problems:
        raise SettingsError(problems)
    staying = {name: entry for name, entry in mine.items() if name not in taken}
    taken = [name for name in taken if name in mine or RIVALS.get(name) not in staying]
    report = SettingsReport(saved.path, policy, tuple(taken), tuple(kept), dropped)
    entries = (*(theirs[name] for name in taken if name in theirs), *staying.values())
    return entries, report._replace(notices=(words.summary(report), *notices))


def _known(saved: Saved, ownership: Ownership) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """The saved keys in today's names and forms, and those that there are not, or not any more.

    Raises:
        UserError: there are keys, and none is a setting.
    """
    named = [entry for entry in saved.entries.values() if not entry.key.startswith("_")]  # `_target_` and the like
    translation = translate(plain_entries(named), ownership)
    refused = [key for problem in translation.problems for key in problem.keys]
    unknown = [key for key in translation.entries if len(ownership.by_key.get(key, ())) != 1]
    dropped = tuple(dict.fromkeys([*unknown, *refused]))
    known = {key: entry for key, entry in translation.entries.items() if key not in dropped}
    if named and not known:
        mappings = [entry.key for entry in named if isinstance(entry.value, dict)]
        hint = f"name the part that holds settings, such as '{mappings[0]}'" if mappings else "name another file"
        raise UserError(f"{saved.source}: none of its keys is a setting ({', '.join(dropped[:5])}); {hint}")
    return known, dropped


def _common(mine: Mapping[str, Entry], theirs: Mapping[str, Entry], whole: bool, ownership: Ownership) -> Iterator[Key]:
    """The keys that one side gives and of which the other has a value too, if only the default.

    The switches of plugins are not among them: they decide which plugins there are to read the rest.
    """
    for name in dict.fromkeys([*theirs, *(mine if whole else ())]):
        key = ownership.keys[name]
        absent = name not in theirs and key.default is REQUIRED
        if key.group is not PluginSettings and not absent:
            yield key


class _Comparison:
    """What keys come to on both sides: `attention_config: null` and four times `global` are the same in four layers."""

    def __init__(
        self, mine: Mapping[str, Entry], theirs: Mapping[str, Entry], whole: bool, ownership: Ownership
    ) -> None:
        defaults = {name: key.default for name, key in ownership.keys.items()}
        mine_values, their_values = _values(mine), _values(theirs)
        self._theirs = defaults | ({} if whole else mine_values) | their_values
        given_up = {rival: defaults[rival] for name, rival in RIVALS.items() if name in mine and rival not in mine}
        self._mine = self._theirs | mine_values | given_up
        wrong = any(key in theirs for problem in typed(theirs, ownership)[1] for key in problem.keys)
        missing = REQUIRED in self._mine.values() or REQUIRED in self._theirs.values()
        self._as_written = wrong or missing  # they mean nothing then

    def is_same(self, name: str) -> bool:
        """Whether a key comes to the same on both sides."""
        if self._mine[name] == self._theirs[name]:
            return True
        if self._as_written:
            return False
        try:
            return bool(meaning(name, self._mine) == meaning(name, self._theirs))
        except SettingsError:  # one side does not fit together, which is told when all is resolved
            return False


def _values(entries: Mapping[str, Entry]) -> dict[str, Any]:
    return {key: entry.value for key, entry in entries.items()}
