"""A second model that a metric needs: a published classifier of single texts, from a folder that the study names.

The folder is data of the metric, so the pinned revision of its download is in the keys of all scores that it gives. It
is read once for all checkpoints that a job scores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

Outputs = Literal["config", "softmax", "sigmoid"]


def label_probabilities(
    metric: str, folders: Sequence[Path], texts: Sequence[str], label: str, outputs: Outputs, device: str
) -> NDArray[np.float64]:
    """p(label) of each text ``[n]``; "config": by sigmoid where the classifier's labels are independent or it has one.

    UserError for a folder that is no classifier, and for a label that it does not have.
    """
    from fairshrink.models.classes import probabilities
    from fairshrink.models.inference.outputs import sequence_logits

    if len(folders) != 1:
        raise UserError(f"{metric}: data.classifier is one folder, not {len(folders)}")
    cp, independent = _opened(metric, folders[0], device)
    names = [each.casefold() for each in cp.labels]
    if names.count(label.casefold()) != 1:
        raise UserError(
            f"{metric}: the classifier's labels are {', '.join(cp.labels)}; write `label:` with one of them"
        )
    logits = sequence_logits(cp, texts)
    if outputs == "sigmoid" or (outputs == "config" and independent):
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-logits[:, names.index(label.casefold())])))
    return probabilities(logits)[:, names.index(label.casefold())] if len(logits) else np.zeros(0)


@lru_cache(maxsize=1)
def _opened(metric: str, folder: Path, device: str) -> tuple[Checkpoint, bool]:
    """The classifier, and whether its labels are independent of each other."""
    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.models.own_labels import INDEPENDENT, own_labels
    from fairshrink.models.pretrained import quiet, read_folder, read_tokenizer

    config = folder / "config.json"
    try:
        json.loads(config.read_text(encoding="utf-8") if config.is_file() else "{}")
    except ValueError as error:
        raise UserError(
            f"{metric}: data.classifier: {config} cannot be read as JSON: {error}; fetch it again"
        ) from error
    try:
        with quiet():
            found, tokenizer = read_folder(folder, "classification"), read_tokenizer(folder)
    except UserError:
        raise
    except Exception as error:  # transformers and tokenizers raise whatever comes
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{metric}: data.classifier: {folder} cannot be read as a classifier: {reason}") from error
    assert found.model is not None
    absent = sorted(found.model.state_dict().keys() - found.weights.keys())
    if absent:
        raise UserError(
            f"{metric}: data.classifier: {folder} has no weights for {', '.join(absent[:3])}; name a folder of a model "
            "that was trained as a classifier"
        )
    labels = tuple(own_labels(found.config))
    independent = found.config.problem_type == INDEPENDENT or len(labels) == 1
    return Checkpoint(found.model.to(device), tokenizer, "classification", labels), independent
