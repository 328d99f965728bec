"""Controls that are not stored: made of their baseline where they are scored, each once for all its metrics."""

from __future__ import annotations

import copy
import time
from dataclasses import asdict
from typing import Any

from fairshrink.contracts import Context
from fairshrink.log import log
from fairshrink.models import ledger
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.registry import CATALOG
from fairshrink.stages.opening import open_task
from fairshrink.study.jobs import ControlRecipe


def make(recipe: ControlRecipe, baseline: Checkpoint) -> tuple[Checkpoint, dict[str, Any]]:
    """The control, and what its scores record of it; ``baseline`` is left as it is.

    Nothing is measured: a control is not made to be small or fast.
    """
    began = time.perf_counter()
    method = CATALOG.compression[recipe.method]
    task = open_task(recipe.task) if recipe.task else None
    context = Context(seed=recipe.seed, task=task, source=_no_source, log=log)
    made = method.compress(copy.deepcopy(baseline), method.Settings(**recipe.settings), context)
    record = {
        "key": recipe.key,
        "name": recipe.name,
        "identity": asdict(recipe.identity),
        "ledger": ledger.ledger(made, baseline),
        "measurements": {},
        "made": {"wall_s": round(time.perf_counter() - began, 3)},
    }
    return made, record


def _no_source(seed: int | None = None) -> Checkpoint:
    raise RuntimeError("a control that asks for the pretrained model has to be stored: write `STORED = True`")
