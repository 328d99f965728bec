"""The inverse of the second moments of a layer's inputs, factored for updates column by column."""

from __future__ import annotations

import torch

from fairshrink.errors import UserError

SMALL = 64
"""Rows of a triangular matrix that is inverted at once; larger ones are halved."""


def upper_factor(products: torch.Tensor, damping: float) -> torch.Tensor:
    """U with Uᵀ U = (X^T X + λI)⁻¹, upper triangular [in, in] in float32; λ = damping x mean of the diagonal.

    U_jj² is entry j of the diagonal of the inverse for inputs j and later alone. Computed in float64, as the inverse of
    the triangular R with R Rᵀ = X^T X + λI: Cholesky's factor with inputs in reverse order. UserError where inputs are
    not finite.
    """
    damped = products.to(torch.float64, copy=True)
    mean = damped.diagonal().mean()
    if not torch.isfinite(mean):
        raise UserError("the inputs of a layer are not finite on the calibration texts: the model is broken")
    damped.diagonal().add_(damping * mean if mean > 0 else 1.0)
    return _inverse(torch.linalg.cholesky(damped.flip(0, 1)).flip(0, 1)).float()


def _inverse(upper: torch.Tensor) -> torch.Tensor:
    """The inverse of an upper triangular matrix."""
    size = len(upper)
    if size <= SMALL:
        return torch.linalg.solve_triangular(upper, torch.eye(size).to(upper), upper=True)
    half, found = size // 2, torch.zeros_like(upper)
    first, last = _inverse(upper[:half, :half]), _inverse(upper[half:, half:])
    found[:half, :half], found[half:, half:] = first, last
    found[:half, half:] = -(first @ upper[:half, half:]) @ last
    return found
