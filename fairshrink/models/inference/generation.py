"""Continuations by a causal language model: greedy, or drawn by seeds that belong to the prompt and not to the batch.

The model's own `generate` runs it, with prompts padded on the left and a cache of keys and values. Which token comes
next is decided here: each (prompt, draw) has uniform numbers of its own, made from the seed and the prompt's token ids,
and a number picks a token by the cumulative distribution. So a continuation depends neither on the other prompts of its
batch nor on their order, but for a number that falls within rounding error of the border between two tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint, max_tokens
from fairshrink.models.inference.batching import batches, token_budget
from fairshrink.models.inference.remembered import remembered
from fairshrink.models.inference.sequences import check_known

# Token ids of a continuation take up a cache of keys and values: so many tokens of prompts and answers are at once.
BATCH_TOKENS = 4


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: at most ``tokens`` of them, at ``temperature`` (0: the likeliest), from the smallest set
    whose probability is ``top_p``, ``draws`` times for each prompt, from ``seed``."""

    tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    draws: int = 1
    seed: int = 0


@remembered
def continuations(cp: Checkpoint, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[list[str]]:
    """For each prompt, token ids, the texts of its ``draws`` continuations without the prompt and special tokens.

    A continuation ends before the tokenizer's end-of-sequence token. UserError for a model that is no causal language
    model, for an empty prompt, and for one that leaves no room for the tokens asked for.
    """
    if cp.head != "causal_lm":
        raise UserError(f"only causal language models continue texts, and this one has the task head {cp.head!r}")
    if not prompts:
        return []
    _check(cp, prompts, sampling)
    rows = [(prompt, draw) for prompt in range(len(prompts)) for draw in range(_draws(sampling))]
    found: dict[tuple[int, int], str] = {}
    lengths = [len(prompts[prompt]) + sampling.tokens for prompt, _ in rows]
    with torch.inference_mode(), torch.autocast(cp.device.type, torch.bfloat16, enabled=cp.precision == "bf16"):
        for batch in batches(lengths, BATCH_TOKENS * token_budget(cp)):
            chosen = [rows[i] for i in batch]
            texts = _continued(cp, [prompts[prompt] for prompt, _ in chosen], [draw for _, draw in chosen], sampling)
            found.update(zip(chosen, texts, strict=True))
    draws = range(sampling.draws)
    return [[found[prompt, draw % _draws(sampling)] for draw in draws] for prompt in range(len(prompts))]


def _draws(sampling: Sampling) -> int:
    """Greedy continuations are all the same."""
    return 1 if sampling.temperature == 0 else sampling.draws


def _check(cp: Checkpoint, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
    longest = max(map(len, prompts))
    if not min(map(len, prompts)):
        raise UserError("an empty prompt: a model continues what has at least one token")
    if longest + sampling.tokens > max_tokens(cp):
        raise UserError(
            f"a prompt of {longest} tokens leaves no room for {sampling.tokens} more: the model has {max_tokens(cp)} "
            "positions; ask for fewer tokens"
        )
    check_known(cp.model, cp.tokenizer, prompts)


def _continued(cp: Checkpoint, prompts: Sequence[Sequence[int]], draws: Sequence[int], sampling: Sampling) -> list[str]:
    pad, end = cp.model.config.pad_token_id, cp.tokenizer.eos_token_id
    pad = pad if pad is not None else end if end is not None else 0
    longest = max(map(len, prompts))
    inputs = torch.tensor([[*[pad] * (longest - len(ids)), *ids] for ids in prompts], device=cp.device)
    real = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=cp.device)
    numbers = np.stack([_numbers(ids, draw, sampling) for ids, draw in zip(prompts, draws, strict=True)])
    config = GenerationConfig(
        max_new_tokens=sampling.tokens, do_sample=False, num_beams=1, pad_token_id=pad, eos_token_id=end, use_cache=True
    )
    model: Any = cp.model.eval()
    choose = LogitsProcessorList([_Choice(numbers, longest, sampling)])
    out = model.generate(input_ids=inputs, attention_mask=real, generation_config=config, logits_processor=choose)
    answers = out[:, longest:].tolist()
    return [cp.tokenizer.decode(_until(ids, end), skip_special_tokens=True) for ids in answers]


def _until(ids: Sequence[int], end: int | None) -> list[int]:
    return list(ids[: ids.index(end)] if end in ids else ids)


def _numbers(ids: Sequence[int], draw: int, sampling: Sampling) -> np.ndarray:
    """Uniform numbers ``[tokens]`` in [0, 1) of one prompt and draw."""
    digest = hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng([sampling.seed, draw, *words]).random(sampling.tokens)


class _Choice(LogitsProcessor):
    """Leaves one token possible in each row: the one that its number picks, or the likeliest."""

    def __init__(self, numbers: np.ndarray, start: int, sampling: Sampling) -> None:
        self.numbers, self.start, self.sampling = numbers, start, sampling

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores ``[rows, vocabulary]`` of the next token: 0 for the chosen one, minus infinity for others."""
        if self.sampling.temperature == 0:
            chosen = scores.argmax(dim=1)
        else:
            number = torch.tensor(self.numbers[:, input_ids.shape[1] - self.start], device=scores.device)
            chosen = picked(scores, number, self.sampling.temperature, self.sampling.top_p)
        only = torch.full_like(scores, float("-inf"))
        return only.scatter_(1, chosen[:, None], 0.0)


def picked(scores: torch.Tensor, numbers: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Tokens ``[rows]`` that uniform ``numbers`` ``[rows]`` pick by logits ``[rows, vocabulary]``, in float64.

    From the smallest set of likeliest tokens whose probability is at least ``top_p``, ordered by probability (equal
    ones by id), each with its share of the set's probability (nucleus sampling, Holtzman et al. 2020).
    """
    shares, tokens = (scores.double() / temperature).softmax(1).sort(dim=1, descending=True, stable=True)
    total = shares.cumsum(1)
    kept = torch.where(total - shares < top_p, shares, 0.0)
    bound = kept.cumsum(1)
    place = (bound <= numbers[:, None].double() * bound[:, -1:]).sum(1)
    return tokens.gather(1, place.clamp(max=tokens.shape[1] - 1)[:, None])[:, 0]
