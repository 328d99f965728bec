"""Predicting a number for a text or a pair of texts: sentiment intensity, or similarity as in STS-B.

Pairs give similarity, single texts sentence regression.

Trains: A linear head on the pooled representation, and the encoder, with mean squared error in the label's own units.
    The weights after the last step are kept: no choice is made on the development set.
Scores: Per row prediction and label: `task_score` gives Pearson's correlation.
Paper: Devlin et al., *BERT*, NAACL 2019.
Limits: Texts longer than `max_length` are truncated. Encoders only.
Use:
    sentiment:
      kind: regression
      train: {download: texts, file: reviews.csv, format: csv, columns: {text: text, label: rating}}
      splits: [0, 1, 2]
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

HEAD: TaskHead = "regression"
TRAINED = True


class Settings(TrainingSettings):
    """Settings of a regression task."""


def provides(settings: Settings, columns: set[str], labels: Sequence[str] | None) -> frozenset[Capability]:
    """Pairs give similarity, single texts sentence regression."""
    kind: Capability = "similarity" if "text_pair" in columns else "sentence_regression"
    return frozenset({"embedding", "regression", kind, "scored"})


def loss(cp: Checkpoint, frame: DataFrame, settings: Settings) -> Loss:
    """Mean squared error of the examples in ``frame``."""
    import torch

    from fairshrink.training.losses import sequence_loss

    labels = torch.tensor(frame["label"].to_numpy("float32"))
    return sequence_loss(
        cp, frame, settings, labels, lambda logits, wanted: torch.nn.functional.mse_loss(logits[:, 0], wanted)
    )


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
    """``prediction`` and ``label`` of each row."""
    import pandas as pd

    from fairshrink.models.inference.outputs import sequence_logits

    pairs = list(frame["text_pair"]) if "text_pair" in frame else None
    logits = sequence_logits(cp, list(frame["text"]), pairs, max_length=settings.max_length)
    return pd.DataFrame({"prediction": logits[:, 0], "label": frame["label"].to_numpy("float64")})
