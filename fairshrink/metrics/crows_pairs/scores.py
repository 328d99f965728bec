"""CrowS-Pairs: how likely a model finds each side of a pair of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
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
from fairshrink.metrics._shared.sentence_pairs import Pair

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

Masked = Literal["shared_tokens", "differing_tokens", "each_differing_token"]
Causal = Literal["total", "per_token", "without_start"]
OF_DIFFERING = ("differing_tokens", "each_differing_token")
"""Variants that compare the tokens that differ; the others compare sums over tokens."""
PER_TOKEN = ("per_token", "without_start")
"""Variants in which a sum is divided by the number of its tokens."""

Values = NDArray[np.float64]


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
    from fairshrink.models.inference.log_probs import causal_log_probs

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
