"""The optimal brain surgeon's update, column by column with one factorization for all rows of a matrix."""

from __future__ import annotations

import torch

from fairshrink.compression._shared.columns import one_by_one
from fairshrink.compression._shared.patterns import Pattern, check_divides, group, lowest_in_rows
from fairshrink.compression._shared.selection import count, magnitude_keys, smallest


def pruned(weight: torch.Tensor, factor: torch.Tensor, sparsity: float, pattern: Pattern, block: int) -> torch.Tensor:
    """Weights [out, in] with a share of zeros, the others changed so that outputs change little; in float32.

    ``factor`` [in, in]: `upper_factor` of the sum of x xᵀ over the inputs. UserError where a pattern does not divide
    the inputs.
    """
    check_divides(pattern, weight.shape[1])
    columns, rows = weight.t().shape
    left = weight.detach().float().t().clone(memory_format=torch.contiguous_format)
    gone = torch.zeros_like(left, dtype=torch.bool)
    width, diagonal = group(pattern), factor.diagonal()

    def errors_of(at: int) -> torch.Tensor:
        if at % (width or block) == 0:
            end = min(at + (width or block), columns)
            scores = (left[at:end].t() / diagonal[at:end]).square()
            if width:
                gone[at:end] = lowest_in_rows(scores, width // 2).t()
            else:
                (lowest,) = smallest(magnitude_keys([scores]), count(sparsity, rows * end) - count(sparsity, rows * at))
                gone[at:end] = lowest.t()
        return torch.where(gone[at], left[at], 0.0) / diagonal[at]

    one_by_one(left, factor, errors_of, width or block)
    return left.masked_fill_(gone, 0.0).t().contiguous()
