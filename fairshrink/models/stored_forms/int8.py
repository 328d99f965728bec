"""Linear layers with 8-bit weights, one scale per output channel, and 8-bit or floating-point activations.

Description: {"modules": [names], "activations": "dynamic" | "none"}.
"""

from __future__ import annotations

from typing import Any

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.linear import LINEAR, sizes

ORDER = 50
MAX_CODE = 127
# 1024 x 127 x 127 < 2^24: the sum of this many products of int8 is exact in float32, in any order.
EXACT_TERMS = 1024


class Int8Linear(torch.nn.Module):
    """A linear layer whose weights are ``codes`` [out, in] (int8) times ``scales`` [out] (float32).

    With dynamic activations each token x [in] is rounded too: its scale is max|x| / 127, and the products are summed
    exactly as integers, whichever kernel is used. The bias and everything outside the product stay in floating point.
    """

    overhead: tuple[str, ...] = ("scales",)
    codes: torch.Tensor
    scales: torch.Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool, activations: str) -> None:
        super().__init__()
        self.in_features, self.out_features, self.activations = in_features, out_features, activations
        self.register_buffer("codes", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("scales", torch.ones(out_features))
        self.bias = torch.nn.Parameter(torch.zeros(out_features)) if bias else None

    @property
    def weight(self) -> torch.Tensor:
        """The codes: transformers' T5 asks for the type of a layer's weights and leaves inputs of int8 layers alone."""
        return self.codes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, in] to […, out]."""
        if self.activations == "none":
            # Codes are exact in bfloat16 too, so autocast does no harm; scaling afterwards is cheaper.
            product = torch.nn.functional.linear(x, self.codes.to(x.dtype)) * self.scales
        else:
            codes, scale = quantize(x.float().reshape(-1, self.in_features))
            product = int_product(codes, self.codes).float() * scale[:, None] * self.scales
            product = product.reshape(*x.shape[:-1], self.out_features)
        return product if self.bias is None else product + self.bias

    def extra_repr(self) -> str:
        """Sizes, shown when a model is printed."""
        return f"in_features={self.in_features}, out_features={self.out_features}, activations={self.activations}"


def apply(model: torch.nn.Module, description: dict[str, Any]) -> None:
    """Replace the named linear layers by empty 8-bit layers."""
    for name in description["modules"]:
        linear = model.get_submodule(name)
        size = sizes(linear) if isinstance(linear, LINEAR) else None
        if size is None:
            raise UserError(f"{name} is a {type(linear).__name__}, no dense linear layer: it cannot be made 8-bit")
        model.set_submodule(name, Int8Linear(*size, linear.bias is not None, description["activations"]))


def quantize(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [n, k] (int8) and scales [n] with codes x scale ≈ values [n, k]; a row's largest magnitude becomes 127."""
    largest = values.abs().amax(dim=1)
    scales = torch.where(largest == 0, torch.ones_like(largest), largest / MAX_CODE)
    codes = (values / scales[:, None]).round().clamp(-MAX_CODE, MAX_CODE)
    # A broken model stays visibly broken: NaN is kept in the scale.
    return codes.nan_to_num(0.0).to(torch.int8), scales


def int_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left [n, k] @ right [m, k]^T of int8 matrices as int32 [n, m], exact."""
    if left.device.type == "cpu" and torch.cpu._is_vnni_supported():
        return torch._int_mm(left, right.t())
    with torch.autocast(left.device.type, enabled=False):
        parts = zip(left.split(EXACT_TERMS, 1), right.split(EXACT_TERMS, 1), strict=True)
        return sum((one.float() @ other.float().t()).to(torch.int32) for one, other in parts)
