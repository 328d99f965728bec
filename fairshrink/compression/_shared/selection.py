"""The k smallest of many numbers, exactly k and reproducibly, without sorting or concatenating them.

A radix selection: one pass counts the upper halves of the keys, one the lower halves of those that share the k-th
smallest's upper half. Memory is that of one tensor at a time, time linear: 100 million weights take a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

BITS = 16
Keys = Callable[[], torch.Tensor]
"""Gives a tensor of non-negative int32, the same at each call until its mask has been taken."""
KeysOf = Callable[[Sequence[torch.Tensor]], list[Keys]]
"""Keys for each of some weight tensors."""


def magnitude(weight: torch.Tensor) -> torch.Tensor:
    """Keys in the order of the absolute values: the bit pattern of a non-negative float rises with it."""
    return weight.detach().float().abs().contiguous().view(torch.int32)


def magnitude_keys(weights: Sequence[torch.Tensor]) -> list[Keys]:
    """The smallest are those nearest to zero."""
    return [partial(magnitude, weight) for weight in weights]


def random_keys(seed: int) -> KeysOf:
    """The smallest are weights that are zero already, then any; the same ones on every device."""

    def keys_of(weights: Sequence[torch.Tensor]) -> list[Keys]:
        generator = torch.Generator().manual_seed(seed)
        options = {"dtype": torch.int32, "generator": generator}
        drawn = [torch.randint(1, 2**31 - 1, weight.shape, **options).to(weight.device) for weight in weights]
        pairs = zip(drawn, weights, strict=True)
        return [partial(_zeros_first, each, weight) for each, weight in pairs]

    return keys_of


def _zeros_first(keys: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return keys.masked_fill(weight == 0, 0)


def count(sparsity: float, size: int) -> int:
    """How many of ``size`` weights a sparsity removes."""
    return round(sparsity * size)


def smallest(keys: Sequence[Keys], number: int) -> Iterator[torch.Tensor]:
    """For each tensor of keys a bool mask, True at those among the ``number`` smallest of all tensors together.

    Ties are broken by tensor, then by position in it, the first ones being selected.
    """
    if number == 0:
        yield from (torch.zeros_like(each(), dtype=torch.bool) for each in keys)
        return
    threshold, below = _rank(keys, number)
    ties = number - below
    for each in keys:
        values = each()
        mask = values < threshold
        if ties:
            equal = (values == threshold).flatten().nonzero()[:ties, 0]
            mask.view(-1)[equal] = True
            ties -= len(equal)
        yield mask


def _rank(keys: Sequence[Keys], number: int) -> tuple[int, int]:
    """The ``number``-th smallest key, counted from 1, and how many are smaller than it."""
    upper = _total(torch.bincount(each().flatten() >> BITS, minlength=1 << (31 - BITS)) for each in keys)
    half, before = _locate(upper, number)
    lower = _total(torch.bincount(_lower(each().flatten(), half), minlength=1 << BITS) for each in keys)
    rest, more = _locate(lower, number - before)
    return (half << BITS) | rest, before + more


def _lower(values: torch.Tensor, half: int) -> torch.Tensor:
    return values[(values >> BITS) == half] & ((1 << BITS) - 1)


def _total(counts: Iterator[torch.Tensor]) -> torch.Tensor:
    return torch.stack([each.cpu() for each in counts]).sum(0)


def _locate(counts: torch.Tensor, number: int) -> tuple[int, int]:
    """The first class in which the cumulative count reaches ``number``, and the count before it."""
    cumulative = counts.cumsum(0)
    position = int(torch.searchsorted(cumulative, number))
    return position, int(cumulative[position] - counts[position])
