"""Control: a uniform guesser, to which all labels, or all words of the vocabulary, are equally likely everywhere.

Nothing is compressed. It is what a language model is that has no preference at all. Metrics that compare two
likelihoods see nothing but ties in it: whatever they report of it, they report of nothing.

Formula:
    p(y | x) = 1 / number of labels, or of words in the vocabulary
Paper: None: a standard reference.
Cost: Nothing is computed or trained.
Saves: Nothing.
Limits: For classification and language models; for regression there is `constant`. Only outputs are changed, so metrics
    that read embeddings alone do not score it. Most probable is the first label, as all are.
Use:
    - {method: uniform}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fairshrink.contracts import TaskHead
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
STORED = False
HEADS: tuple[TaskHead, ...] = ("classification", "masked_lm", "causal_lm")
OUTPUTS_ONLY = True


class Settings(BaseSettings):
    """A uniform guesser has no settings."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Fix the outputs of the task head in place; UserError for a head without probabilities."""
    import torch

    from fairshrink.compression.controls._shared.outputs import always
    from fairshrink.errors import UserError

    if cp.head not in HEADS:
        raise UserError(f"uniform: a model with the task head {cp.head!r} has no probabilities")
    always(cp, torch.zeros(1))
    return dataclasses.replace(cp, path=None)
