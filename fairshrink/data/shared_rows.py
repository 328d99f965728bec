"""Rows of the parts of a task that are there in training too: counted, and a test of nothing else is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fairshrink.data.faults import Fault, TableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

TEXTS = ("text", "text_pair")


def shared_rows(parts: Mapping[str, DataFrame], task: str) -> dict[str, list[int]]:
    """By part that is tested on: how many of its rows have the texts of a row that is trained on, and how many it has.

    ``parts`` are those of `examples.frames`; parts that share no row are left out. TableError for a table of its own
    that has no other rows.
    """
    import numpy as np

    trained = _hashes(parts["train"])
    found = {}
    for name, part in parts.items():
        if name == "train" or not len(part):
            continue
        both = int(np.isin(_hashes(part), trained).sum())
        if both == len(part) and name.startswith("test_"):
            key = f"tasks.{task}.test.{name.removeprefix('test_')}"
            reason = f"{key}: the texts of all its {both} rows are those of rows that are trained on"
            remedy = "name another table, or leave `test` out, so that a share of `train` is held out"
            raise TableError(Fault(key, reason, remedy))
        if both:
            found[name] = [both, len(part)]
    return found


def described(shared: Mapping[str, list[int]], task: str) -> str:
    """One line about what `shared_rows` found."""
    said = ", ".join(f"{both} of {rows} rows of {name.replace('_', ' ', 1)}" for name, (both, rows) in shared.items())
    return f"task {task}: {said} have the texts of rows that are trained on"


def _hashes(part: DataFrame) -> NDArray[np.uint64]:
    """Of the texts of each row; labels do not count, since the same text with another label is known as well."""
    import numpy as np
    import pandas as pd

    texts = part[[name for name in TEXTS if name in part]]
    return pd.util.hash_pandas_object(texts, index=False).to_numpy(dtype=np.uint64)
