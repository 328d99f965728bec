"""The optimal brain surgeon's update, column by column with one factorization for all rows of a matrix."""

from __future__ import annotations

import torch

from fairshrink.compression._shared.patterns import Pattern, check_divides, group, lowest_in_rows
from fairshrink.compression._shared.selection import count, magnitude_keys, smallest
from fairshrink.errors import UserError


def pruned(
    weight: torch.Tensor, products: torch.Tensor, sparsity: float, pattern: Pattern, block: int, damping: float
) -> torch.Tensor:
    """Weights [out, in] with a share of zeros, the others changed so that outputs change little; in float32.

    ``products`` [in, in]: the sum of x xᵀ over the inputs. UserError where inputs or weights are not finite, or a
    pattern does not divide the inputs.
    """
    check_divides(pattern, weight.shape[1])
    factor = upper_factor(products, damping)
    left = weight.detach().float().clone()
    rows, columns = left.shape
    for start in range(0, columns, block):
        end = min(start + block, columns)
        own = factor[start:end, start:end]
        part = left[:, start:end].clone()
        number = count(sparsity, rows * end) - count(sparsity, rows * start)
        gone = _lowest(part, own, number) if pattern == "unstructured" else torch.zeros_like(part, dtype=torch.bool)
        errors = torch.zeros_like(part)
        width = group(pattern)
        for at in range(end - start):
            if width and at % width == 0:
                gone[:, at : at + width] = lowest_in_rows(_scores(part, own)[:, at : at + width], width // 2)
            errors[:, at] = torch.where(gone[:, at], part[:, at], 0.0) / own[at, at]
            part[:, at:] -= errors[:, at : at + 1] * own[at, at:]
        left[:, start:end] = part.masked_fill(gone, 0.0)
        left[:, end:] -= errors @ factor[start:end, end:]
    return left


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


def _scores(part: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    return (part / own.diagonal()).square()


def _lowest(part: torch.Tensor, own: torch.Tensor, number: int) -> torch.Tensor:
    (mask,) = smallest(magnitude_keys([_scores(part, own)]), number)
    return mask
