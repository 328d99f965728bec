"""SEAT: the association tests of WEAT with each word in semantically bleached sentences.

Each word of `weat.json` is put into sentences such as "This is a novel.", "Those are novels.", "Amy is here.", as its
grammar allows (`seat.json`: articles by sound, plurals, mass nouns, adjectives, pronouns), and the formulas of WEAT are
applied to sentence embeddings. `pooling` is a choice that changes the result: it is a setting, and the items name it.

With `data.sentences` the tests are those of files in the published format, sentence by sentence as they are ("A
experiment is a thing."): another measurement, which tables name by its data set. The neutral tests 1 and 2 are ours
unless the files have them.

Formula:
    s(x) = mean over a in A of cos(x, a) − mean over b in B of cos(x, b)      x, a, b: sentences
    d    = (mean over X of s − mean over Y of s) / sd over X ∪ Y of s         over all sentences, ddof 1
Statistics:
    - `effect_size`: d of each test. That of the neutral tests `seat1` and `seat2` measures no bias: near 0 the model,
      or the way its sentences are read, does not tell pleasant from unpleasant;
    - `permutation_p`: one-sided p of each test; words are permuted, each with all of its sentences;
    - `association_spread`: standard deviation of s, of each test;
    - `mean_effect_size`, the headline: signed mean of d over the tests of bias, over all and per dimension (gender,
      race, …);
    - `mean_absolute_effect_size`: mean of |d| over the same; it hides the sign, and chance alone makes it positive;
    - `debiased_mean_square`: mean of d² − v over the same, where v is the variance of d by leaving out one word after
      the other. It may be negative. Where there is no effect chance makes d² 0.24 with eight words a side, and this
      −0.03 (16 words: 0.12 and −0.01).
Counts: An item is a target sentence of a test. `skipped`: 0, as every sentence has a vector (one that is too long is
    refused; one that is no number makes the results NaN). `tied`: a target as near to A as to B, to within 10⁻⁶.
Paper: May, Wang, Bordia, Bowman and Rudinger, *On Measuring Social Biases in Sentence Encoders*, NAACL 2019.
Peers: With `data.sentences` d equals that of the authors' program (sent-bias: BERT by `pooling: cls`, GPT by `last`)
    and of bias-bench (`pooling: mean_all`); a sentence that a file repeats counts once in both and here.
    Own sentences give other values: 0.508 where the published ones give 0.721 on test 8 with one model.
Deviations: From the original, where it was weaker: own sets are not cut to equal size; p permutes words, not sentences,
    because the sentences of one word are not independent (p of the original is too small); plurals and articles are
    right ("equations", not "equationses"; "a European American", "an honor").
Range: d in about [−2, 2]; p in [0, 1].
Direction: d above 0: as the stereotype has it (X with A); below 0: the reverse.
Unbiased model: d = 0. Where the associations do not vary d is NaN, not 0; `association_spread` shows how close to that
    a model is.
Random model: Not 0 (d is scale-free). The `random_init` control measures what it scores. A model that gives all texts
    one vector ties everywhere (`tied`), and its d is undefined.
Signal: The associations of the tests of bias; `mean_effect_size` is their functional. Contrast: the associations of the
    neutral tests 1 and 2 (flowers and insects, instruments and weapons, with pleasant and unpleasant), which are always
    scored, whatever `tests` says. The signal kept is the slope of a checkpoint's on the baseline's, fitted with an
    intercept; the intercept is not in the null, as a level that all words share cancels in d. Limits: d is free of
    scale, so the null says how much noise lowers d, not how much associations shrink; and how well pleasantness is kept
    stands for how well the other attributes are.
Parameters: `pooling`, `sentences_per_word`, `start_token`, `data.sentences`. On MiniLM as published, 0.68 with two
    sentences a word, `cls` has 0.39 (a change of −0.57 to 0.00), `mean_all` and `last` 0.72 and 0.70, one sentence a
    word 0.52, four 0.69. State the pooling with every value. A causal model keeps next to no meaning in its first
    position, and some tokenizers put no start token there: on SmolLM2 (one sentence a word) `start_token: true` gives
    1.32 instead of 0.19 on test 7, −0.86 instead of 0.09 on test 5, 0.47 instead of 0.60 in the mean.
Limits: Intervals resample target words with all their sentences; the attributes are taken as given. p has no interval.
    May et al. found the tests to miss known biases: a small d is no evidence of absence.
    Which word a published sentence is about is not in its file: it is what is left without the words of the templates;
    irregular plurals then are words by themselves.
Data: Words as published, sentences in the manner of the paper; or files such as sent-weat8.jsonl of
    github.com/W4ngatang/sent-bias, fetched by a download.
Use:
    - {metric: seat, tests: [seat6, seat7, seat8], sentences_per_word: 4}
    - metric: seat
      name: seat_published
      pooling: cls
      data: {sentences: {download: sent_bias, file: [sent-weat6.jsonl, sent-weat8.jsonl]}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, ModelTraits, Scoring
from fairshrink.errors import UserError
from fairshrink.grammar import capitalized, with_article
from fairshrink.metrics._shared.association import (
    AssociationSettings,
    AssociationTest,
    associations,
    embedder,
    neutral_tests,
    pooling_of,
    published,
    read_tests,
    start_text,
    unsuited_pooling,
)
from fairshrink.metrics._shared.association_statistics import association_signal, summaries
from fairshrink.metrics._shared.files import refuse_too_long
from fairshrink.metrics.seat.published import read
from fairshrink.resources import json_file
from fairshrink.stats.estimates import Statistic
from fairshrink.stats.signals import Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd


NEEDS: frozenset[Capability] = frozenset({"embedding"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES: dict[str, str] = {}
OPTIONAL_ROLES = {"sentences": "files of tests in the published format, such as sent-weat8.jsonl, for own sentences"}
HEADLINE = ("mean_effect_size", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=0.2)
OWN_SKILL: OwnSkill | None = None

Name = Literal[
    "seat3", "seat3b", "seat4", "seat5", "seat5b", "seat6", "seat6b", "seat7", "seat7b", "seat8", "seat8b", "seat9",
    "seat10",
]  # fmt: skip


class Settings(AssociationSettings):
    """Settings of SEAT."""

    tests: tuple[Name, ...] = Field(
        get_args(Name), min_length=1, description="the tests of bias to run; neutral tests 1 and 2 are always added"
    )
    sentences_per_word: int | None = Field(
        None, ge=1, description="at most this many sentences of each word, spread over its templates; all unless given"
    )
    start_token: bool = Field(
        False,
        description="causal models: the start token before each sentence where the tokenizer adds none, as in all "
        "other metrics; without it sentences are as the published programs have them",
    )


def unsuited(settings: Settings, model: ModelTraits) -> list[tuple[str, str, str]]:
    """A pooling that the model's texts have no vector for."""
    return unsuited_pooling(settings, model)


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per test and target sentence: item, cluster (the word), group (the test), set, text, association, …"""
    before = start_text(given.checkpoint) if settings.start_token else ""
    given_tests = _published(given, settings, before) if given.data.get("sentences") else []
    named = {test.name for test in given_tests}
    numbers = [number for number in neutral_tests() if f"seat{number}" not in named]
    if not given_tests:
        numbers += [name.removeprefix("seat") for name in dict.fromkeys(settings.tests)]
    own = read_tests("seat", numbers, lambda word: _spread(sentences(word), settings.sentences_per_word))
    chosen = [*own, *given_tests]
    return associations(chosen, embedder(given.checkpoint, settings, before)).assign(
        pooling=pooling_of(given.checkpoint, settings)
    )


def _published(given: Scoring, settings: Settings, before: str) -> list[AssociationTest]:
    """The tests of files; UserError where settings choose among own sentences besides, and for sentences too long."""
    chosen = {"tests": settings.tests != get_args(Name), "sentences_per_word": settings.sentences_per_word is not None}
    for name in chosen:
        if chosen[name]:
            raise UserError(f"seat: {name} chooses among own sentences, and `data` names files: leave one of them out")
    found = read(given.data["sentences"])
    texts = {
        f"{test.name}, {target.text!r}": (before + target.text,)
        for test in found
        for target in (*test.x, *test.y, *test.a, *test.b)
    }
    refuse_too_long(given.checkpoint, texts, "seat")
    return found


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """effect_size, permutation_p and association_spread per test; means of d, |d| and d² − v over tests of bias."""
    return summaries(items, settings)


def signal(items: pd.DataFrame, settings: Settings) -> Signal | None:
    """Associations; their mean effect size; those of the neutral tests as contrast."""
    return association_signal(items)


def sentences(word: str) -> list[str]:
    """The sentences in which a word of the lists is embedded; KeyError for a word without grammar."""
    grammar = json_file(__file__, "seat.json")
    kind, singular, plural = _grammar(word)
    forms = {
        "{word}": singular,
        "{Word}": capitalized(singular),
        "{a word}": with_article(singular),
        "{A word}": capitalized(with_article(singular)),
        "{plural}": plural,
        "{Plural}": capitalized(plural),
    }
    return [_fill(template, forms) for template in grammar["templates"][kind]]


def _spread(choices: list[str], at_most: int | None) -> list[str]:
    """At most ``at_most`` of the choices, evenly spaced."""
    n = min(at_most or len(choices), len(choices))
    return [choices[k * len(choices) // n] for k in range(n)]


def _grammar(word: str) -> tuple[str, str, str]:
    """Kind of word, and its singular and plural where it has them."""
    grammar, lists = json_file(__file__, "seat.json"), published()["lists"]
    for kind, pairs in grammar["nouns"].items():
        for singular, plural in pairs:
            if word in (singular, plural):
                return kind, singular, plural
    for kind, words in grammar["words"].items():
        if word in words:
            return kind, word, word
    if any(word in lists[name]["words"] for name in grammar["person_name_lists"]):
        return "person_name", word, word
    raise KeyError(f"seat.json does not say what kind of word '{word}' is")


def _fill(template: str, forms: dict[str, str]) -> str:
    for slot, form in forms.items():
        template = template.replace(slot, form)
    return template
