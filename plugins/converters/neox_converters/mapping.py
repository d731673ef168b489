"""What all converters do: each weight of an architecture has a rule, and no weight may be missing or left over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import NamedTuple

import torch
from torch import Tensor

from neox_core.checkpoint import HeldTensors, LazyTensors
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
        return dict(self.reading(HeldTensors(foreign)))

    def reading(self, foreign: LazyTensors) -> LazyTensors:
        """The same, each weight when it is asked for; which weights there are, and of what shapes, is looked at now.

        Raises:
            UserError: as `read`.
        """
        self._check_names(foreign)
        return RuleTensors(foreign, [(rule.theirs, rule.ours, rule.read) for rule in self._rules])

    def origins(self) -> dict[str, tuple[str, ...]]:
        """Names of theirs by ours: what each weight is made of."""
        return {ours: rule.theirs for rule in self._rules for ours in rule.ours}

    def _check_names(self, foreign: Iterable[str]) -> None:
        copies = {name for rule in self._copies for name in rule.theirs}
        found = {name for name in foreign if name not in copies and not name.startswith(self._unused)}
        expected = {name for rule in self._rules for name in rule.theirs}
        unknown, missing = sorted(found - expected), sorted(expected - found)
        if unknown:
            raise UserError(f"'{unknown[0]}' is not a weight of this architecture in {self._family}'s naming")
        if missing:
            raise UserError(
                f"'{missing[0]}' is a weight of this architecture in {self._family}'s naming, and is not there"
            )

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights under their names.

        Raises:
            UserError: one of ours has no place there.
        """
        return dict(self.writing(HeldTensors(ours)))

    def writing(self, ours: LazyTensors) -> LazyTensors:
        """The same, each weight when it is asked for.

        Raises:
            UserError: as `write`.
        """
        left = sorted(ours.keys() - {name for rule in self._rules for name in rule.ours})
        if left:
            raise UserError(f"'{left[0]}' has no place in {self._family}")
        return RuleTensors(ours, [(rule.ours, rule.theirs, rule.write) for rule in (*self._rules, *self._copies)])


class _Applied(NamedTuple):
    """A side of a rule, by which tensors are made of others.

    Args:
        names: of what is read.
        others: of what is made.
        step: makes it.
    """

    names: Sequence[str]
    others: Sequence[str]
    step: Step


class RuleTensors(LazyTensors):
    """Tensors that rules make of others, one when it is asked for.

    Args:
        given: the others.
        steps: names of what is read, names of what is made of it, and how.

    Raises:
        UserError: a tensor has not the shape that its rule needs.
    """

    def __init__(self, given: LazyTensors, steps: Iterable[tuple[Sequence[str], Sequence[str], Step]]) -> None:
        self._given = given
        self._steps = {
            name: (applied, place) for applied in starmap(_Applied, steps) for place, name in enumerate(applied.others)
        }
        self._meta: dict[str, Tensor] = {}
        for applied, place in self._steps.values():
            if place == 0:
                made = self._made(applied, [given.meta(name) for name in applied.names])
                self._meta |= zip(applied.others, (tensor.to("meta") for tensor in made), strict=True)

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._meta[name]

    def __getitem__(self, name: str) -> Tensor:
        applied, place = self._steps[name]
        return self._made(applied, [self._given[name] for name in applied.names])[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def _made(self, applied: _Applied, given: Sequence[Tensor]) -> Sequence[Tensor]:
        try:
            made = applied.step(given)
            if len(made) != len(applied.others):
                raise ValueError(f"{len(made)} tensors in place of {len(applied.others)}")
        except (RuntimeError, ValueError) as error:
            shapes = ", ".join(f"'{n}' {tuple(t.shape)}" for n, t in zip(applied.names, given, strict=True))
            raise UserError(f"{shapes}: not the shape of this architecture ({error})") from error
        return made
