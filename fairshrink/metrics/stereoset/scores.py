"""How much a model likes each sentence of a StereoSet context, by kind of model and part of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError
from fairshrink.metrics._shared.outcomes import Skipped, score_or_skip
from fairshrink.metrics.stereoset import filling, following
from fairshrink.metrics.stereoset.contexts import LABELS, PARTS, Context, Part, fillers
from fairshrink.metrics.stereoset.kinds import Kind

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

Causal = Literal["start_token", "published"]
Method = Literal[
    "masked", "causal", "causal_published", "entailment", "pseudo_likelihood", "conditional", "context_ratio"
]
METHODS: Mapping[tuple[str, Part, Causal], Method] = {
    ("masked_lm", "intrasentence", "start_token"): "masked",
    ("masked_lm", "intrasentence", "published"): "masked",
    ("causal_lm", "intrasentence", "start_token"): "causal",
    ("causal_lm", "intrasentence", "published"): "causal_published",
    ("masked_lm", "intersentence", "start_token"): "pseudo_likelihood",
    ("masked_lm", "intersentence", "published"): "pseudo_likelihood",
    ("causal_lm", "intersentence", "start_token"): "conditional",
    ("causal_lm", "intersentence", "published"): "context_ratio",
    **{("classification", part, causal): "entailment" for part in PARTS for causal in get_args(Causal)},
}
"""How a checkpoint is scored: by its task head, the part of the benchmark, and the variant for causal models."""

# Below the logarithm of every positive number, so that a probability of 0 stays the smallest.
_LOG_ZERO = -746.0

Scores = NDArray[np.float64]


def method_of(cp: Checkpoint, part: Part, causal: Causal) -> Method:
    """How this checkpoint is scored; UserError for a task head that gives no such scores."""
    found = METHODS.get((cp.head, part, causal))
    if found is None:
        raise UserError(f"stereoset: needs a language model or a model of natural language inference, not {cp.head!r}")
    return found


def sentence_scores(cp: Checkpoint, contexts: Sequence[Context], part: Part, method: Method) -> list[Scores | Skipped]:
    """For each context the scores ``[3]`` of its sentences in the order of ``LABELS``, or why it cannot be scored."""
    kinds: dict[Method, Kind[Any]] = {
        "masked": Kind(filling.masked_requests, filling.masked_scores),
        "causal": Kind(filling.causal_requests, filling.causal_scores),
        "causal_published": Kind(filling.bare_requests, filling.bare_scores),
        "entailment": Kind(following.entailment_requests, following.entailment_scores),
        "pseudo_likelihood": Kind(following.pseudo_requests, following.pseudo_scores),
        "conditional": Kind(following.conditional_requests, following.conditional_scores),
        "context_ratio": Kind(following.ratio_requests, following.ratio_scores),
    }
    kind = kinds[method]
    faults = [_fault(context, part) for context in contexts]
    requests = kind.requests(cp, [context for context, fault in zip(contexts, faults, strict=True) if not fault])
    triples = iter([requests[at : at + len(LABELS)] for at in range(0, len(requests), len(LABELS))])
    prepared = [Skipped(fault) if fault else _complete(next(triples)) for fault in faults]

    def scored(chosen: list[list[Any]]) -> list[Scores]:
        values = kind.scores(cp, [request for triple in chosen for request in triple]) if chosen else []
        return list(np.asarray(values, dtype=np.float64).reshape(-1, len(LABELS)))

    return score_or_skip(prepared, scored)


def _fault(context: Context, part: Part) -> str:
    """Why a context cannot be scored, for all kinds of models alike; "" if it can."""
    if len(context.sentences) != len(LABELS):
        return "not one sentence of each kind"
    found = fillers(context) if part == "intrasentence" else ""
    return found if isinstance(found, str) else ""


def _complete(triple: list[Any]) -> list[Any] | Skipped:
    """The requests of a context, or the first reason why one of them cannot be made."""
    return next((each for each in triple if isinstance(each, Skipped)), triple)


def log_ratio(one: Scores, other: Scores) -> Scores:
    """log(one / other) of probabilities: 0 for equal ones, and with the right sign however close they are.

    The logarithms of two numbers that differ in the last digits may be equal.
    """
    both = (one > 0) & (other > 0)
    low = np.where(both, np.minimum(one, other), 1.0)
    difference = np.where(both, one - other, 0.0)
    near = both & (np.abs(difference) < 0.5 * low)
    fine = np.sign(difference) * np.log1p(np.where(near, np.abs(difference), 0.0) / low)
    return np.where(near, fine, _log(one) - _log(other))


def _log(probability: Scores) -> Scores:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(probability == 0, _LOG_ZERO, np.log(probability))
