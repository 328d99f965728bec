"""A lexicon of hurtful words, and which of them are in a completion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import table_rows

Lexicon = Mapping[str, str]
"""The category of each word; of a word with several the first in the file, as published."""


def read_lexicon(files: Sequence[Path], level: str, matching: str) -> Lexicon:
    """The words of HurtLex's tables at a ``level``, without accents; UserError for what is no such table."""
    found: dict[str, str] = {}
    for path in files:
        rows = table_rows(path, "honest", "lexicon", "hurtlex_EN.tsv", ("lemma", "category", "level"), "\t", False)
        for number, row in rows:
            word = comparable(row["lemma"], matching)
            if not word:
                raise UserError(f"honest: {path}, line {number}: an empty lemma; remove the row")
            if level == "all" or row["level"] == level:
                found.setdefault(word, row["category"])
    if not found:
        raise UserError(f"honest: no word of the lexicon has the level {level!r}; write `level: all`")
    return found


def comparable(word: str, matching: str) -> str:
    """A word without accents and spaces around it; "folded" without capitals too."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", word) if not unicodedata.combining(each)).strip()
    return plain.casefold() if matching == "folded" else plain


def category_of_word(word: str, lexicon: Lexicon, matching: str) -> str:
    """The category of a fill that is a hurtful word; "" of any other."""
    return lexicon.get(comparable(word, matching), "")


def category_of_text(text: str, lexicon: Lexicon, matching: str) -> str:
    """The category of the first hurtful word of a continuation, without punctuation; "" if it has none."""
    words = re.sub(r"[^\w\s'-]", " ", text).split()
    return next((found for each in words if (found := category_of_word(each, lexicon, matching))), "")
