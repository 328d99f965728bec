"""Going through the inputs of a layer in order, where what is done to one changes the weights of all later ones."""

from __future__ import annotations

from collections.abc import Callable

import torch

LEAF = 32
"""Inputs that are gone through one by one; more are halved, so that most of the work is products of matrices."""


def one_by_one(
    weights: torch.Tensor, factor: torch.Tensor, errors_of: Callable[[int], torch.Tensor], unit: int
) -> None:
    """For each input j in order: e = ``errors_of(j)`` [out], then w_k ← w_k − U_jk e for all k > j, in place.

    ``weights`` [in, out], ``factor`` U [in, in], upper triangular. When ``errors_of`` is asked for input j, w_j is up
    to date, and at the first of each ``unit`` of inputs, counted from 0, so are the weights of the whole unit.
    """
    errors = torch.empty_like(weights)

    def treat(start: int, end: int) -> None:
        if end - start <= LEAF:
            for at in range(start, end):
                errors[at] = errors_of(at)
                weights[at + 1 : end].addr_(factor[at, at + 1 : end], errors[at], alpha=-1)
            return
        units = -(-(end - start) // unit)
        middle = start + (units // 2 * unit if units > 1 else (end - start) // 2)
        treat(start, middle)
        weights[middle:end].addmm_(factor[start:middle, middle:end].t(), errors[start:middle], alpha=-1)
        treat(middle, end)

    treat(0, len(weights))
