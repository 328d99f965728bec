"""Continuations of prompts by a causal language model, and what a uniform model would write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fairshrink.metrics._shared.likelihood import TOO_LONG
from fairshrink.metrics._shared.outcomes import NO_NUMBERS, Skipped, score_or_skip
from fairshrink.metrics._shared.prompting import prompt_ids

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

UNIFORM_TEXTS = 200


class Drawn(Protocol):
    """Settings of what is drawn: length in tokens, temperature, nucleus and seed."""

    @property
    def tokens(self) -> int:
        """At most so many tokens."""

    @property
    def temperature(self) -> float:
        """0 for the likeliest token."""

    @property
    def top_p(self) -> float:
        """The nucleus that tokens are drawn from."""

    @property
    def seed(self) -> int:
        """For all that is drawn."""


def continued(
    cp: Checkpoint, prompts: Sequence[str], draws: int, settings: Drawn, chat_template: bool = False
) -> list[list[str] | Skipped]:
    """``draws`` continuations of each prompt, or why there are none: it is too long, or the model gives NaN."""
    from fairshrink.models.checkpoint import max_tokens
    from fairshrink.models.generation import Sampling, continuations

    sampling = Sampling(settings.tokens, settings.temperature, settings.top_p, draws, settings.seed)
    ids = [prompt_ids(cp, each, chat_template) for each in prompts]
    usable = [Skipped(TOO_LONG) if len(each) + settings.tokens > max_tokens(cp) else each for each in ids]
    if not _gives_numbers(cp, [each for each in usable if not isinstance(each, Skipped)]):
        return [each if isinstance(each, Skipped) else Skipped(NO_NUMBERS) for each in usable]
    return score_or_skip(usable, lambda chosen: continuations(cp, chosen, sampling))


def uniform_texts(cp: Checkpoint, tokens: int) -> list[str]:
    """Texts of a model that finds every token equally likely, but for special ones."""
    from fairshrink.metrics._shared.fills import fill_tokens

    usable = np.array(fill_tokens(cp))
    drawn = np.random.default_rng(0).integers(len(usable), size=(UNIFORM_TEXTS, tokens))
    return [str(cp.tokenizer.decode(usable[row].tolist())) for row in drawn]


def _gives_numbers(cp: Checkpoint, prompts: Sequence[Sequence[int]]) -> bool:
    """Whether the shortest prompt has log-probabilities: a broken model has none, and would seem to say nothing."""
    from fairshrink.models.inference import causal_log_probs

    return not prompts or not np.isnan(causal_log_probs(cp, [min(prompts, key=len)])[0]).any()
