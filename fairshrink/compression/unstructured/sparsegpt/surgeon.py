"""The optimal brain surgeon's update, column by column with one factorization for all rows of a matrix."""

from __future__ import annotations

import torch

from fairshrink.compression._shared.inverse import upper_factor
from fairshrink.compression._shared.patterns import Pattern, check_divides, group, lowest_in_rows
from fairshrink.compression._shared.selection import count, magnitude_keys, smallest


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


def _scores(part: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    return (part / own.diagonal()).square()


def _lowest(part: torch.Tensor, own: torch.Tensor, number: int) -> torch.Tensor:
    (mask,) = smallest(magnitude_keys([_scores(part, own)]), number)
    return mask
