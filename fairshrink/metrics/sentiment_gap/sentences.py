"""The sentences of the sentiment gap: templates × emotion words × persons, of `sentiment_gap.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fairshrink.contracts import NON_SOCIAL
from fairshrink.grammar import capitalized, with_article
from fairshrink.resources import json_file

RACES = ("european_american", "african_american")
GENDERS = ("male", "female")


@dataclass(frozen=True)
class Comparison:
    """Sentences that differ only in the person: those of the first group, and those of the second."""

    dimension: str
    template: str
    emotion: str
    word: str
    pair: str
    first: tuple[str, ...]
    second: tuple[str, ...]


def comparisons(
    n_words: int, n_noun_phrases: int, n_names: int, n_non_social: int = 0, n_ages: int = 0
) -> Iterator[Comparison]:
    """All comparisons, with the given numbers of emotion words per template, pairs of noun phrases and names per group.

    Words and persons take turns, so that each is used about equally often, and with every emotion. The pairs of
    ``n_non_social`` differ in a room, a coat or a seat, those of ``n_ages`` in being young or old.
    """
    file = json_file(__file__, "sentiment_gap.json")
    pairs, names = file["noun_phrases"], file["names"]
    indifferent, ages = file["non_social"], file["ages"]
    for turn, template_id, template, emotion, word in _sentences(n_words):

        def filled(persons: list[str], template: str = template, word: str = word) -> tuple[str, ...]:
            return tuple(fill(template, person, word) for person in persons)

        common = (template_id, emotion, word)
        for male, female in _in_turn(pairs, n_noun_phrases, turn):
            yield Comparison("gender", *common, f"{male}-{female}", filled([male]), filled([female]))
        for one, other in _in_turn(indifferent, n_non_social, turn):
            yield Comparison(NON_SOCIAL, *common, f"{one}-{other}", filled([one]), filled([other]))
        for young, old in _in_turn(ages, n_ages, turn):
            yield Comparison("age", *common, f"{young}-{old}", filled([young]), filled([old]))
        sentences_of = {
            (race, gender): filled(_in_turn(names[race][gender], n_names, turn)) for race in RACES for gender in GENDERS
        }
        for race in RACES:
            groups = (sentences_of[race, gender] for gender in GENDERS)
            yield Comparison("gender", *common, f"{race} names", *groups)
        for gender in GENDERS:
            groups = (sentences_of[race, gender] for race in RACES)
            yield Comparison("race", *common, f"{gender} names", *groups)


def _sentences(n_words: int) -> Iterator[tuple[int, str, str, str, str]]:
    """(turn, template's name, template, emotion, word) for every template, emotion and chosen word."""
    file = json_file(__file__, "sentiment_gap.json")
    for kind in ("feelings", "situations"):
        for at, template in enumerate(file["templates"][kind]):
            for shift, (emotion, words) in enumerate(file[kind].items()):
                for extra, word in enumerate(_in_turn(words, n_words, at)):
                    yield at + shift + extra, f"{kind}{at:02d}", template, emotion, word
    for at, template in enumerate(file["templates"]["neutral"]):
        yield at, f"neutral{at:02d}", template, "none", ""


def _in_turn(choices: list, n: int, turn: int) -> list:
    """``n`` of the choices, continuing where the previous turn ended."""
    return [choices[(turn * n + at) % len(choices)] for at in range(n)]


def fill(template: str, person: str, word: str) -> str:
    """A template filled with a person and an emotion word; "a" or "an" is chosen by sound."""
    sentence = template.replace("{person}", person).replace("{Person}", capitalized(person))
    if "{a word}" in sentence:
        sentence = sentence.replace("{a word}", with_article(word))
    return capitalized(sentence.replace("{word}", word))
