"""Linear layers with 8-bit weights and 8-bit activations whose one scale is known beforehand.

Description: {"modules": [names]}.
"""

from __future__ import annotations

from typing import Any

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.linear import LINEAR, sizes
from fairshrink.models.stored_forms.int8 import MAX_CODE, Int8Linear, int_product

ORDER = 50


class Int8StaticLinear(Int8Linear):
    """An 8-bit layer that rounds all its inputs by ``input_scale`` (float32, one number); larger ones are clipped."""

    overhead = ("scales", "input_scale")
    input_scale: torch.Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool) -> None:
        super().__init__(in_features, out_features, bias, "static")
        self.register_buffer("input_scale", torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, in] to […, out]; a token with NaN stays visibly broken."""
        rows = x.float().reshape(-1, self.in_features)
        codes = (rows / self.input_scale).round().clamp(-MAX_CODE, MAX_CODE).nan_to_num(0.0).to(torch.int8)
        product = int_product(codes, self.codes).float() * self.input_scale * self.scales
        product = product.masked_fill(~torch.isfinite(rows).all(1, keepdim=True), float("nan"))
        product = product.reshape(*x.shape[:-1], self.out_features)
        return product if self.bias is None else product + self.bias


def apply(model: torch.nn.Module, description: dict[str, Any]) -> None:
    """Replace the named linear layers by empty ones."""
    for name in description["modules"]:
        linear = model.get_submodule(name)
        size = sizes(linear) if isinstance(linear, LINEAR) else None
        if size is None:
            raise UserError(f"{name} is a {type(linear).__name__}, no dense linear layer: it cannot be made 8-bit")
        model.set_submodule(name, Int8StaticLinear(*size, linear.bias is not None).to(linear.weight.device))
