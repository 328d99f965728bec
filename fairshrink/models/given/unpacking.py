"""Whole numbers of few bits in words of 32 bits."""

from __future__ import annotations

import torch

WORD = 32


def unpacked(words: torch.Tensor, bits: int) -> torch.Tensor:
    """int32 [n, k] to int32 [n, k x 32 / bits]: the numbers in each word from its lowest bits on, unsigned."""
    shifts = torch.arange(0, WORD, bits, dtype=torch.int32)
    return ((words[:, :, None] >> shifts) & (2**bits - 1)).flatten(1)
