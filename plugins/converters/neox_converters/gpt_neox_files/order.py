"""Which parameters a process of GPT-NeoX had, in what order its optimizer has them: files of older versions do not say it.

An optimizer has the parameters that decay, then those that do not (biases, norms, and what is marked so), or all in one group where
nothing decays; each in the order of modules, which is that of the weights in files. A stage of a pipeline has consecutive layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from neox_core.errors import UserError

Group = Sequence[str]
"""Names of the parameters of a group, in order."""

Fits = Callable[[Sequence[Group]], bool]
"""Whether the groups of a stage can be these."""


class Named(NamedTuple):
    """A parameter's share of a group that is one flat tensor.

    Args:
        name: `sequential.{layer}.…`.
        shape: on its rank.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


_DOES_NOT_DECAY = re.compile(r"(?:.*\.)?(?:bias|A_log|D|(?:\w*norm|ln[12])\.\w+)")
_LAYER = re.compile(r"sequential\.(\d+)\.")


def stored_name(name: str) -> str:
    """`2.mlp.linear1.weight`, `tied_modules.embed.word_embeddings.weight` and the like, as in files of weights."""
    name = name.removeprefix("module.")
    if name.startswith("tied_modules.embed."):
        return "sequential.0." + name.removeprefix("tied_modules.embed.")
    return name if name.startswith("sequential.") else f"sequential.{name}"


def groups_of(names: Sequence[str], count: int) -> list[Group]:
    """The groups of an optimizer over these parameters.

    Args:
        names: in the order of the files.
        count: 1: nothing decays.
    """
    if count == 1:
        return [list(names)]
    return [[name for name in names if decays(name) is wanted] for wanted in (True, False)]


def decays(name: str) -> bool:
    """Whether GPT-NeoX lets a parameter decay."""
    return _DOES_NOT_DECAY.fullmatch(name.split(".", 2)[-1]) is None


def stages(names: Sequence[str], count: int, groups: int, fits: Callable[[int], Fits]) -> list[list[Group]]:
    """The groups of each stage: as many consecutive layers as fit to what its optimizer has.

    Args:
        names: of all parameters, in the order of the files.
        count: of stages.
        groups: that each optimizer has.
        fits: by stage.

    Raises:
        UserError: nothing fits.
    """
    layers = sorted({layer_of(name) for name in names})
    found: list[list[Group]] = []
    first = 0
    for stage in range(count):
        for own, stop in _candidates(names, layers, first, last=stage == count - 1):
            if fits(stage)(made := groups_of(own, groups)):
                found.append(made)
                first = stop
                break
        else:
            raise UserError(
                f"stage {stage} of {count}: no run of layers has as many parameters, of such shapes, as its optimizer has state for"
            )
    return found


def _candidates(
    names: Sequence[str], layers: Sequence[int], first: int, *, last: bool
) -> Iterator[tuple[list[str], int]]:
    """Parameters of a stage that begins with a layer, and where the next one begins.

    With tied weights the last stage has the embedding too.
    """
    begin = [layer for layer in layers if layer >= first]
    for end in range(len(begin), 0, -1) if last else range(1, len(begin) + 1):
        own = _once([name for name in names if layer_of(name) in begin[:end]])
        yield own, begin[end - 1] + 1
        if last and first > 0:
            yield [*(name for name in names if layer_of(name) == 0), *own], begin[end - 1] + 1


def _once(names: Sequence[str]) -> list[str]:
    """Relative positions are one module of a stage, which the files have in every layer."""
    tables = [name for name in names if name.endswith("attention.rpe.weight")]
    return [name for name in names if name not in tables[1:]]


def layer_of(name: str) -> int:
    """The layer that a parameter is of."""
    match = _LAYER.match(name)
    if match is None:
        raise UserError(f"'{name}' is no name of GPT-NeoX: it does not begin with sequential.NUMBER")
    return int(match[1])


def placed(group: Sequence[Named], padding: Sequence[int] = ()) -> Mapping[str, tuple[int, tuple[int, ...]]]:
    """Where each parameter of a flat group begins, and its shape.

    Args:
        group: in order.
        padding: unused elements after each; none where there are none.
    """
    places, start = {}, 0
    for index, named in enumerate(group):
        places[named.name] = start, named.shape
        start += named.size + (padding[index] if index < len(padding) else 0)
    return places
