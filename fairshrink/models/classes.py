"""A classifier's outputs: probabilities from logits, and labels by name, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis, in float64, of logits ``[..., labels]``."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float64)


def log_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-softmax over the last axis, in float64, of logits ``[..., labels]``."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def label_index(labels: Sequence[str], wanted: str, who: str) -> int:
    """Index of a label among a model's outputs, ignoring case; ``who`` names the metric in messages.

    Raises UserError if there is no such label, or if two labels differ only in case.
    """
    names = [label.lower() for label in labels]
    if names.count(wanted.lower()) != 1:
        raise UserError(
            f"{who}: the model's labels are {', '.join(labels) or 'none'}; exactly one has to be '{wanted}'. "
            "Name it so under `labels` of the task's table, or leave the metric to other tasks with `tasks:`."
        )
    return names.index(wanted.lower())


def matched(given: Sequence[str], labels: Sequence[str], names: Mapping[str, str]) -> list[int] | None:
    """For each of ``labels`` the number of the output that is called so; None unless each has exactly one.

    Case does not matter, nor spaces around. ``names`` are further names: what a table's file says, and the label that
    it means.
    """
    meant = {_plain(written): _plain(name) for written, name in names.items()}
    # What is a label by itself means that label, whatever a file uses the same word for.
    meant |= {_plain(label): _plain(label) for label in labels}
    outputs = [meant.get(_plain(each), "") for each in given]
    wanted = [_plain(label) for label in labels]
    return [outputs.index(each) for each in wanted] if sorted(outputs) == sorted(wanted) else None


def _plain(name: str) -> str:
    return name.strip().casefold()
