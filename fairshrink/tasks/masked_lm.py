"""Masked language modeling on plain text, one sentence or paragraph a row.

Of the real tokens `mask_share` are chosen anew in each step; 80 % of these become the mask, 10 % a random token,
10 % stay.

Trains: The whole model, by the mean cross-entropy over the chosen tokens. The weights after the last step are kept.
Scores: Per text the sum of −log p(token | all others), each token masked in turn, and the number of tokens:
    `task_score` gives pseudo-perplexity.
Paper: Devlin et al., *BERT*, NAACL 2019; pseudo-log-likelihood: Salazar et al., *Masked Language Model Scoring*, ACL
    2020.
Limits: Scoring costs a forward pass for each token. Texts longer than `max_length` are truncated.
Use:
    mlm:
      kind: masked_lm
      train: {download: texts, file: texts.tsv, format: tsv, header: false, columns: {text: 2}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.contracts import Capability, TaskHead
from fairshrink.training.settings import TrainingSettings

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.training.fit import Loss

HEAD: TaskHead = "masked_lm"
TRAINED = True


class Settings(TrainingSettings):
    """Settings of masked language modeling."""

    mask_share: float = Field(0.15, gt=0, lt=1, description="share of the tokens to be predicted")


def provides(settings: Settings, columns: set[str], labels: Sequence[str] | None) -> frozenset[Capability]:
    """Everything that can be read from a masked language model; a score if there is text."""
    provided: frozenset[Capability] = frozenset({"embedding", "masked_lm"})
    return provided | {"scored"} if columns else provided


def loss(cp: Checkpoint, frame: DataFrame, settings: Settings) -> Loss:
    """Mean negative log-probability of the chosen tokens."""
    import torch

    from fairshrink.models.inference.batching import collate, encode
    from fairshrink.models.inference.forward import hidden_states, token_logits
    from fairshrink.training.fit import Loss
    from fairshrink.training.masking import choose_masked

    encoded = encode(cp, list(frame["text"]), max_length=settings.max_length)
    sequences, special = encoded["input_ids"], encoded["special_tokens_mask"]

    def mean(rows: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        inputs = collate(cp, [sequences[i] for i in rows])
        ids = inputs["input_ids"].cpu()
        real = torch.zeros(ids.shape, dtype=torch.bool)
        for at, i in enumerate(rows):
            real[at, : len(special[i])] = torch.tensor(special[i]) == 0
        chosen, masked = choose_masked(ids, real, settings.mask_share, cp, generator)
        hidden = hidden_states(cp.model, {**inputs, "input_ids": masked.to(cp.device)})
        if not chosen.any():  # texts without a token: nothing to learn, and a mean over nothing would be NaN
            return hidden.sum() * 0.0
        logits = token_logits(cp.model, hidden[chosen.to(cp.device)])
        return torch.nn.functional.cross_entropy(logits.float(), ids[chosen].to(cp.device))

    return Loss([len(ids) for ids in sequences], mean)


def train(
    cp: Checkpoint,
    frames: Mapping[str, DataFrame],
    settings: Settings,
    seed: int,
    log: Callable[[str], None],
    **steps: Any,
) -> None:
    """Train in place; ``steps``: masks, start_step, stop_step, on_step, state of ``training.fit``."""
    from fairshrink.training.fit import fit

    fit(cp, loss(cp, frames["train"], settings), settings, seed, log, **steps)


def score(cp: Checkpoint, frame: DataFrame, settings: Settings) -> DataFrame:
    """Per text ``nll``, the sum of -log p(token | all others), and ``tokens``, how many there are."""
    import numpy as np
    import pandas as pd

    from fairshrink.models.inference.batching import each_masked
    from fairshrink.models.inference.log_probs import masked_log_probs

    sequences, positions, targets, owners = each_masked(cp, list(frame["text"]), settings.max_length)
    nll = -masked_log_probs(cp, sequences, positions, targets)
    return pd.DataFrame(
        {
            "nll": np.bincount(owners, weights=nll, minlength=len(frame)),
            "tokens": np.bincount(owners, minlength=len(frame)),
            "vocabulary": cp.model.config.vocab_size,
        }
    )
