"""The factors that muP has beside the weights, which other families do not know: folded into weights, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor

from neox_converters.mapping import Rule
from neox_core.config import ModelSettings, Resolved
from neox_core.errors import Problem, SettingsError
from neox_core.model import MuP


class Factors(NamedTuple):
    """What the embedding's output and the last hidden states are multiplied by."""

    embedding: float
    head: float


def foldable(family: str, resolved: Resolved) -> Factors:
    """The factors of a model whose weights another family can take up.

    Raises:
        SettingsError: attention or tied weights would compute something else there.
    """
    mup, model = MuP.of(resolved), resolved[ModelSettings]
    problems = []
    attends = set(resolved.layers) != {"mamba"}
    if attends and mup.attention(model.hidden_size // model.num_attention_heads) is not None:
        message = f"attention scores are divided by other than the root of a head's size, which {family} cannot express"
        problems.append(Problem(keys=("use_mup", "mup_attn_temp"), message=message, origin=resolved.origin("use_mup")))
    if not model.no_weight_tying and (mup.embedding, mup.output) != (1.0, 1.0):
        message = f"embedding and head are one weight with two factors, which {family} cannot express"
        problems.append(
            Problem(keys=("use_mup", "no_weight_tying"), message=message, origin=resolved.origin("use_mup"))
        )
    if problems:
        raise SettingsError(problems)
    return Factors(mup.embedding, mup.output)


def require_plain(family: str, resolved: Resolved) -> None:
    """Refuse all factors of `use_mup`.

    Raises:
        SettingsError: there are some.
    """
    mup = MuP.of(resolved)
    if mup.base is not None and not mup.is_plain:
        message = f"{family} does not multiply by the factors that muP has beside the weights"
        raise SettingsError([Problem(keys=("use_mup",), message=message, origin=resolved.origin("use_mup"))])


def folded(theirs: str, ours: str, factor: float) -> Rule:
    """One weight, which is so many times as large in theirs; exact where that is a power of two."""

    return Rule((theirs,), (ours,), partial(times, 1 / factor), partial(times, factor))


def times(factor: float, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Each tensor times a factor; as it is where that is 1."""
    return tensors if factor == 1 else [tensor * factor for tensor in tensors]
