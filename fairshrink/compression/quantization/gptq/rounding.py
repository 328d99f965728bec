"""Rounding a matrix column by column, with the optimal brain surgeon's update of the columns that are left."""

from __future__ import annotations

import torch

from fairshrink.compression._shared.inverse import upper_factor
from fairshrink.models.stored_forms.packed import Levels, Rounded, encode, steps

BLOCK = 128
"""Columns whose errors are spread over all later ones together: the same sums, in fewer products."""


def rounded(weights: torch.Tensor, products: torch.Tensor, levels: Levels, damping: float, act_order: bool) -> Rounded:
    """Codes of the weights [out, in], for inputs x with the sum ``products`` [in, in] of x xᵀ."""
    left = weights.detach().float().clone()
    columns = left.shape[1]
    width = columns if levels.group is None else levels.group
    scales, zeros = steps(left, levels)
    order = torch.arange(columns, device=left.device)
    if act_order:
        order = products.diagonal().sort(descending=True, stable=True).indices
    left, factor = left[:, order], upper_factor(products[order][:, order], damping)
    codes, places = torch.zeros_like(left), order.tolist()
    block = columns if levels.group is None else max(1, BLOCK // width) * width
    for start in range(0, columns, block):
        end = min(start + block, columns)
        own, part = factor[start:end, start:end], left[:, start:end].clone()
        errors = torch.zeros_like(part)
        for at in range(end - start):
            mine = places[start + at] // width
            if not act_order and (start + at) % width == 0:
                new = steps(part[:, at : at + width], Levels(levels.bits, None, levels.symmetric))
                scales[:, mine], zeros[:, mine] = new[0][:, 0], new[1][:, 0]
            scale, zero = scales[:, mine], zeros[:, mine]
            code = encode(part[:, at], scale, zero, levels)
            errors[:, at] = (part[:, at] - (code - zero) * scale) / own[at, at]
            part[:, at:] -= errors[:, at : at + 1] * own[at, at:]
            codes[:, places[start + at]] = code
        left[:, end:] -= errors @ factor[start:end, end:]
    return Rounded(codes.to(torch.uint8), scales, zeros.nan_to_num(0.0).to(torch.uint8))
