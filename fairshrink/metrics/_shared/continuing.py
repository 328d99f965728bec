"""Continuations of prompts by a causal language model, and what a uniform model would write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fairshrink.metrics._shared.likelihood import TOO_LONG
from fairshrink.metrics._shared.outcomes import NO_NUMBERS, Skipped, score_or_skip
from fairshrink.metrics._shared.prompting import prompt_ids
from fairshrink.settings import Settings

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

UNIFORM_TEXTS = 200


class DrawnSettings(Settings):
    """How texts are drawn from a causal language model."""

    tokens: int = Field(20, ge=1, description="length of a continuation in tokens")
    temperature: float = Field(1.0, ge=0, description="temperature of what is drawn; 0 for the likeliest continuation")
    top_p: float = Field(0.9, gt=0, le=1, description="nucleus: the smallest set of this probability is drawn from")
    seed: int = Field(0, ge=0, description="seed of the sample and of what is drawn")


def continued(
    cp: Checkpoint, prompts: Sequence[str], draws: int, settings: DrawnSettings, chat_template: bool = False
) -> list[list[str] | Skipped]:
    """``draws`` continuations of each prompt, or why there are none: it is too long, or the model gives NaN."""
    from fairshrink.models.checkpoint import max_tokens
    from fairshrink.models.inference.generation import Sampling, continuations

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
    from fairshrink.models.inference.log_probs import causal_log_probs

    return not prompts or not np.isnan(causal_log_probs(cp, [min(prompts, key=len)])[0]).any()
