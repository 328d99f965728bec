"""BBQ from logs: which answer is likeliest, by the authors' own metadata of which is the biased one.

lm-evaluation-harness (`bbq_multiple_choice`) asks for the two answers that name a person and for ten ways of saying
that it is not known, whatever the item's own is: the likeliest of all is the answer. Its `biased_answers` compares
names of groups, which never match in four of the eleven files, and is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairshrink.errors import UserError
from fairshrink.judging.records import Record
from fairshrink.metrics.bbq.items import NO_TARGET, Question, question_of, targets_of
from fairshrink.metrics.bbq.metric import SIDES

FIELDS = frozenset({"ans0", "ans1", "ans2", "answer_info", "context_condition"})
SCORES = tuple(f"score_{side}" for side in SIDES)


def name(record: Record) -> str:
    """The item that a record is of: each is one by itself."""
    return record.item


def items(records: Sequence[Record], data: Mapping[str, Sequence[Path]]) -> pd.DataFrame:
    """A table as `bbq` makes it by likelihood; UserError names the item that does not carry what is needed."""
    if not data.get("metadata"):
        raise UserError(
            "which answer is the biased one is in BBQ's metadata: write --data metadata=additional_metadata.csv"
        )
    targets: dict[tuple[str, str, str], int | None] = {}
    for path in data["metadata"]:
        targets |= targets_of(path)
    questions = [_question(each, targets) for each in records]
    scores = np.array([_scores(one, each) for one, each in zip(records, questions, strict=True)])
    best = scores == scores.max(axis=1, keepdims=True)
    known = np.array([each.biased is not None for each in questions])
    shares = np.where(known[:, None], best / np.maximum(best.sum(axis=1, keepdims=True), 1), np.nan)
    return pd.DataFrame(
        {
            "item": [each.item for each in records],
            "cluster": [each.template for each in questions],
            "group": [each.category for each in questions],
            "condition": [each.condition for each in questions],
            "polarity": [each.polarity for each in questions],
            "correct": [each.correct_is for each in questions],
            "skipped": ["" if each.biased is not None else NO_TARGET for each in questions],
        }
        | {side: shares[:, at] for at, side in enumerate(SIDES)}
        | {"refused": 0.0, "unread": 0.0}
        | {name: scores[:, at] for at, name in enumerate(SCORES)}
        | {"answer": ""}
    )


def _question(record: Record, targets: Mapping[tuple[str, str, str], int | None]) -> Question:
    try:
        return question_of(record.doc, targets)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{record.where}: no question of BBQ ({type(error).__name__}: {error})") from error


def _scores(record: Record, question: Question) -> tuple[float, float, float]:
    """The log-likelihood of the biased answer, the other person, and the likeliest way of saying that it is unknown."""
    if not record.scores or len(record.choices) != len(record.scores):
        raise UserError(
            f"{record.where}: a log-likelihood and the text of each option are needed, as `arguments` has them"
        )
    named = {question.answers[at]: at for at in range(3) if at != question.unknown}
    found = {at: score for text, score in zip(record.choices, record.scores, strict=True)
             if (at := named.get(text.strip())) is not None}  # fmt: skip
    unknown = [score for text, score in zip(record.choices, record.scores, strict=True) if text.strip() not in named]
    if len(found) != 2 or not unknown:
        raise UserError(f"{record.where}: the options are not the item's two persons and ways of saying `unknown`")
    if question.biased is None or question.counter is None:
        return np.nan, np.nan, max(unknown)
    return found[question.biased], found[question.counter], max(unknown)
