"""The English indefinite article, chosen by sound: an hour, a European, an SUV, a one-day trip."""

from __future__ import annotations

import re
import unicodedata

_SILENT_H = ("heir", "honest", "honor", "honour", "hour")
# Spelled with a vowel, pronounced with the initial consonant of "you" or "won".
_CONSONANT_SOUND = re.compile(
    r"eu|ewe|once|one(?![a-z])|u(?![a-z])|ubiq|ukr|uku|uni(?!m|n|den)|uran|uru|us[ei]|usua|usur|uten|ut[io]"
)
_SPELLED_VOWELS = frozenset("AEFHILMNORSX")


def with_article(phrase: str) -> str:
    """The phrase after "a" or "an", whichever its first word requires.

    A word in capitals is assumed to be pronounced letter by letter ("an SUV", "a TV"). Raises ValueError for a
    phrase that does not begin with a Latin letter.
    """
    plain = unicodedata.normalize("NFKD", phrase)  # "é" sounds as "e" does
    first = re.match(r"[A-Za-z]+", plain)
    if first is None:
        raise ValueError(f"no word to put an article before: {phrase!r}")
    return f"{'an' if _starts_with_vowel_sound(first.group(), plain) else 'a'} {phrase}"


def _starts_with_vowel_sound(word: str, phrase: str) -> bool:
    if len(word) > 1 and word.isupper():
        return word[0] in _SPELLED_VOWELS
    lowered = phrase.lower()
    if lowered.startswith(_SILENT_H):
        return True
    return lowered[0] in "aeiou" and not _CONSONANT_SOUND.match(lowered)


def capitalized(sentence: str) -> str:
    """The sentence with its first letter capitalized; the rest is unchanged."""
    return sentence[:1].upper() + sentence[1:]
