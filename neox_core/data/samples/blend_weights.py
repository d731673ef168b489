"""The weights by which datasets are mixed, and how many samples of each a mixture takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neox_core.errors import UserError


def normalised_weights(weights: Sequence[float], num_datasets: int) -> list[float]:
    """The weights with sum 1, one for each dataset. Raises `UserError` when they are too few, too many or not positive."""
    if len(weights) != num_datasets:
        raise UserError(f"{len(weights)} data weights for {num_datasets} data paths: there must be one weight a path.")
    # Added up in order, as in GPT-NeoX: `sum` rounds differently from Python 3.12 on.
    total = float(np.cumsum(weights, dtype=np.float64)[-1])
    if min(weights) < 0 or not 0 < total < math.inf:
        raise UserError(
            f"The data weights {list(weights)} must be finite numbers that are not negative and not all zero."
        )
    return [weight / total for weight in weights]


def samples_of_each(weights: Sequence[float], num_samples: int) -> list[int]:
    """How many samples to index of each dataset so that a blend of `num_samples` runs out of none.

    `weights` have sum 1. Half a per cent is added, as in GPT-NeoX, whose blends are longer than what is asked for.
    """
    return [math.ceil(num_samples * weight * 1.005) for weight in weights]


def weights_by_num_documents(counts: Sequence[int], alpha: float, *, compat: bool = False) -> list[float]:
    """Weights of sum 1 in proportion to (share of the documents) ** `alpha`: below 1 raises what there is little of.

    After Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale" (arXiv:1911.02116).

    Args:
        counts: documents of each dataset.
        alpha: 1 keeps the shares, 0 makes all alike.
        compat: as in GPT-NeoX, each weight is also multiplied by the share of all *other* datasets.

    Raises:
        UserError: there is no document.
    """
    if len(counts) == 1:
        return [1.0]
    total = sum(counts)
    if not total:
        raise UserError("weight_by_num_documents: the datasets have no document. Check the data paths.")
    shares = [count / total for count in counts]
    weights = _scaled([share**alpha for share in shares])
    return _scaled([w * (1 - share) for w, share in zip(weights, shares, strict=True)]) if compat else weights


def _scaled(weights: Sequence[float]) -> list[float]:
    total = float(np.cumsum(weights)[-1])  # not `sum`, which rounds differently from Python 3.12 on
    return [weight / total for weight in weights]
