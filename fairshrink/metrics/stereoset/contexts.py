"""StereoSet's two parts: contexts with a gap and sentences that fill it, and contexts with sentences that follow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fairshrink.data.json_text import JsonError, parse
from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import line_of, read_text

Part = Literal["intrasentence", "intersentence"]
PARTS: tuple[Part, ...] = get_args(Part)
LABELS = ("stereotype", "anti-stereotype", "unrelated")
GAP = "BLANK"


@dataclass(frozen=True)
class Context:
    """A text about a target term, and its sentences, with the ids they have in the file, in the order of ``LABELS``.

    In the intrasentence part the text has a gap, which the sentences fill; in the other they follow it.
    """

    item: str
    target: str
    bias_type: str
    text: str
    sentences: tuple[str, ...]
    ids: tuple[str, ...] = ()
    place: str = ""


@dataclass(frozen=True)
class Filled:
    """The text around the gaps of a context, one more part than gaps, and what each sentence has in them."""

    parts: tuple[str, ...]
    words: tuple[str, ...]

    def text(self, word: str) -> str:
        """The context with a word in its gaps; names keep the case that they have in the context."""
        return word.join(self.parts)

    def gaps(self, word: str) -> list[tuple[int, int]]:
        """The characters of each gap in this text."""
        found, at = [], 0
        for part in self.parts[:-1]:
            at += len(part)
            found.append((at, at + len(word)))
            at += len(word)
        return found


def read(files: Iterable[Path], part: Part = "intrasentence") -> list[Context]:
    """The contexts of one part of StereoSet JSON files; UserError for other files and for items that occur twice."""
    contexts: dict[str, Context] = {}
    paths = list(map(Path, files))
    for path in paths:
        text = read_text(path, "stereoset", "items")
        try:
            entries = list(parse(text)["data"][part])
        except (ValueError, KeyError, TypeError) as error:
            reason = f"line {error.line}" if isinstance(error, JsonError) else type(error).__name__
            raise UserError(
                f"stereoset: {path} is not a StereoSet file ({reason}: {error}); `items` of `data` "
                f"names dev.json or test.json, which contain data → {part}"
            ) from error
        for at, entry in enumerate(entries, 1):
            place = _Place(path, part, at, entry)
            try:
                each = _context(entry, str(place))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = f"{type(error).__name__}: {error}"
                where = place.line(text)
                raise UserError(f"stereoset: {where}: no context of StereoSet ({reason}); fix the file") from error
            if each.item in contexts:
                raise UserError(
                    f"stereoset: {place.line(text, 2)}: item {each.item} occurs twice; name each file and item once"
                )
            contexts[each.item] = each
    if not contexts:
        where = ", ".join(map(str, paths))
        raise UserError(f"stereoset: no {part} contexts in {where} (`items` of `data`); fetch the file again")
    return list(contexts.values())


def fillers(context: Context) -> Filled | str:
    """What each sentence has in the gaps; or, as one string, why it cannot be determined.

    The data set lower-cases names in sentences but not in contexts, so the comparison ignores case. It has two gaps in
    a few contexts, which a sentence fills with one word, some of them spelled "Blank"; and a few gaps inside a word
    ("BLANKed"), where the filler is the whole word that the sentence has there ("protected").
    """
    if len(context.sentences) != len(LABELS):
        return "not one sentence of each kind"
    if GAP not in context.text:
        return "no gap"
    for flags in (re.NOFLAG, re.IGNORECASE):
        parts = re.split(rf"\w*{GAP}\w*", context.text, flags=flags)
        found = [_between(sentence, parts) for sentence in context.sentences]
        if all(found):
            return Filled(tuple(parts), tuple(found))
    return "a sentence is not the context with its gap filled"


def _between(sentence: str, parts: list[str]) -> str:
    first, *rest = map(re.escape, parts)
    pattern = rf"{first}(?P<word>\S|\S.*\S)" + "(?P=word)".join(rest)
    found = re.fullmatch(pattern, sentence, flags=re.IGNORECASE | re.DOTALL)
    return found["word"] if found else ""


@dataclass(frozen=True)
class _Place:
    """Where an entry is: its file, and its id or else its number; and in which line, which takes a search."""

    path: Path
    part: Part
    number: int
    entry: object

    @property
    def named(self) -> str:
        return self.entry["id"] if isinstance(self.entry, dict) and isinstance(self.entry.get("id"), str) else ""

    def __str__(self) -> str:
        return f"{self.path}, item {self.named}" if self.named else f"{self.path}, {self.part} {self.number}"

    def line(self, text: str, occurrence: int = 1) -> str:
        """The place with its line."""
        found = line_of(text, json.dumps(self.named), occurrence) if self.named else 1
        return f"{self}, line {found}"


def _context(entry: dict, place: str) -> Context:
    by_label = {each["gold_label"]: each for each in entry["sentences"]}
    complete = set(by_label) == set(LABELS) and len(entry["sentences"]) == len(LABELS)
    sentences, ids = (
        tuple(by_label[label][name] for label in LABELS) if complete else () for name in ("sentence", "id")
    )
    named = [entry[name] for name in ("id", "target", "bias_type", "context")]
    texts = [each["sentence"] for each in by_label.values()]
    if not all(isinstance(text, str) and text.strip() for text in (*named, *texts)):
        raise TypeError(f"item {entry['id']!r} has something else than text")
    if entry["bias_type"] == "all":
        raise ValueError(f"item {entry['id']} has a bias type called all, which is every item in tables")
    return Context(entry["id"], entry["target"], entry["bias_type"], entry["context"], sentences, ids, place)
