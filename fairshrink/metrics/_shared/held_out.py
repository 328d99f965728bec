"""Test items of a checkpoint's own task: which are scored, and what they and their groups are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairshrink.settings import Settings

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.data.examples import Task

LANGUAGE_MODELS = ("masked_lm", "causal_lm")


class HeldOutSettings(Settings):
    """How many test items are scored."""

    sample: int | None = Field(
        None, ge=1, description="items scored of each test table, drawn at random; all if not given"
    )
    texts: int = Field(200, ge=1, description="the same for language models")
    seed: int = Field(0, ge=0, description="seed of the sample")


def has_test_items(task: Task | None) -> bool:
    """Whether there are any to score: a test table, or examples of which a share is held out."""
    return task is not None and (task.train is not None or bool(task.tests))


def held_out(task: Task, settings: HeldOutSettings) -> list[tuple[DataFrame, DataFrame]]:
    """For each test table two tables with equal rows: what its items are called, and the examples themselves.

    The first has ``item``, ``cluster``, ``group`` (the test table) and ``kind`` (of the task). Metrics that are given
    the same settings score the same items. UserError where the task has no test items.
    """
    import pandas as pd

    from fairshrink.data.examples import frames
    from fairshrink.errors import UserError

    size = settings.texts if task.kind in LANGUAGE_MODELS else settings.sample
    parts = []
    for name, frame in sorted(frames(task).items()):
        if name == "test" or name.startswith("test_"):
            rows = np.sort(np.random.default_rng(settings.seed).permutation(len(frame))[:size])
            chosen = frame.iloc[rows].reset_index(drop=True)
            test = name.removeprefix("test_")
            items = [f"{test}/{row:07d}" for row in chosen["row"]]
            where = pd.DataFrame({"item": items, "cluster": items, "group": test, "kind": task.kind})
            parts.append((where, chosen))
    if not parts:
        raise UserError(f"tasks.{task.name}: no `train` or `test` table, so there is nothing to score")
    return parts


def masks(items: DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Which rows are in which group: "all", and each test table by name where there are several."""
    tables = sorted(set(items["group"]))
    groups = {"all": np.ones(len(items), dtype=bool)}
    if len(tables) > 1:
        groups |= {name: (items["group"] == name).to_numpy() for name in tables}
    return groups
