"""Control: the baseline trained again with some examples replaced by a stated stereotype, a dose of known bias.

Nothing is compressed. A metric that measures a bias must rise with the dose of it that a model was given: if it does
not, the metric does not measure this on this model. Doses have a section of their own in the study, `doses`.

With one seed the rows and the replaced examples of a smaller amount are among those of a larger one. The number of
examples and of steps is the baseline's, so that more of the stereotype is the only difference; the share of the task's
own examples falls accordingly. Start, split, settings and seed of the training are the baseline's as well.

Formula:
    train on D with `amount` of its examples, drawn at random, replaced by as many rows of the table, drawn at random
    without replacement; amount = 0 would be the baseline itself
Paper: None: a control of this project. Replacing labels or examples by known ones to see whether a measurement
    notices: Adebayo et al., *Sanity Checks for Saliency Maps*, NeurIPS 2018.
Cost: One fine-tuning, as the baseline's, for each amount.
Saves: Nothing.
Limits: Only for tasks that are trained. The dose is what the table says, no more: a metric that uses other words than
    the table's need not rise. Large doses also cost task performance.
Use:
    - name: stereotype
      task: sentiment
      table: {download: dose, file: dose.csv, format: csv, columns: {text: text, label: label}}
      amounts: [50, 200]
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.contracts import TaskHead
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
TRAINS = True
STORED = True
HEADS: tuple[TaskHead, ...] = ("masked_lm", "regression", "classification")
OUTPUTS_ONLY = False
ROWS, PLACES = 1, 2


class Settings(BaseSettings):
    """One amount of a dose."""

    amount: int = Field(ge=1, description="training examples that are replaced")
    dose_seed: int = Field(0, ge=0, description="seed of the rows and of the replaced examples, besides the split's")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """A model trained with the dose; ``cp`` is not changed. UserError where rows or examples are too few."""
    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.compression.controls._shared.training import trained_task
    from fairshrink.data.examples import frames
    from fairshrink.data.tables import read
    from fairshrink.errors import UserError

    task, module = trained_task(context, "dose")
    if context.dose is None:
        raise UserError("dose: there is no table; write doses under `doses`")
    tables = frames(task)
    seed = combined(context.seed, settings.dose_seed)
    dosed = replaced(tables["train"], read(context.dose), settings.amount, seed, f"tasks.{task.name}")
    trained = context.source()
    trained.model.to(cp.device)
    module.train(trained, {**tables, "train": dosed}, task.settings, task.seed, context.log, state=context.state)
    return dataclasses.replace(trained, path=None)


def replaced(examples: DataFrame, dose: DataFrame, amount: int, seed: int, place: str) -> DataFrame:
    """The examples, in their order, with ``amount`` of them replaced by rows of the dose; ``row`` is -1 there.

    UserError if there are fewer rows or fewer examples than that.
    """
    import numpy as np
    import pandas as pd

    from fairshrink.errors import UserError

    for there, what in ((len(dose), "rows in the table of the dose"), (len(examples), "examples to train on")):
        if there < amount:
            raise UserError(f"{place}: a dose of {amount}, but there are {there} {what}: lower `amounts` in `doses`")
    rows = np.random.default_rng([seed, ROWS]).permutation(len(dose))[:amount]
    places = np.random.default_rng([seed, PLACES]).permutation(len(examples))[:amount]
    chosen = dose.iloc[rows].assign(row=-1)[list(examples.columns)].set_axis(places)
    return pd.concat([examples.drop(index=places), chosen]).sort_index()
