"""Outputs of a checkpoint beside its baseline's on the same texts, by what sits on top of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.classes import log_probabilities
from fairshrink.models.inference.batching import causal_ids, each_masked
from fairshrink.models.inference.log_probs import compared_log_probs
from fairshrink.models.inference.outputs import sentence_embeddings, sequence_logits
from fairshrink.settings import Settings

Of = Callable[[Checkpoint], np.ndarray]


def compare(cp: Checkpoint, baseline: Checkpoint, frame: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """One row for each row of ``frame`` (``text``, and ``text_pair`` for pairs); ``settings`` are the task's.

    Columns by head. classification: ``kl``, ``delta_p``, ``same_top``. Language models: sums over the text's tokens
    ``kl``, ``squared_delta_p``, ``same_top``, their number ``tokens``, and ``token_kl``, a list. regression:
    ``prediction``, ``baseline_prediction``. Encoders: ``cosine``, ``baseline_cosine`` for pairs, else
    ``cosine_distance``.
    """
    texts = list(frame["text"])
    pairs = list(frame["text_pair"]) if "text_pair" in frame else None
    max_length: int | None = getattr(settings, "max_length", None)
    if cp.head in ("masked_lm", "causal_lm"):
        return _tokens(cp, baseline, texts, max_length)
    if cp.head == "encoder":
        return _embeddings(cp, baseline, texts, pairs, getattr(settings, "pooling", "mean_all"))
    now, before = _both(lambda each: sequence_logits(each, texts, pairs, max_length=max_length), cp, baseline)
    if cp.head == "regression":
        return pd.DataFrame({"prediction": now[:, 0], "baseline_prediction": before[:, 0]})
    return _classes(now, before)


def _classes(now: np.ndarray, before: np.ndarray) -> pd.DataFrame:
    log_q, log_p = log_probabilities(now), log_probabilities(before)
    rows, top = np.arange(len(log_p)), log_p.argmax(axis=1)
    return pd.DataFrame(
        {
            "kl": np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=1), 0.0),
            "delta_p": np.exp(log_q[rows, top]) - np.exp(log_p[rows, top]),
            "same_top": log_q.argmax(axis=1) == top,
        }
    )


def _tokens(cp: Checkpoint, baseline: Checkpoint, texts: Sequence[str], max_length: int | None) -> pd.DataFrame:
    sequences: list[list[int]]
    positions: list[list[int]]
    targets: list[list[int]]
    if cp.head == "masked_lm":
        sequences, places, tokens, owners = each_masked(cp, texts, max_length)
        positions, targets = [[place] for place in places], [[token] for token in tokens]
    else:
        every = [causal_ids(cp, text, max_length) for text in texts]
        owners = [row for row, ids in enumerate(every) for _ in ids[1:]]
        sequences = [ids for ids in every if len(ids) > 1]
        positions, targets = [list(range(len(ids) - 1)) for ids in sequences], [ids[1:] for ids in sequences]
    found = compared_log_probs(cp, baseline, sequences, positions, targets, _divergence).reshape(-1, 3)
    count = np.bincount(owners, minlength=len(texts)).astype(int)
    kl, squared, same = (np.bincount(owners, weights=each, minlength=len(texts)) for each in found.T)
    return pd.DataFrame(
        {
            "kl": kl,
            "squared_delta_p": squared,
            "same_top": same.astype(int),
            "tokens": count,
            "token_kl": np.split(found[:, 0], np.cumsum(count)[:-1]),
        }
    )


def _divergence(log_q: torch.Tensor, log_p: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """KL(baseline ‖ checkpoint), (Δp of the right token)², same top token: [rows, 3]."""
    kl = (log_p.exp() * (log_p - log_q)).sum(1).clamp(min=0.0)
    delta = log_q.gather(1, right[:, None]).exp() - log_p.gather(1, right[:, None]).exp()
    return torch.stack([kl, delta[:, 0].square(), (log_q.argmax(1) == log_p.argmax(1)).double()], 1)


def _embeddings(
    cp: Checkpoint, baseline: Checkpoint, texts: Sequence[str], pairs: Sequence[str] | None, pooling: str
) -> pd.DataFrame:
    first = _both(lambda each: _directions(each, texts, pooling), cp, baseline)
    if first[0].shape != first[1].shape:
        raise UserError("fidelity: sentence vectors of a checkpoint and its baseline differ in width")
    if pairs is None:
        # Half the squared distance of unit vectors is 1 - cosine, and exactly 0 for equal ones.
        return pd.DataFrame({"cosine_distance": 0.5 * ((first[0] - first[1]) ** 2).sum(axis=1)})
    second = _both(lambda each: _directions(each, pairs, pooling), cp, baseline)
    now, before = ((one * other).sum(axis=1) for one, other in zip(first, second, strict=True))
    return pd.DataFrame({"cosine": now, "baseline_cosine": before})


def _directions(cp: Checkpoint, texts: Sequence[str], pooling: str) -> np.ndarray:
    vectors = sentence_embeddings(cp, texts, pooling)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _both(of: Of, cp: Checkpoint, baseline: Checkpoint) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of both; of a model that is its own baseline only once."""
    now = of(cp)
    return now, now if baseline.model is cp.model else of(baseline)
