"""Nearest matrices with orthonormal rows or columns, about, by matrix products alone."""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that takes singular values into about 0.7 to 1.2 in few steps (Jordan et al., "Muon", 2024)."""
SMALLEST = 1e-7
"""A matrix of a smaller norm comes out smaller, so that zero stays zero."""


def orthogonalised(matrix: Tensor, steps: int) -> Tensor:
    """U V^T of the singular value decomposition U S V^T, but for singular values that are only near 1.

    On GPUs in bfloat16, whose errors are smaller than that; elsewhere in the matrix's own dtype.

    Args:
        matrix: [rows, columns].
        steps: of the iteration.

    Returns:
        A matrix of the same shape and dtype.
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide.to(torch.bfloat16) if wide.is_cuda else wide
    x = x / x.norm().clamp(min=SMALLEST)  # so that no singular value is above 1
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide is matrix else x.T).to(matrix.dtype)
