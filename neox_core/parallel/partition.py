"""Which layers each stage of a pipeline has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline. The first has the embedding too, the last one the final norm and the head.

    Args:
        layers: indices of its blocks; there may be none.
        index: which stage it is, from 0.
        count: how many stages there are.
    """

    layers: range
    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it begins with tokens."""
        return self.index == 0

    @property
    def is_last(self) -> bool:
        """Whether it ends with logits."""
        return self.index == self.count - 1

    @property
    def is_whole(self) -> bool:
        """Whether it is the model, and there is no pipeline."""
        return self.count == 1


METHODS = ("uniform", "parameters", "cost")
"""Ways to deal layers to stages, beside `type:REGEX`."""

BEFORE, AFTER = 2, 3
"""In GPT-NeoX's list of layers, by which it deals, the embedding and a function come before the blocks; a function, the norm and the
head come after them. The functions are called as `FUNCTIONS`, which `type:REGEX` sees too."""

FUNCTIONS = ("_pre_transformer_block", "_post_transformer_block")


class Weights(NamedTuple):
    """What the parts of a model weigh when they are dealt: numbers of parameters, or seconds.

    Args:
        embedding: of the embedding.
        blocks: of each block.
        head: of the head.
        norm: of the final norm.
    """

    embedding: float
    blocks: tuple[float, ...]
    head: float
    norm: float = 0.0


Dealt = list[range]
"""The blocks of each stage."""


def deal_uniform(blocks: int, stages: int) -> Dealt:
    """As many layers to each stage, the first ones having one more; as DeepSpeed does it."""
    return _of_blocks(_even_bounds(BEFORE + blocks + AFTER, stages), blocks)


def deal_by_parameters(weights: Weights, stages: int) -> Dealt:
    """Numbers of parameters that differ as little as possible between the largest and the smallest stage; as DeepSpeed does it."""
    items = [weights.embedding, 0, *weights.blocks, 0, weights.norm, weights.head]
    return _of_blocks(_bounds_of_least_difference(items, stages), len(weights.blocks))


def deal_by_type(names: Sequence[str], pattern: str, stages: int) -> Dealt:
    """Numbers of layers whose name matches, case aside, that differ as little as possible; as DeepSpeed does it.

    Raises:
        ValueError: no block's name matches.
        re.error: the pattern is not a regular expression.
    """
    matches = re.compile(pattern, re.IGNORECASE).search
    blocks = [bool(matches(name)) for name in names]
    if not any(blocks):
        raise ValueError(f"no layer matches '{pattern}'; they are called {', '.join(sorted(set(names)))}")
    first, last = (bool(matches(name)) for name in FUNCTIONS)
    return _of_blocks(_bounds_of_least_difference([False, first, *blocks, last, False, False], stages), len(names))


def deal_by_cost(weights: Weights, stages: int) -> Dealt:
    """A pipeline is as fast as its slowest stage, which is made as fast as it can be; stages between others have a block at least.

    Of the ways that are equally fast the one is taken whose later stages have more blocks, since earlier ones keep more
    micro-batches in memory.
    """
    blocks = len(weights.blocks)
    before = np.concatenate([[0.0], np.cumsum(weights.blocks)])  # weight of the blocks before each
    # slowest[i]: of the best way to give the first i blocks to the stages so far
    slowest = weights.embedding + before
    choices = []
    for stage in range(1, stages):
        is_last = stage == stages - 1
        added = before[:, None] - before[None, :] + (weights.head + weights.norm if is_last else 0.0)  # to i, from j
        least = 0 if is_last else 1
        allowed = np.arange(blocks + 1)[:, None] - np.arange(blocks + 1)[None, :] >= least
        cost = np.where(allowed, np.maximum(slowest[None, :], added), np.inf)
        choices.append(cost.argmin(1))
        slowest = cost.min(1)
    bounds = [blocks]
    for choice in reversed(choices):
        bounds.append(int(choice[bounds[-1]]))
    return _ranges([0, *reversed(bounds)])


def idle_stage(dealt: Dealt) -> int | None:
    """A stage that has neither a block nor the embedding nor the head; None where each has something to do."""
    return next((stage for stage in range(1, len(dealt) - 1) if not dealt[stage]), None)


def _of_blocks(bounds: Sequence[int], blocks: int) -> Dealt:
    """The blocks of stages, of which the bounds are known within GPT-NeoX's list of layers."""
    return _ranges([min(max(bound - BEFORE, 0), blocks) for bound in bounds])


def _ranges(bounds: Sequence[int]) -> Dealt:
    return [range(start, stop) for start, stop in pairwise(bounds)]


def _even_bounds(items: int, parts: int) -> list[int]:
    """Where runs of items begin and end, of which the first ones have one more; the last have none where there are fewer items."""
    if items <= parts:
        return [min(part, items) for part in range(parts + 1)]
    least, more = divmod(items, parts)
    return [part * least + min(part, more) for part in range(parts + 1)]


def _bounds_of_least_difference(weights: Sequence[float], parts: int) -> list[int]:
    """Where runs of items begin and end so that the heaviest and the lightest differ least, found step by step.

    The best way to cut the first i items into j runs is taken to go on from a best way to cut fewer into j - 1, which need not be so;
    of equals the one with the longest beginning is taken. Both as DeepSpeed does it, whose stages these are to be.
    """
    items = len(weights)
    if items <= parts:
        return _even_bounds(items, parts)
    before = np.concatenate([[0.0], np.cumsum(np.asarray(weights, dtype=float))])
    heaviest = np.full((items + 1, parts + 1), np.inf)
    lightest = np.full((items + 1, parts + 1), np.inf)
    begins = np.zeros((items + 1, parts + 1), dtype=int)
    heaviest[0, 0] = 0.0
    for item in range(1, items + 1):
        run = before[item] - before[:item]
        for part in range(1, min(item, parts) + 1):
            most = np.maximum(heaviest[:item, part - 1], run)
            least = np.minimum(lightest[:item, part - 1], run)
            differences = most - least
            best = item - 1 - int(differences[::-1].argmin())
            heaviest[item, part], lightest[item, part], begins[item, part] = most[best], least[best], best
    bounds = [items]
    for part in range(parts, 0, -1):
        bounds.append(int(begins[bounds[-1], part]))
    return bounds[::-1]
