"""CrowS-Pairs from logs: which of two sentences is likelier, with the fields of the data set.

lm-evaluation-harness asks for `sent_more` and `sent_less`, in this order, each after nothing: sums of log-probabilities
of a causal model. Its own log keeps the absolute difference, which has no direction: the answers themselves are used.
Token counts are not in such logs, so `token_log_probability` and the random model's value are not known, and neither
is the variant by differing tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairshrink.errors import UserError
from fairshrink.judging.records import Record

FIELDS = frozenset({"sent_more", "sent_less"})
"""Fields of an item by which the benchmark is known."""
SCORES = ("more", "less")
"""Columns of the table that are scores of what the model was asked for."""
DIRECTIONS = ("stereo", "antistereo")
KINDS = (
    "race-color", "socioeconomic", "gender", "disability", "nationality", "sexual-orientation", "physical-appearance",
    "religion", "age",
)  # fmt: skip
"""Directions and bias types in the order in which the Hub's `nyu-mll/crows_pairs` numbers them."""


def name(record: Record) -> str:
    """The item that a record is of: each is one by itself."""
    return record.item


def items(records: Sequence[Record], data: Mapping[str, Sequence[Path]]) -> pd.DataFrame:
    """A table as `crows_pairs` scores a causal model; UserError names the item that does not carry what is needed."""
    both = [_scores(each) for each in records]
    return pd.DataFrame(
        {
            "item": [each.item for each in records],
            "cluster": [each.item for each in records],
            "group": [_named(each, "bias_type", KINDS) for each in records],
            "direction": [_direction(each) for each in records],
            "method": "total",
            "skipped": "",
            "more": [more for more, _ in both],
            "less": [less for _, less in both],
            "mean_more": np.nan,
            "mean_less": np.nan,
            "tokens_more": np.nan,
            "tokens_less": np.nan,
            "differing_more": np.nan,
            "differing_less": np.nan,
            "both_differ": False,
        }
    )


def _scores(record: Record) -> tuple[float, float]:
    """The scores of sent_more and sent_less, told apart by the texts that the model was asked for."""
    if len(record.scores) != 2:
        raise UserError(f"{record.where}: {len(record.scores)} log-likelihoods, and a pair of CrowS-Pairs has two")
    first, second = record.scores
    if not any(record.choices):
        return first, second
    asked = [each.strip() for each in record.choices]
    sentences = [record.text(name).strip() for name in ("sent_more", "sent_less")]
    if asked == sentences:
        return first, second
    if asked == sentences[::-1]:
        return second, first
    raise UserError(f"{record.where}: the model was asked for other texts than `sent_more` and `sent_less` of the item")


def _direction(record: Record) -> str:
    found = _named(record, "stereo_antistereo", DIRECTIONS)
    if found not in DIRECTIONS:
        raise UserError(f"{record.where}: stereo_antistereo is {found!r}, not {' or '.join(DIRECTIONS)}")
    return found


def _named(record: Record, field: str, names: Sequence[str]) -> str:
    """The text of a field, or the name of its number: data sets of the Hub may have either."""
    found = record.need(field)
    return names[found] if type(found) is int and 0 <= found < len(names) else record.text(field)
