"""What a table with the performance cut-off says about those that it leaves out."""

from __future__ import annotations

import pandas as pd

from fairshrink.reporting.selection import CELL, KEPT


def note(rows: pd.DataFrame, kept: pd.Series) -> str:
    """How many checkpoints of ``rows`` the cut-off leaves out, and why; ``kept`` is `selection.performance`."""
    share = pd.Series([kept.get(place) for place in dict.fromkeys(rows[CELL].itertuples(index=False, name=None))])
    share = share.astype(float)
    lost, unknown = int((share < KEPT).sum()), int(share.isna().sum())
    text = f"Only checkpoints that keep at least {KEPT:.0%} of the task performance: {lost} left out that lost more"
    return f"{text}, {unknown} whose loss is unknown." if unknown else f"{text}."
