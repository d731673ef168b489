"""How tensor-parallel ranks share each weight: what makes one of their parts, and what part of one a rank has.

Names are GPT-NeoX's of today. What matches no rule is held alike by all ranks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neox_core.errors import UserError

Parts = Sequence[Tensor]
"""Of all ranks, in their order."""


class Cut(NamedTuple):
    """One way of sharing.

    Args:
        join: the whole of the parts.
        part: what a rank has of the whole: (whole, rank, ranks).
    """

    join: Callable[[Parts], Tensor]
    part: Callable[[Tensor, int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of an architecture decides how weights are shared.

    Args:
        heads: query heads.
        kv_heads: key/value heads.
        head_dim: width of a head.
        gated: whether the first linear layer of an MLP has the rows of `up`, then those of `gate`.
        parallel: whether attention and MLP are side by side, so that each rank adds its own copy of a row-parallel bias.
    """

    heads: int
    kv_heads: int
    head_dim: int
    gated: bool
    parallel: bool


def _along(dimension: int) -> Cut:
    """Consecutive rows, or columns."""

    def part(whole: Tensor, rank: int, ranks: int) -> Tensor:
        size = whole.shape[dimension] // ranks
        return whole.narrow(dimension, rank * size, size)

    return Cut(lambda parts: _one(parts) if len(parts) == 1 else torch.cat(list(parts), dimension), part)


def _stacked(shares: Sequence[int]) -> Cut:
    """Several matrices one below the other, of which each rank has consecutive rows of each, stacked again.

    Args:
        shares: of the rows that each matrix has.
    """

    def apart(tensor: Tensor) -> Sequence[Tensor]:
        unit = tensor.shape[0] // sum(shares)
        return torch.split(tensor, [share * unit for share in shares])

    def join(parts: Parts) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        return torch.cat([torch.cat(list(same)) for same in zip(*map(apart, parts), strict=True)])

    rows = _along(0)
    return Cut(join, lambda whole, rank, ranks: torch.cat([rows.part(one, rank, ranks) for one in apart(whole)]))


def _one(parts: Parts) -> Tensor:
    """What all ranks hold alike: that of the first; where they have drifted apart, the mean."""
    first = parts[0]
    if first.is_meta or all(torch.equal(first, other) for other in parts[1:]):
        return first
    return torch.stack([part.float() for part in parts]).mean(0).to(first.dtype)


def _sum(parts: Parts) -> Tensor:
    """Copies of which each is added."""
    return parts[0] if len(parts) == 1 else torch.stack([part.float() for part in parts]).sum(0).to(parts[0].dtype)


ROWS, COLUMNS = _along(0), _along(1)
ALIKE = Cut(_one, lambda whole, rank, ranks: whole)
COPIES = Cut(_sum, lambda whole, rank, ranks: whole / ranks)

_RULES: tuple[tuple[re.Pattern[str], Cut], ...] = tuple(
    (re.compile(pattern), cut)
    for pattern, cut in (
        (r"word_embeddings\.weight|final_linear\.weight", ROWS),
        (r"attention\.query_key_value\.\w+|attention\.qk_layernorm\.(norm\.)?(weight|bias|scale)", ROWS),
        (r"attention\.dense\.weight|mlp\.linear2\.weight|rm_linear\.weight|attention\.rpe\.weight", COLUMNS),
        (r"attention\.alibi_embed\.slopes", ROWS),
        (r"mlp\.linear1\.(weight|bias)", ROWS),
        (r"mixer\.(conv1d\.(weight|bias)|dt_proj\.(weight|bias)|A_log|D)", ROWS),
        (r"mixer\.(x_proj|out_proj)\.weight", COLUMNS),
        (r"mixer\.in_proj\.(weight|bias)", _stacked((1, 1))),
    )
)
_ROW_BIAS = re.compile(r"(attention\.dense|mlp\.linear2)\.bias")
_GATED = re.compile(r"mlp\.linear1\.(weight|bias)")
_QUERIES = re.compile(r"attention\.query_key_value\.(weight|bias)")
_SPATIAL = re.compile(r"sgu\.")


def is_row_bias(name: str) -> bool:
    """Whether it is added to a sum over tensor-parallel ranks."""
    return _ROW_BIAS.fullmatch(_within(name)) is not None


def cut_of(name: str, shape: Shape) -> Cut:
    """How a weight is shared.

    Args:
        name: `sequential.{layer}.…`.
        shape: of the architecture.
    """
    within = _within(name)
    if _ROW_BIAS.fullmatch(within):
        return COPIES if shape.parallel else ALIKE
    if _GATED.fullmatch(within) and shape.gated:
        return _stacked((1, 1))
    if _QUERIES.fullmatch(within) and shape.kv_heads != shape.heads:
        return _stacked((shape.heads, shape.kv_heads, shape.kv_heads))
    return next((cut for pattern, cut in _RULES if pattern.fullmatch(within)), ALIKE)


def cut_of_moment(name: str, shape: Shape) -> Cut:
    """The same of what an optimizer keeps for each element: that of a sum of copies is what each copy has."""
    cut = cut_of(name, shape)
    return ALIKE if cut is COPIES else cut


def joined(name: str, parts: Parts, cut: Cut) -> Tensor:
    """The whole.

    Raises:
        UserError: the parts do not fit together.
    """
    if len(parts) > 1 and _SPATIAL.match(_within(name)):
        raise UserError(
            f"'{name}' is trained by each of {len(parts)} tensor-parallel ranks apart in GPT-NeoX, so that it is not one weight; such "
            "a checkpoint of gmlp or amlp cannot be converted"
        )
    try:
        return cut.join(parts)
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise UserError(
            f"'{name}': the parts {shapes} of tensor-parallel ranks do not fit together ({error})"
        ) from error


def divided(name: str, whole: Tensor, cut: Cut, rank: int, ranks: int) -> Tensor:
    """What a rank has of a weight; all of it where there is one rank."""
    return whole if ranks == 1 else cut.part(whole, rank, ranks)


def _within(name: str) -> str:
    """The name within its layer."""
    return name.split(".", 2)[-1] if name.startswith("sequential.") else name
