"""What all converters do: each weight of an architecture has a rule, and no weight may be missing or left over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neox_core.errors import UserError

Step = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""The tensors of one side of a rule to those of the other."""


def same(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """As they are."""
    return tensors


@dataclass(frozen=True, slots=True)
class Rule:
    """Some weights of theirs are some weights of ours.

    Args:
        theirs: names in their family.
        ours: canonical names.
        read: their tensors to ours, in the order of the names.
        write: the other way.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    read: Step = same
    write: Step = same


def renamed(theirs: str, ours: str) -> Rule:
    """One weight, with another name."""
    return Rule((theirs,), (ours,))


def stacked(theirs: str, ours: Sequence[str]) -> Rule:
    """Theirs has the rows of all of ours, one below the other, as many of each."""
    return Rule((theirs,), tuple(ours), lambda t: t[0].chunk(len(ours)), lambda t: [torch.cat(list(t))])


class MappedConverter:
    """Reads and writes by rules. A `WeightConverter`.

    Args:
        family: how messages call theirs, such as "GPT-NeoX".
        rules: one for each weight of the architecture.
        unused: prefixes of names that theirs may have and that mean nothing.
        copies: what theirs has beside those and may lack when it is read: a weight a second time, or one that it never uses.
    """

    def __init__(
        self, family: str, rules: Iterable[Rule], unused: Iterable[str] = (), copies: Iterable[Rule] = ()
    ) -> None:
        self._family, self._rules, self._unused, self._copies = family, tuple(rules), tuple(unused), tuple(copies)

    def read(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Their weights under our names.

        Raises:
            UserError: a weight of the architecture is missing, or one is there that it does not have.
        """
        copies = {name for rule in self._copies for name in rule.theirs}
        found = {n: tensor for n, tensor in foreign.items() if n not in copies and not n.startswith(self._unused)}
        expected = {name for rule in self._rules for name in rule.theirs}
        unknown, missing = sorted(found.keys() - expected), sorted(expected - found.keys())
        if unknown:
            raise UserError(f"'{unknown[0]}' is not a weight of this architecture in {self._family}'s naming")
        if missing:
            raise UserError(
                f"'{missing[0]}' is a weight of this architecture in {self._family}'s naming, and is not there"
            )
        return self._applied(found, [(rule.theirs, rule.ours, rule.read) for rule in self._rules])

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights under their names.

        Raises:
            UserError: one of ours has no place there.
        """
        left = sorted(ours.keys() - {name for rule in self._rules for name in rule.ours})
        if left:
            raise UserError(f"'{left[0]}' has no place in {self._family}")
        return self._applied(ours, [(rule.ours, rule.theirs, rule.write) for rule in (*self._rules, *self._copies)])

    def _applied(
        self, tensors: Mapping[str, Tensor], steps: Iterable[tuple[Sequence[str], Sequence[str], Step]]
    ) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for names, others, step in steps:
            given = [tensors[name] for name in names]
            try:
                made |= zip(others, step(given), strict=True)
            except (RuntimeError, ValueError) as error:
                shapes = ", ".join(f"'{n}' {tuple(t.shape)}" for n, t in zip(names, given, strict=True))
                raise UserError(f"{shapes}: not the shape of this architecture ({error})") from error
        return made
