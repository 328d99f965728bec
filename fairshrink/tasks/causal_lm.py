"""A causal language model, used without fine-tuning; its test score is the perplexity of plain text, one text a row.

Each text is scored on its own, after the beginning-of-sequence token, or the end-of-sequence token of a tokenizer that
has no other.

Trains: Nothing. A share of the examples is the test text where there is no test table, and compressions may use the
    rest: their loss is the mean −log p(next token).
Scores: Per text the sum of −log p(token | those before it) and the number of tokens: `task_score` gives perplexity.
Paper: Perplexity: Jelinek, Mercer, Bahl and Baker, *Perplexity—a measure of the difficulty of speech recognition
    tasks*, 1977.
Limits: Texts longer than `max_length` are truncated. Perplexities depend on the tokenizer.
Use:
    lm:
      kind: causal_lm
      train: {download: texts, file: texts.tsv, format: tsv, header: false, columns: {text: 2}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.contracts import Capability, TaskHead
from fairshrink.settings import Settings as _Settings

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.training.fit import Loss

HEAD: TaskHead = "causal_lm"
TRAINED = False


class Settings(_Settings):
    """Settings of causal language modeling."""

    max_length: int = Field(128, ge=8, description="tokens of a text; longer ones are truncated")
    test_share: float = Field(0.2, gt=0, lt=1, description="share held out for testing where there is no test table")


def provides(settings: Settings, columns: set[str], labels: Sequence[str] | None) -> frozenset[Capability]:
    """Everything that can be read from a causal language model; a score if there is text."""
    provided: frozenset[Capability] = frozenset({"embedding", "causal_lm"})
    return provided | {"scored"} if columns else provided


def loss(cp: Checkpoint, frame: DataFrame, settings: Settings) -> Loss:
    """Mean negative log-probability of the next token over all tokens of a batch."""
    import torch

    from fairshrink.models.inference.batching import causal_ids, collate
    from fairshrink.models.inference.forward import hidden_states, token_logits
    from fairshrink.training.fit import Loss

    sequences = [causal_ids(cp, text, max_length=settings.max_length) for text in frame["text"]]

    def mean(rows: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        inputs = collate(cp, [sequences[i] for i in rows])
        hidden = hidden_states(cp.model, inputs)[:, :-1]
        real = inputs["attention_mask"][:, 1:].bool()
        if not real.any():  # texts of one token: nothing to learn, and a mean over nothing would be NaN
            return hidden.sum() * 0.0
        logits = token_logits(cp.model, hidden[real])
        return torch.nn.functional.cross_entropy(logits.float(), inputs["input_ids"][:, 1:][real])

    return Loss([len(ids) for ids in sequences], mean)


def score(cp: Checkpoint, frame: DataFrame, settings: Settings) -> DataFrame:
    """Per text ``nll``, the sum of -log p(token | those before it), and ``tokens``, how many were predicted."""
    import pandas as pd

    from fairshrink.models.inference.batching import causal_ids
    from fairshrink.models.inference.log_probs import causal_log_probs

    sequences = [causal_ids(cp, text, max_length=settings.max_length) for text in frame["text"]]
    values = causal_log_probs(cp, sequences)
    return pd.DataFrame(
        {
            "nll": [-each.sum() for each in values],
            "tokens": [len(each) for each in values],
            "vocabulary": cp.model.config.vocab_size,
        }
    )
