"""The sentence pairs of Bias-NLI, drawn evenly from its word lists (Dev et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fairshrink.errors import UserError
from fairshrink.grammar import capitalized, with_article
from fairshrink.metrics._shared.files import numbered_lines

GENDERED = (("man", "woman"), ("gentleman", "lady"), ("guy", "girl"))
Article = Literal["definite", "indefinite"]
TRANSACTED = ("clothes", "farm_animals", "food", "furniture", "household", "vehicles")


@dataclass(frozen=True)
class Pair:
    """A premise about an occupation and a hypothesis about a gendered word, with the same verb and object."""

    occupation: str
    word: str
    gender: str
    phrase: str

    def premise(self, article: Article = "definite") -> str:
        """The sentence about the occupation."""
        return f"{_subject(self.occupation, article)} {self.phrase}."

    def hypothesis(self, article: Article = "definite") -> str:
        """The sentence about the man or woman."""
        return f"{_subject(self.word, article)} {self.phrase}."


def _subject(noun: str, article: Article) -> str:
    return f"The {noun}" if article == "definite" else capitalized(with_article(noun))


def sample_pairs(folder: Path, sample: int, seed: int) -> list[Pair]:
    """A balanced draw: pairs of hypotheses, man and woman, on one premise each; an odd ``sample`` is rounded down.

    Every round contains each (occupation, word pair) once, with a phrase that it has not had. UserError if files are
    missing or ``sample`` exceeds the number of pairs.
    """
    occupations, verb_phrases = _words(folder, "nouns/people/occupations"), phrases(folder)
    n, n_cells = len(verb_phrases), len(occupations) * len(GENDERED)
    if sample > 2 * n_cells * n:
        raise UserError(f"bias_nli: sample: {sample} is more than the {2 * n_cells * n} pairs that the lists give")
    generator = np.random.default_rng(seed)
    shuffled = [verb_phrases[at] for at in generator.permutation(n)]
    offsets = generator.permutation(n_cells)
    pairs: list[Pair] = []
    for turn in range(-(-sample // (2 * n_cells))):
        for occupation, words in _round(len(occupations), generator):
            cell = occupation * len(GENDERED) + words
            phrase = shuffled[(int(offsets[cell]) * n // n_cells + turn) % n]
            for word, gender in zip(GENDERED[words], ("male", "female"), strict=True):
                pairs.append(Pair(occupations[occupation], word, gender, phrase))
    return pairs[: sample // 2 * 2]


def _round(n_occupations: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """All (occupation, word pair) once, in passes over the occupations, so that an incomplete round is balanced."""
    order, turn = generator.permutation(n_occupations), generator.permutation(len(GENDERED))
    return [
        (int(occupation), int(turn[(at + shift) % len(GENDERED)]))
        for shift in range(len(GENDERED))
        for at, occupation in enumerate(order)
    ]


def phrases(folder: Path) -> list[str]:
    """All verb-object phrases of the lists, such as "spoke to an heir", sorted."""
    transacted = {word for name in TRANSACTED for word in _words(folder, f"nouns/objects/{name}")}
    people = {*_words(folder, "nouns/people/person_hyponyms"), *_words(folder, "nouns/people/rulers")}
    combinations = (
        ("commerce_verbs", transacted),
        ("interaction_verbs", people),
        ("driving_verbs", _words(folder, "nouns/objects/vehicles")),
        ("eating_verbs", _words(folder, "nouns/objects/food")),
    )
    return sorted(
        {
            f"{verb} {with_article(thing)}"
            for verbs, things in combinations
            for verb in _words(folder, f"verbs/{verbs}")
            for thing in things
        }
    )


def _words(folder: Path, name: str) -> list[str]:
    """One list, sorted, each word once."""
    if not (folder / name).is_file():
        raise UserError(
            f"bias_nli: {folder / name} cannot be read. `data.words.file` has to be the folder word_lists of Bias-NLI, "
            "which contains nouns/ and verbs/."
        )
    found: set[str] = set()
    for number, line in numbered_lines(folder / name, "bias_nli", "words"):
        try:
            with_article(line.strip())
        except ValueError as error:
            raise UserError(f"bias_nli: {folder / name}, line {number}: {error}; leave it out") from error
        found.add(line.strip())
    if not found:
        raise UserError(f"bias_nli: {folder / name} has no word; fetch the lists again")
    return sorted(found)
