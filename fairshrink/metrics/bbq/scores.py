"""What a model answers to the questions of BBQ: by likelihood of options, by entailment of options, or in free text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairshrink.metrics._shared.likelihood import TOO_LONG, tie_exact_mean, tokenize, too_long
from fairshrink.metrics._shared.outcomes import Skipped, score_or_skip
from fairshrink.metrics._shared.prompting import answer_ids, prompt_ids
from fairshrink.metrics.bbq.items import NO_TARGET, Question
from fairshrink.metrics.bbq.reading import LETTERS, REFUSED, UNKNOWN, UNREAD, choice
from fairshrink.metrics.bbq.settings import Settings
from fairshrink.models.classes import label_index, log_probabilities

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

Values = NDArray[np.float64]
N_OPTIONS = 3


@dataclass(frozen=True)
class Answer:
    """What a model answers to one question: shares of its answers that choose each option, refuse, or cannot be read.

    ``shares`` and ``scores`` ``[3]`` are in the order of the file; scores are NaN where options are not scored.
    ``text`` is the first answer in words, else "".
    """

    shares: Values
    refused: float
    unread: float
    scores: Values
    text: str = ""


def answers(cp: Checkpoint, questions: Sequence[Question], settings: Settings) -> list[Answer | Skipped]:
    """An answer to each question, or why there is none."""
    if cp.head != "causal_lm":
        is_too_long, score = _pairs_too_long, _by_label
    elif settings.form == "generative":
        is_too_long, score = _prompt_too_long, _in_free_text
    else:
        is_too_long, score = _options_too_long, _by_likelihood

    def checked(question: Question) -> Question | Skipped:
        if question.biased is None:
            return Skipped(NO_TARGET)
        return Skipped(TOO_LONG) if is_too_long(cp, question, settings) else question

    return score_or_skip([checked(each) for each in questions], lambda usable: score(cp, usable, settings))


def chosen(scores: Values) -> Values:
    """Shares ``[3]``: 1 for the best option, 1/k for k that tie, NaN where a score is."""
    if np.isnan(scores).any():
        return np.full(N_OPTIONS, np.nan)
    best = scores == scores.max()
    return best / best.sum()


def shown_order(question: Question, order: str, seed: int) -> tuple[int, ...]:
    """Positions of the options in the order in which a prompt lists them; a shuffled one belongs to the item."""
    people = [at for at in range(N_OPTIONS) if at != question.unknown]
    if order == "unknown_first":
        return (question.unknown, *people)
    if order == "unknown_last":
        return (*people, question.unknown)
    if order == "shuffled":
        words = np.frombuffer(hashlib.sha256(question.item.encode()).digest()[:16], dtype="<u4").tolist()
        return tuple(np.random.default_rng([seed, *words]).permutation(N_OPTIONS).tolist())
    return tuple(range(N_OPTIONS))


def prompt_of(question: Question, settings: Settings) -> str:
    """The prompt with context, question and the options in their order, each after its letter."""
    order = shown_order(question, settings.order, settings.seed)
    listed = "\n".join(f"{letter}. {question.answers[at]}" for letter, at in zip(LETTERS, order, strict=True))
    parts = {"{context}": question.context, "{question}": question.question, "{options}": listed}
    prompt = settings.prompt
    for slot, text in parts.items():
        prompt = prompt.replace(slot, text)
    return prompt


def _continued(cp: Checkpoint, question: Question, settings: Settings) -> tuple[list[int], list[list[int]]]:
    """Ids of the prompt, and of each option, in the order of the file."""
    order = shown_order(question, settings.order, settings.seed)
    letters = [LETTERS[order.index(at)] for at in range(N_OPTIONS)]
    texts = letters if settings.answer == "letter" else question.answers
    ids = [answer_ids(cp, text, settings.chat_template) for text in texts]
    return prompt_ids(cp, prompt_of(question, settings), settings.chat_template), ids


def _options_too_long(cp: Checkpoint, question: Question, settings: Settings) -> bool:
    from fairshrink.models.checkpoint import max_tokens

    prompt, options = _continued(cp, question, settings)
    return len(prompt) + max(map(len, options)) > max_tokens(cp)


def _by_likelihood(cp: Checkpoint, questions: Sequence[Question], settings: Settings) -> list[Answer]:
    from fairshrink.models.inference.log_probs import causal_log_probs

    sequences, lengths = [], []
    for question in questions:
        prompt, options = _continued(cp, question, settings)
        sequences += [[*prompt, *each] for each in options]
        lengths += [len(each) for each in options]
    found = causal_log_probs(cp, sequences)
    reduce = tie_exact_mean if settings.option_score == "mean" else np.sum
    values = [float(reduce(each[len(each) - n :])) for each, n in zip(found, lengths, strict=True)]
    return [Answer(chosen(row), 0.0, 0.0, row) for row in np.reshape(values, (-1, N_OPTIONS))]


def _pairs(question: Question, settings: Settings, nli: bool) -> list[tuple[str, str]]:
    """For each option what a model of pairs reads: premise and hypothesis, or context with question and the answer."""
    if nli:
        return [(question.context, f"{question.question} {each}") for each in question.answers]
    return [(f"{question.context} {question.question}", each) for each in question.answers]


def _is_nli(cp: Checkpoint) -> bool:
    return "entailment" in {label.lower() for label in cp.labels}


def _pairs_too_long(cp: Checkpoint, question: Question, settings: Settings) -> bool:
    first, second = zip(*_pairs(question, settings, _is_nli(cp)), strict=True)
    return any(too_long(cp, each) for each in tokenize(cp, first, second))


def _by_label(cp: Checkpoint, questions: Sequence[Question], settings: Settings) -> list[Answer]:
    """log p of the label that says that an option is right: entailment, or correct."""
    from fairshrink.models.inference.outputs import sequence_logits

    nli = _is_nli(cp)
    label = label_index(cp.labels, "entailment" if nli else "correct", "bbq")
    pairs = [pair for question in questions for pair in _pairs(question, settings, nli)]
    logits = sequence_logits(cp, [one for one, _ in pairs], [other for _, other in pairs])
    values = log_probabilities(logits)[:, label] if len(pairs) else np.zeros(0)
    return [Answer(chosen(row), 0.0, 0.0, row) for row in values.reshape(-1, N_OPTIONS)]


def _prompt_too_long(cp: Checkpoint, question: Question, settings: Settings) -> bool:
    from fairshrink.models.checkpoint import max_tokens

    prompt = prompt_ids(cp, prompt_of(question, settings), settings.chat_template)
    return len(prompt) + settings.tokens > max_tokens(cp)


def _in_free_text(cp: Checkpoint, questions: Sequence[Question], settings: Settings) -> list[Answer]:
    from fairshrink.models.inference.generation import Sampling, continuations

    sampling = Sampling(settings.tokens, settings.temperature, settings.top_p, settings.draws, settings.seed)
    prompts = [prompt_ids(cp, prompt_of(each, settings), settings.chat_template) for each in questions]
    found = continuations(cp, prompts, sampling)
    return [free_answer(each, texts, settings) for each, texts in zip(questions, found, strict=True)]


def free_answer(question: Question, texts: Sequence[str], settings: Settings) -> Answer:
    """What the texts choose: each counts its share, so more draws do not make any answer more frequent."""
    order = shown_order(question, settings.order, settings.seed)
    read = [choice(text, [question.answers[at] for at in order]) for text in texts]
    positions = [order[each] if each >= 0 else question.unknown if each == UNKNOWN else each for each in read]
    shares = np.array([positions.count(at) for at in range(N_OPTIONS)]) / len(texts)
    refused, unread = (positions.count(each) / len(texts) for each in (REFUSED, UNREAD))
    return Answer(shares, refused, unread, np.full(N_OPTIONS, np.nan), texts[0])
