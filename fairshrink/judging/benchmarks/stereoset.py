"""StereoSet's own predictions, scored against its gold file.

The format of the benchmark: ``{"intrasentence": [{"id": …, "score": …}, …], "intersentence": […]}``, one score for each
sentence of the gold file, of which a larger one means a likelier sentence. Its evaluation compares scores with each
other only; so do the statistics here, and the published values are reproduced. For verdicts differences of scores
matter too: where all are above 0 they are taken for probabilities, and their logarithms are compared; else they are
taken for logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.errors import UserError, brief
from fairshrink.judging.records import json_file, name_of, number
from fairshrink.metrics.stereoset.contexts import PARTS, Part, read
from fairshrink.metrics.stereoset.metric import SCORES

Predictions = Mapping[str, float]


def fits(content: object) -> bool:
    """Whether the content of a JSON file is such predictions."""
    return isinstance(content, dict) and bool(content) and content.keys() <= set(PARTS)


def tables(path: Path, gold: Sequence[Path], part: Part | None) -> dict[Part, pd.DataFrame]:
    """The table of items of each part that has predictions. UserError for ids that are missing, unknown or twice."""
    if not gold:
        raise UserError(
            f"{path}: predictions of StereoSet are scored against its gold file: write --data items=dev.json"
        )
    content = json_file(path)
    for name, listed in content.items():
        if not isinstance(listed, list):
            raise UserError(f"{path}: {name} is {brief(listed)}; it has to be a list of predictions")
    wanted = [each for each in PARTS if content.get(each) and part in (None, each)]
    if not wanted:
        raise UserError(f"{path}: there are no predictions of {part or 'any part'}")
    return {each: _table(path, _scores(path, each, content[each]), gold, each) for each in wanted}


def _scores(path: Path, part: Part, listed: Sequence[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for at, each in enumerate(listed, 1):
        where = f"{path}, {part}, prediction {at}"
        if not isinstance(each, dict) or not {"id", "score"} <= each.keys():
            raise UserError(f"{where}: it has to be an object with `id` and `score`")
        name = name_of(each["id"], "id", where)
        if name in found:
            raise UserError(f"{where}: id {name!r} occurs twice")
        found[name] = number(each["score"], "score", where)
    return found


def _table(path: Path, scores: Predictions, gold: Sequence[Path], part: Part) -> pd.DataFrame:
    contexts = read(gold, part)
    known = {each for context in contexts for each in context.ids}
    absent, odd = sorted(known - scores.keys()), sorted(scores.keys() - known)
    for what, ids in (("have no prediction", absent), ("are of no sentence of the gold file", odd)):
        if ids:
            raise UserError(
                f"{path}, {part}: {len(ids)} of {len(known)} ids {what}, such as {ids[0]!r}; give the gold file that "
                "the model was run on, whole"
            )
    values = np.array([[scores[each] for each in context.ids] or [np.nan] * len(SCORES) for context in contexts])
    probable = all(each > 0 for each in scores.values())
    return pd.DataFrame(
        {
            "item": [context.item for context in contexts],
            "cluster": [context.target for context in contexts],
            "group": [context.bias_type for context in contexts],
            "method": "masked" if probable else "causal",
            "skipped": ["" if context.ids else "not one sentence of each kind" for context in contexts],
        }
        | {name: values[:, column] for column, name in enumerate(SCORES)}
    )
