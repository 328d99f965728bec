"""The factors of a layer's inputs with which rounding changes its outputs least."""

from __future__ import annotations

import torch

from fairshrink.compression._shared.moments import Moments
from fairshrink.models.stored_forms.packed import Levels, dequantize, quantize

SMALLEST = 1e-4
"""Mean magnitudes of inputs count as at least this, so that inputs that are always zero have a factor."""


def best_factors(weights: torch.Tensor, inputs: Moments, levels: Levels, steps: int) -> torch.Tensor | None:
    """Factors [in] in float32, or None where plain rounding is best; the smaller power of two that are equally good."""
    magnitudes = (inputs["absolutes"] / inputs.count).float().clamp(min=SMALLEST)
    products = inputs["products"].float()
    best, found = _error(weights, None, products, levels), None
    for step in range(1, steps + 1):
        powers = magnitudes ** (step / steps)
        factors = powers / (powers.max() * powers.min()).sqrt()
        error = _error(weights, factors, products, levels)
        if error < best:
            best, found = error, factors
    return found


def _error(weights: torch.Tensor, factors: torch.Tensor | None, products: torch.Tensor, levels: Levels) -> float:
    """The change of the outputs, squared and summed over all inputs."""
    scaled = weights if factors is None else weights * factors
    new = dequantize(quantize(scaled, levels), levels)
    change = (new if factors is None else new / factors) - weights
    return float(((change @ products) * change).sum(dtype=torch.float64))
