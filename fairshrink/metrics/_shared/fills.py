"""Which words a language model puts into the blank of a text: the likeliest single tokens, with their probabilities.

A masked LM fills a mask in the place of the blank. A causal LM continues what is before the blank, after its start
token, and does not see what follows. Special tokens are never fills; of equally likely ones the first by id is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairshrink.errors import UserError
from fairshrink.metrics._shared.likelihood import TOO_LONG, mask_id
from fairshrink.metrics._shared.outcomes import NO_NUMBERS, Skipped, score_or_skip

if TYPE_CHECKING:
    import torch

    from fairshrink.models.checkpoint import Checkpoint

BLANK = "[BLANK]"
NOTHING_BEFORE = "nothing before the blank"
NO_BLANK = "not one blank"


@dataclass(frozen=True)
class Fills:
    """The likeliest tokens of a blank, as text without spaces around, and their log-probabilities, best first.

    ``tied``: the last of them is as likely as the best one that is not among them.
    """

    words: tuple[str, ...]
    log_p: tuple[float, ...]
    tied: bool


def blank_fills(cp: Checkpoint, texts: Sequence[str], count: int) -> list[Fills | Skipped]:
    """For each text with one `BLANK` its ``count`` likeliest fills, or why there are none.

    UserError for a model that is no language model.
    """
    if cp.head not in ("masked_lm", "causal_lm"):
        raise UserError(f"only language models fill blanks, and this model has the task head {cp.head!r}")
    found = score_or_skip([_question(cp, text) for text in texts], lambda usable: _likeliest(cp, usable, count))
    return list(found)


def fill_tokens(cp: Checkpoint) -> list[int]:
    """Ids that can be fills: all that the model scores and the tokenizer knows, but for special tokens."""
    special = set(cp.tokenizer.all_special_ids)
    return [i for i in range(min(len(cp.tokenizer), _scored_tokens(cp))) if i not in special]


def fill_word(cp: Checkpoint, token: int) -> str:
    """A token as text."""
    return str(cp.tokenizer.decode([token])).strip()


def _scored_tokens(cp: Checkpoint) -> int:
    return int(cp.model.config.get_text_config().vocab_size)


def _question(cp: Checkpoint, text: str) -> tuple[list[int], int] | Skipped:
    """Token ids, and the position whose output is the distribution of the fill."""
    from fairshrink.models.checkpoint import max_tokens
    from fairshrink.models.inference.batching import token_ids
    from fairshrink.models.inference.sequences import start_token

    if text.count(BLANK) != 1:
        return Skipped(NO_BLANK)
    before, _, after = text.partition(BLANK)
    if cp.head == "causal_lm":
        shown = token_ids(cp, before.rstrip(), add_special_tokens=False)
        if not shown:
            return Skipped(NOTHING_BEFORE)
        ids = [start_token(cp.tokenizer), *shown]
        at = len(ids) - 1
    else:
        ids = token_ids(cp, before + cp.tokenizer.decode([mask_id(cp)]) + after)
        if ids.count(mask_id(cp)) != 1:
            return Skipped(NO_BLANK)
        at = ids.index(mask_id(cp))
    return Skipped(TOO_LONG) if len(ids) > max_tokens(cp) else (ids, at)


def _likeliest(cp: Checkpoint, questions: Sequence[tuple[list[int], int]], count: int) -> list[Fills | Skipped]:
    from fairshrink.models.inference.log_probs import compared_log_probs

    allowed = fill_tokens(cp)
    if count >= len(allowed):
        raise UserError(f"{count} fills of a vocabulary of {len(allowed)} tokens; ask for fewer")

    def best(log_p: torch.Tensor, same: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Ids and log-probabilities of the best tokens, and of one more: [rows, 2 x (count + 1)]."""
        import torch

        ids = torch.tensor(allowed, device=log_p.device)
        values, places = log_p[:, ids].sort(dim=1, descending=True, stable=True)
        kept = slice(0, count + 1)
        return torch.cat([ids[places[:, kept]].double(), values[:, kept]], dim=1)

    unique = list(dict.fromkeys((tuple(ids), at) for ids, at in questions))
    if not unique:
        return []
    every = compared_log_probs(
        cp, cp, [ids for ids, _ in unique], [[at] for _, at in unique], [[0]] * len(unique), best
    )
    found = dict(zip(unique, every, strict=True))
    return [_fills(cp, found[tuple(ids), at], count) for ids, at in questions]


def _fills(cp: Checkpoint, row: Sequence[float], count: int) -> Fills | Skipped:
    ids, log_p = row[: count + 1], [float(each) for each in row[count + 1 :]]
    if any(each != each for each in log_p):
        return Skipped(NO_NUMBERS)
    return Fills(
        tuple(fill_word(cp, int(token)) for token in ids[:count]),
        tuple(log_p[:count]),
        bool(log_p[count - 1] == log_p[count]),
    )
