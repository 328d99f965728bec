"""The factors of a layer's inputs with which rounding changes its outputs least."""

from __future__ import annotations

import math

import torch

from fairshrink.compression._shared.moments import Moments
from fairshrink.models.stored_forms.packed import Levels, dequantize, quantize

SMALLEST = 1e-4
"""Mean magnitudes of inputs count as at least this, so that inputs that are always zero have a factor."""
ROWS, COLUMNS = 192, 192
"""Outputs whose error is computed together, and inputs; what is rounded meanwhile stays in the processor's cache."""


def best_factors(weights: torch.Tensor, inputs: Moments, levels: Levels, steps: int) -> torch.Tensor | None:
    """Factors [in] in float32, or None where plain rounding is best; the smaller power of two that are equally good."""
    magnitudes = (inputs["absolutes"] / inputs.count).float().clamp(min=SMALLEST)
    products = inputs["products"].float()
    best, found = _error(weights, None, products, levels, math.inf), None
    for step in range(1, steps + 1):
        powers = magnitudes ** (step / steps)
        factors = powers / (powers.max() * powers.min()).sqrt()
        error = _error(weights, factors, products, levels, best)
        if error < best:
            best, found = error, factors
    return found


def _error(
    weights: torch.Tensor, factors: torch.Tensor | None, products: torch.Tensor, levels: Levels, limit: float
) -> float:
    """The change of the outputs, squared and summed over all inputs; of some outputs alone if these reach the limit."""
    total = 0.0
    for part in weights.split(ROWS):
        scaled = part if factors is None else part * factors
        new = dequantize(quantize(scaled, levels), levels)
        change = (new if factors is None else new / factors).sub_(part)
        total += float(_squared(change, products))
        if total >= limit:
            break
    return total


def _squared(change: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
    """Σ over rows d of ``change`` of dᵀ P d, in float64; P is symmetric, so half of it is enough."""
    total = torch.zeros((), dtype=torch.float64, device=change.device)
    for start in range(0, change.shape[1], COLUMNS):
        end = start + COLUMNS
        own, later = change[:, start:end], change[:, end:]
        total += ((own @ products[start:end, start:end]) * own).sum(dtype=torch.float64)
        if later.shape[1]:
            total += 2 * ((later @ products[end:, start:end]) * own).sum(dtype=torch.float64)
    return total
