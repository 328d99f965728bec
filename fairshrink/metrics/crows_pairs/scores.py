"""CrowS-Pairs: reading its pairs of sentences, and how likely a model finds each side of a pair."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError
from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Query,
    TokenizedText,
    after_start,
    log_probabilities,
    mask_id,
    real_tokens,
    tie_exact_mean,
    tokenize,
    too_long,
    without_start,
)
from fairshrink.metrics._shared.outcomes import Skipped, score_or_skip

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

Masked = Literal["shared_tokens", "differing_tokens", "each_differing_token"]
Causal = Literal["total", "per_token", "without_start"]
OF_DIFFERING = ("differing_tokens", "each_differing_token")
"""Variants that compare the tokens that differ; the others compare sums over tokens."""
PER_TOKEN = ("per_token", "without_start")
"""Variants in which a sum is divided by the number of its tokens."""
DIRECTIONS = ("stereo", "antistereo")
TAKEN = ("all", *DIRECTIONS)
COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in whom they are about; ``more`` is the more stereotyping one."""

    item: str
    more: str
    less: str
    direction: str
    bias_type: str


@dataclass(frozen=True)
class Side:
    """A model's scores of one sentence of a pair.

    ``total`` is the sum of log-probabilities of ``tokens`` tokens, ``mean`` their mean (exact where all are equal),
    ``differing`` the mean over the tokens that the other sentence does not have, NaN unless ``differs``.
    """

    total: float
    mean: float
    tokens: int
    differing: float
    differs: bool


def read(files: Iterable[Path]) -> list[Pair]:
    """Pairs of CSV files, named by their row numbers; UserError for files that are not CrowS-Pairs."""
    pairs: list[Pair] = []
    for path in files:
        try:
            with Path(path).open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"crows_pairs: {path} cannot be read as CSV: {error}") from error
        absent = [name for name in COLUMNS if not rows or rows[0].get(name) is None]
        if absent:
            raise UserError(
                f"crows_pairs: {path} has no column {', '.join(absent)}; `items` of `data` names "
                "crows_pairs_anonymized.csv"
            )
        _check(path, rows)
        pairs += [Pair(f"{len(pairs) + at:05d}", *(row[name] for name in COLUMNS)) for at, row in enumerate(rows)]
    return pairs


def _check(path: Path, rows: Sequence[Mapping[str | None, object]]) -> None:
    """Each row has all fields; groups are told apart from each other and from all pairs together."""
    faults = {
        "fields missing or too many": lambda row: None in row or None in row.values(),
        "an empty sentence": lambda row: not all(str(row[name]).strip() for name in COLUMNS[:2]),
        f"stereo_antistereo is not {' or '.join(DIRECTIONS)}": lambda row: row["stereo_antistereo"] not in DIRECTIONS,
        f"a bias type called {', '.join(TAKEN)}, which is another group in tables": lambda row: (
            row["bias_type"] in TAKEN
        ),
    }
    for reason, is_wrong in faults.items():
        wrong = [number for number, row in enumerate(rows, 1) if is_wrong(row)]
        if wrong:
            listed = ", ".join(map(str, wrong[:20])) + (f" and {len(wrong) - 20} more" if len(wrong) > 20 else "")
            raise UserError(f"crows_pairs: {path}, row{'s' if len(wrong) > 1 else ''} {listed}: {reason}; fix the file")


@dataclass(frozen=True)
class Aligned:
    """A tokenized sentence and the positions of its real tokens that the other sentence has, or does not have."""

    tokens: TokenizedText
    shared: list[int]
    differing: list[int]


def method_of(cp: Checkpoint, masked: Masked, causal: Causal) -> Masked | Causal:
    """The variant for this checkpoint; UserError for a task head without one."""
    if cp.head not in ("masked_lm", "causal_lm"):
        raise UserError(f"crows_pairs: needs a language model, not a model with the task head {cp.head!r}")
    return masked if cp.head == "masked_lm" else causal


def pair_scores(cp: Checkpoint, pairs: Sequence[Pair], method: Masked | Causal) -> list[tuple[Side, Side] | Skipped]:
    """For each pair the scores of its two sentences (more, less stereotyping), or why it cannot be scored."""
    tokens = tokenize(cp, [text for pair in pairs for text in (pair.more, pair.less)])
    aligned = [align(*both) for both in zip(tokens[::2], tokens[1::2], strict=True)]
    score = _masked if cp.head == "masked_lm" else _causal

    def sides(both: list[tuple[Aligned, Aligned]]) -> list[tuple[Side, Side]]:
        found = score(cp, [side for pair in both for side in pair], method)
        return list(zip(found[::2], found[1::2], strict=True))

    return score_or_skip([_checked(cp, both) for both in aligned], sides)


def align(more: TokenizedText, less: TokenizedText) -> tuple[Aligned, Aligned]:
    """The tokens, without special ones, that two sentences share in the same order (difflib over ids)."""
    both = (more, less)
    real = [[i for i, special in enumerate(each.special) if not special] for each in both]
    first, second = ([each.ids[i] for i in positions] for each, positions in zip(both, real, strict=True))
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    sides = []
    for each, positions, side in zip(both, real, (0, 1), strict=True):
        shared = [positions[block[side] + k] for block in blocks for k in range(block.size)]
        sides.append(Aligned(each, shared, sorted(set(positions) - set(shared))))
    return sides[0], sides[1]


def _checked(cp: Checkpoint, both: tuple[Aligned, Aligned]) -> tuple[Aligned, Aligned] | Skipped:
    more = 1 if cp.head == "causal_lm" else 0
    if any(too_long(cp, side.tokens, more) for side in both):
        return Skipped(TOO_LONG)
    return both if both[0].shared else Skipped("the sentences share no token")


def _masked(cp: Checkpoint, sides: list[Aligned], method: str) -> list[Side]:
    """Shared tokens are masked one at a time.

    Differing ones are masked all at once, as the pieces of a name predict each other, unless it is each by itself.
    """
    mask, groups = mask_id(cp), []
    alone = method == "each_differing_token"
    for side in sides:
        groups.append([_query(side.tokens.ids, [i], i, mask) for i in side.shared])
        groups.append([_query(side.tokens.ids, [i] if alone else side.differing, i, mask) for i in side.differing])
    found = log_probabilities(cp, groups)
    return [
        Side(float(a.sum()), _mean(a), len(a), _mean(b), len(b) > 0)
        for a, b in zip(found[::2], found[1::2], strict=True)
    ]


def _query(ids: list[int], hidden: list[int], position: int, mask: int) -> Query:
    sequence = list(ids)
    for i in hidden:
        sequence[i] = mask
    return Query(sequence, position, ids[position])


def _causal(cp: Checkpoint, sides: list[Aligned], method: str) -> list[Side]:
    from fairshrink.models.inference import causal_log_probs

    if method == "without_start":
        found = without_start(cp, [real_tokens(side.tokens) for side in sides])
    else:
        found = causal_log_probs(cp, [after_start(cp, side.tokens) for side in sides])
    result = []
    for side, values in zip(sides, found, strict=True):
        index_of = {i: at for at, i in enumerate(sorted(side.shared + side.differing))}
        differing = values[[index_of[i] for i in side.differing]]
        result.append(Side(float(values.sum()), _mean(values), len(values), _mean(differing), len(differing) > 0))
    return result


def _mean(values: Values) -> float:
    return tie_exact_mean(values) if len(values) else float("nan")
