"""Choosing one of the study's labels for a text or a pair of texts, for example natural language inference.

The order of the labels is that of the study and is kept in the checkpoint; nothing assumes another. Pairs labeled
entailment, neutral and contradiction, in any order, give natural language inference, pairs of a question and an answer
labeled correct and incorrect give multiple choice. Where the file writes something else, `labels` maps it to names, for
example `{0: entailment, 1: neutral, 2: contradiction}` for GLUE: numbers are never taken as positions.
`drop_labels: ["-"]` leaves rows without a gold label out, and the log says how many.

Trains: A linear head on the pooled representation, and the encoder, with cross-entropy. The weights after the last step
    are kept: no choice is made on the development set.
Scores: Per row the label, the most probable label and the probability of the correct one: `task_score` gives accuracy.
Paper: Devlin et al., *BERT*, NAACL 2019.
Limits: Texts longer than `max_length` are truncated. Encoders only.
Use:
    nli:
      kind: classification
      train:
        download: pairs
        file: nli.parquet
        format: parquet
        columns: {text: premise, text_pair: hypothesis, label: label}
        labels: [entailment, neutral, contradiction]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairshrink.contracts import Capability, TaskHead
from fairshrink.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.training.fit import Loss

HEAD: TaskHead = "classification"
TRAINED = True
NLI = {"entailment", "neutral", "contradiction"}
MULTIPLE_CHOICE = {"correct", "incorrect"}


class Settings(TrainingSettings):
    """Settings of a classification task."""


def provides(settings: Settings, columns: set[str], labels: Sequence[str] | None) -> frozenset[Capability]:
    """Pairs labeled entailment, neutral and contradiction give inference, texts with a label "positive" sentiment.

    All single texts give the classification of sentences. Pairs labeled correct and incorrect give multiple choice.
    """
    found: set[Capability] = {"embedding", "scored"}
    names = {label.lower() for label in labels or ()}
    if "text_pair" in columns and set(labels or ()) == NLI:
        found.add("nli")
    if "text_pair" in columns and names == MULTIPLE_CHOICE:
        found.add("multiple_choice")
    if "text_pair" not in columns:
        found |= {"sentence_classification", "sentiment"} if "positive" in names else {"sentence_classification"}
    return frozenset(found)


def loss(cp: Checkpoint, frame: DataFrame, settings: Settings) -> Loss:
    """Cross-entropy of the examples in ``frame``, whose labels are names."""
    import torch

    from fairshrink.training.losses import sequence_loss

    labels = torch.tensor([cp.labels.index(name) for name in frame["label"]])
    return sequence_loss(cp, frame, settings, labels, torch.nn.functional.cross_entropy)


def train(
    cp: Checkpoint,
    frames: Mapping[str, DataFrame],
    settings: Settings,
    seed: int,
    log: Callable[[str], None],
    **steps: Any,
) -> None:
    """Fine-tune in place; ``steps``: masks, start_step, stop_step, on_step, state of ``training.fit``."""
    from fairshrink.training.fit import fit

    fit(cp, loss(cp, frames["train"], settings), settings, seed, log, **steps)


def score(cp: Checkpoint, frame: DataFrame, settings: Settings) -> DataFrame:
    """``label``, ``predicted`` (most probable), ``p_label`` (its probability), ``tied`` (as likely as another)."""
    import numpy as np
    import pandas as pd

    from fairshrink.models.classes import probabilities
    from fairshrink.models.inference.outputs import sequence_logits

    pairs = list(frame["text_pair"]) if "text_pair" in frame else None
    logits = sequence_logits(cp, list(frame["text"]), pairs, max_length=settings.max_length)
    shares = probabilities(logits)
    wanted = [cp.labels.index(name) for name in frame["label"]]
    return pd.DataFrame(
        {
            "label": list(frame["label"]),
            "predicted": [cp.labels[i] for i in logits.argmax(axis=1)],
            "p_label": shares[np.arange(len(wanted)), wanted],
            "n_labels": len(cp.labels),
            "tied": (logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1,
        }
    )
