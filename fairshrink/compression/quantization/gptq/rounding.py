"""Rounding a matrix column by column, with the optimal brain surgeon's update of the columns that are left."""

from __future__ import annotations

from typing import NamedTuple

import torch

from fairshrink.compression._shared.columns import one_by_one
from fairshrink.compression._shared.inverse import upper_factor
from fairshrink.models.stored_forms.packed import Levels, Rounded, encode, steps


class Order(NamedTuple):
    """The inputs of a layer in the order in which they are rounded, if not their own, and `upper_factor` of them."""

    inputs: torch.Tensor | None
    factor: torch.Tensor


def order_of(products: torch.Tensor, damping: float, act_order: bool) -> Order:
    """The order for inputs x with the sum ``products`` [in, in] of x xᵀ; ``act_order``: the largest first."""
    if not act_order:
        return Order(None, upper_factor(products, damping))
    inputs = products.diagonal().sort(descending=True, stable=True).indices
    return Order(inputs, upper_factor(products[inputs][:, inputs], damping))


def rounded(weights: torch.Tensor, order: Order, levels: Levels) -> Rounded:
    """Codes of the weights [out, in]. Scales of a group are those of its weights when its first input's turn comes.

    In another than their own order they are those of the weights as they were.
    """
    left = weights.detach().float().t().clone(memory_format=torch.contiguous_format)
    columns = len(left)
    width = columns if levels.group is None else levels.group
    scales, zeros = (each.t().contiguous() for each in steps(left.t(), levels))
    places = list(range(columns))
    if order.inputs is not None:
        left, places = left[order.inputs], order.inputs.tolist()
    codes = torch.zeros(left.shape, dtype=torch.uint8, device=left.device)
    diagonal = order.factor.diagonal()

    def errors_of(at: int) -> torch.Tensor:
        mine = places[at] // width
        if order.inputs is None and at % width == 0:
            own = steps(left[at : at + width].t(), Levels(levels.bits, None, levels.symmetric))
            scales[mine], zeros[mine] = own[0][:, 0], own[1][:, 0]
        code = encode(left[at], scales[mine], zeros[mine], levels)
        codes[places[at]] = code
        return (left[at] - (code - zeros[mine]) * scales[mine]) / diagonal[at]

    one_by_one(left, order.factor, errors_of, width if order.inputs is None else 1)
    zeros = zeros.nan_to_num(0.0).to(torch.uint8)
    return Rounded(*(each.t().contiguous() for each in (codes, scales, zeros)))
