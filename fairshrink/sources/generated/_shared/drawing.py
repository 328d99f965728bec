"""Drawing rows that are all different."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from fairshrink.errors import UserError

T = TypeVar("T")
MAX_DRAWS = 200


def distinct(
    generator: str, size: int, seed: int, make: Callable[[np.random.Generator, int], tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """``size`` different rows in random order; ``make(rng, number)`` draws the one of that number.

    Equal arguments give equal rows on every machine. UserError where the rules do not give that many.
    """
    rng = np.random.default_rng(seed)
    rows: dict[tuple[str, ...], None] = {}
    for number in range(size):
        for _ in range(MAX_DRAWS):
            row = make(rng, number)
            if row not in rows:
                break
        else:
            raise UserError(f"generator {generator}: size: its rules give no {size} different rows; lower `size`")
        rows[row] = None
    made = list(rows)
    return [made[at] for at in rng.permutation(size)]


def one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices, each as likely."""
    return choices[int(rng.integers(len(choices)))]
