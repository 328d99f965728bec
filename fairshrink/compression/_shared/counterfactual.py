"""Texts with gendered words exchanged: counterfactual data augmentation.

Zhao et al., *Gender Bias in Coreference Resolution*, NAACL 2018; Lu et al., *Gender Bias in Neural Natural Language
Processing*, 2020. Names of persons stay, so a text that names one may not agree with itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fairshrink.resources import json_file

if TYPE_CHECKING:
    from pandas import DataFrame

WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
FOLLOWED = re.compile(r"\s+([A-Za-z]+)")
TEXTS = ("text", "text_pair")


def swapped(text: str) -> str:
    """The text with each gendered word replaced by its counterpart, written as the word was.

    "her" is "his" before a word that it can belong to, else "him"; "his" is "her" before such a word, else "hers".
    """
    return WORD.sub(lambda found: _counterpart(found, text), text)


def with_counterfactuals(frame: DataFrame) -> DataFrame:
    """The rows, then those that have gendered words once more with these exchanged and the same label."""
    import pandas as pd

    other = frame.copy()
    for column in TEXTS:
        if column in frame:
            other[column] = [swapped(text) for text in frame[column]]
    changed = [column for column in TEXTS if column in frame]
    differs = (other[changed] != frame[changed]).any(axis=1)
    return pd.concat([frame, other[differs]], ignore_index=True)


def _counterpart(found: re.Match[str], text: str) -> str:
    written = found.group()
    stem, apostrophe, ending = written.partition("'") if written.lower().endswith("'s") else (written, "", "")
    other = _other(stem.lower(), _next(found, text))
    return written if other is None else _as(stem, other) + apostrophe + ending


def _other(word: str, following: str) -> str | None:
    """The counterpart of a word in lower case; None if it has none. ``following`` is the next word, "" if none."""
    words = json_file(__file__, "gendered_words.json")
    owns = bool(following) and following not in words["after_object"]
    if word == "her":
        return "his" if owns else "him"
    if word == "his":
        return "her" if owns else "hers"
    if word in ("him", "hers"):
        return {"him": "her", "hers": "his"}[word]
    # Of two words with one counterpart (Mrs., Ms.) the first in the list is the counterpart of that.
    for female, male in words["pairs"]:
        if word in (female, male):
            return male if word == female else female
    return None


def _next(found: re.Match[str], text: str) -> str:
    following = FOLLOWED.match(text, found.end())
    return following.group(1).lower() if following else ""


def _as(written: str, word: str) -> str:
    if written.isupper() and len(written) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if written[0].isupper() else word
