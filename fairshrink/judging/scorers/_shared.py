"""What scorers of pairs have in common: the two columns, groups, the contrast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError
from fairshrink.metrics._shared.counts import every_row, scored_rows
from fairshrink.stats.signals import Contrast

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]


def pairs(items: pd.DataFrame) -> tuple[Values, Values]:
    """The two scores of each item, NaN where it was skipped; UserError for a table without them."""
    first, second = (column(items, name) for name in ("first", "second"))
    return first, second


def scored(items: pd.DataFrame) -> NDArray[np.bool_]:
    """Which items have scores: all but those with a reason in the column ``skipped``, where there is one."""
    return scored_rows(items) if "skipped" in items else every_row(items)


def column(items: pd.DataFrame, name: str) -> Values:
    """A column of numbers; UserError if it is not there, or something in it is no finite number.

    Items that were skipped need none, and have NaN.
    """
    if name not in items:
        raise UserError(f"no column '{name}'; there is {', '.join(items.columns)} (`--columns {name}=COLUMN` renames)")
    try:
        values = items[name].to_numpy(dtype=np.float64)
    except ValueError as error:
        raise UserError(f"the column '{name}' has to hold numbers: {error}") from error
    known = scored(items)
    values = np.where(known, values, np.nan)
    if not np.isfinite(values[known]).all():
        wrong = items["item"][known & ~np.isfinite(values)]
        raise UserError(f"the column '{name}' is no finite number for {len(wrong)} items, such as {wrong.iloc[0]!r}")
    return values


def groups(items: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All items, then each group by name; UserError for a group that is called all."""
    known = scored(items)
    yield "all", known
    for name in sorted(items["group"].unique()) if "group" in items else ():
        if name == "all":
            raise UserError("a group is called all, which is every item in tables; rename it")
        yield str(name), known & (items["group"] == name).to_numpy()


def contrast(items: pd.DataFrame, otherwise: Values) -> Contrast:
    """The column ``neutral``, whose level is not part of the signal; else ``otherwise``, whose level is."""
    if "neutral" in items:
        return Contrast("neutral", column(items, "neutral"), fits_intercept=True)
    return Contrast("scores", otherwise, fits_intercept=True, applies_intercept=True)
