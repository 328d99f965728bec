"""The inverse of the second moments of a layer's inputs, factored for updates column by column."""

from __future__ import annotations

import torch

from fairshrink.errors import UserError


def upper_factor(products: torch.Tensor, damping: float) -> torch.Tensor:
    """U with Uᵀ U = (X^T X + λI)⁻¹, upper triangular [in, in] in float32; λ = damping x mean of the diagonal.

    U_jj² is entry j of the diagonal of the inverse for inputs j and later alone. Computed in float64. UserError where
    inputs are not finite.
    """
    damped = products.double()
    diagonal = damped.diagonal()
    mean = diagonal.mean()
    if not torch.isfinite(mean):
        raise UserError("the inputs of a layer are not finite on the calibration texts: the model is broken")
    added = damping * mean if mean > 0 else torch.ones_like(mean)
    damped = damped + torch.diag(added.expand_as(diagonal))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True).float()
