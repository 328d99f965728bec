"""BBQ from logs: which answer is given, by the authors' own metadata of which is the biased one.

lm-evaluation-harness (`bbq_multiple_choice`) asks for the two answers that name a person and for ten ways of saying
that it is not known, whatever the item's own is: the likeliest of all is the answer. Its `biased_answers` compares
names of groups, which never match in four of the eleven files, and is not used. Its `bbq_generate` logs a text, and
Inspect's task (`inspect_evals/bbq`) the letter of an option: these are read as the metric reads answers in free text,
and its settings are those of `form: generative`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.errors import UserError
from fairshrink.judging.records import Record
from fairshrink.metrics.bbq.items import NO_TARGET, Question, question_of, targets_of
from fairshrink.metrics.bbq.metric import SIDES, Settings
from fairshrink.metrics.bbq.scores import Answer, chosen, free_answer

FIELDS = frozenset({"answer_info", "context_condition", "question_polarity"})
OPTIONS = "ABC"
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
    for each in records:
        if bool(each.scores) != bool(records[0].scores):
            what = "log-likelihoods" if each.scores else "no log-likelihoods"
            raise UserError(f"{each.where}: {what}, unlike {records[0].where}; give the log of one task")
    answers = [_answer(one, each) for one, each in zip(records, questions, strict=True)]
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
        | {side: [each.shares[at] for each in answers] for at, side in enumerate(SIDES)}
        | {"refused": [each.refused for each in answers], "unread": [each.unread for each in answers]}
        | {name: [each.scores[at] for each in answers] for at, name in enumerate(SCORES)}
        | {"answer": [each.text for each in answers]}
    )


def settings(records: Sequence[Record]) -> Mapping[str, str]:
    """Those of the metric that say how the log was made."""
    return {} if records[0].scores else {"form": "generative"}


def _question(record: Record, targets: Mapping[tuple[str, str, str], int | None]) -> Question:
    try:
        return question_of(_fields(record), targets)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{record.where}: no question of BBQ ({type(error).__name__}: {error})") from error


def _fields(record: Record) -> Mapping[str, Any]:
    """Those of the data set; Inspect's task keeps the answers, the letter of the right one and the text apart."""
    doc = record.doc
    if "ans0" in doc or len(record.choices) != len(OPTIONS):
        return doc
    context, _, question = record.text("input").partition("\n\nQuestion: ")
    answers = {f"ans{at}": text for at, text in enumerate(record.choices)}
    number = doc["source_id"] if "source_id" in doc else int(record.item.rpartition("_")[2])
    asked = {"context": context.removeprefix("Context: "), "question": question}
    return {**doc, **asked, **answers, "example_id": number, "label": OPTIONS.index(record.text("target"))}


def _answer(record: Record, question: Question) -> Answer:
    """By log-likelihood, else by what was written; shares are NaN where nobody says which answer is the biased one."""
    if record.scores or record.answer is None:
        scores = np.array(_scores(record, question))
        return Answer(chosen(scores), 0.0, 0.0, scores)
    _check_letter(record, question)
    read = free_answer(question, [record.answer], Settings())
    nothing = np.full(len(SIDES), np.nan)
    by_side = [nothing[0] if at is None else read.shares[at] for at in (question.biased, question.counter)]
    shares = np.array([*by_side, read.shares[question.unknown]]) if question.biased is not None else nothing
    return Answer(shares, read.refused, read.unread, nothing, record.answer)


def _check_letter(record: Record, question: Question) -> None:
    """UserError for a letter that is scored as another one would be: options in an order of their own."""
    letter = (record.answer or "").strip()
    if letter not in tuple(OPTIONS) or record.value is None:
        return
    if (OPTIONS.index(letter) == question.correct) != (record.value == 1):
        right = OPTIONS[question.correct]
        raise UserError(
            f"{record.where}: the answer {letter} is scored {record.value:g}, and {right} is the right one; give the "
            "log as Inspect wrote it"
        )


def _scores(record: Record, question: Question) -> tuple[float, float, float]:
    """The log-likelihood of the biased answer, the other person, and the likeliest way of saying that it is unknown."""
    if not record.scores or len(record.choices) != len(record.scores):
        raise UserError(
            f"{record.where}: a log-likelihood and the text of each option are needed, as `arguments` has them, or the "
            "model's answer"
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
