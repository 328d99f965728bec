"""StereoSet's intrasentence part: contexts with a gap, each with three sentences that fill it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fairshrink.errors import UserError

LABELS = ("stereotype", "anti-stereotype", "unrelated")
GAP = "BLANK"


@dataclass(frozen=True)
class Context:
    """A text with a gap about a target term, and its sentences in the order of ``LABELS``."""

    item: str
    target: str
    bias_type: str
    text: str
    sentences: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, str]:
        """The text before and after the gap."""
        before, _, after = self.text.partition(GAP)
        return before, after


def read(files: Iterable[Path]) -> list[Context]:
    """The intrasentence contexts of StereoSet JSON files; UserError for other files and for items that occur twice."""
    contexts: dict[str, Context] = {}
    for path in files:
        try:
            entries = json.loads(Path(path).read_text(encoding="utf-8"))["data"]["intrasentence"]
            found = [_context(entry) for entry in entries]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"stereoset: {path} is not a StereoSet file ({type(error).__name__}: {error}); `items` of `data` "
                "names dev.json or test.json, which contain data → intrasentence"
            ) from error
        for each in found:
            if each.item in contexts:
                raise UserError(f"stereoset: item {each.item} of {path} occurs twice: name each file once")
            contexts[each.item] = each
    if not contexts:
        raise UserError("stereoset: no intrasentence contexts in `items` of `data`")
    return list(contexts.values())


def fillers(context: Context) -> tuple[str, ...] | str:
    """What each sentence has in the gap, in the order of ``LABELS``; or, as one string, why it cannot be determined.

    The data set lower-cases names in sentences but not in contexts, so the comparison ignores case.
    """
    if len(context.sentences) != len(LABELS):
        return "not one sentence of each kind"
    if context.text.count(GAP) != 1:
        return "not exactly one gap"
    before, after = context.parts
    if before[-1:].isalnum() or after[:1].isalnum():
        return "the gap is part of a word"
    found = [_between(sentence, before, after) for sentence in context.sentences]
    return tuple(found) if all(found) else "a sentence is not the context with its gap filled"


def _between(sentence: str, before: str, after: str) -> str:
    inside = sentence[len(before) : len(sentence) - len(after)]
    fits = (before + inside + after).lower() == sentence.lower()
    return inside if fits and inside == inside.strip() else ""


def _context(entry: dict) -> Context:
    by_label = {each["gold_label"]: each["sentence"] for each in entry["sentences"]}
    complete = set(by_label) == set(LABELS) and len(entry["sentences"]) == len(LABELS)
    sentences = tuple(by_label[label] for label in LABELS) if complete else ()
    named = [entry[name] for name in ("id", "target", "bias_type", "context")]
    if not all(isinstance(text, str) and text for text in (*named, *by_label.values())):
        raise TypeError(f"item {entry['id']!r} has something else than text")
    if entry["bias_type"] == "all":
        raise ValueError(f"item {entry['id']} has a bias type called all, which is every item in tables")
    return Context(entry["id"], entry["target"], entry["bias_type"], entry["context"], sentences)
