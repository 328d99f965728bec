"""Whole numbers of 1 to 8 bits, packed to the bit.

Each row is packed by itself, so that single rows can be read: number i of a row has its bits, lowest first, at
positions i x bits of the row's bytes. A row is padded with zeros to whole bytes (1, 2, 4 and 8 bits) or to a multiple
of 8 numbers, which are ``bits`` bytes (3, 5, 6 and 7 bits).
"""

from __future__ import annotations

import torch

WORD = 8


def packed_width(columns: int, bits: int) -> int:
    """Bytes of a packed row."""
    numbers = _together(bits)
    return -(-columns // numbers) * numbers * bits // WORD


def pack(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """[rows, columns] of whole numbers below 2^bits as uint8 [rows, bytes]."""
    numbers = _together(bits)
    codes = torch.nn.functional.pad(codes.to(torch.int64), (0, -codes.shape[1] % numbers))
    shifts = bits * torch.arange(numbers, device=codes.device)
    words = (codes.unflatten(1, (-1, numbers)) << shifts).sum(2)
    places = WORD * torch.arange(numbers * bits // WORD, device=codes.device)
    return ((words[:, :, None] >> places) & 0xFF).to(torch.uint8).flatten(1)


def unpack(packed: torch.Tensor, bits: int, columns: int) -> torch.Tensor:
    """What `pack` packed: uint8 [rows, columns]."""
    if bits == WORD:
        return packed
    numbers = _together(bits)
    if WORD % bits:
        bytes_ = packed.unflatten(1, (-1, bits)).to(torch.int64)
        words = (bytes_ << (WORD * torch.arange(bits, device=packed.device))).sum(2)
        shifts = bits * torch.arange(numbers, device=packed.device)
    else:
        words = packed
        shifts = bits * torch.arange(numbers, device=packed.device, dtype=torch.uint8)
    codes = (words[:, :, None] >> shifts) & (2**bits - 1)
    return codes.to(torch.uint8).flatten(1)[:, :columns]


def _together(bits: int) -> int:
    """How many numbers fill whole bytes."""
    return WORD if WORD % bits else WORD // bits
