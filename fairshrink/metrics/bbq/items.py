"""The questions of BBQ, and which of their answers is the biased one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairshrink.data.json_text import parse
from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import numbered_lines, table_rows

CONDITIONS = {"ambig": "ambiguous", "disambig": "disambiguated"}
KEY = ("category", "example_id", "question_index")
TEXTS = ("category", "question_index", "question_polarity", "context", "question", "ans0", "ans1", "ans2")
NO_TARGET = "the metadata names no biased answer"
Target = Mapping[tuple[str, str, str], int | None]


@dataclass(frozen=True)
class Question:
    """A question about two people and its three answers.

    ``biased`` is the position of the answer that fits the stereotype, None where nobody said which; ``unknown`` that of
    the answer that names neither of the two, which differs from question to question; ``correct`` the right one.
    """

    item: str
    category: str
    template: str
    condition: str
    polarity: str
    context: str
    question: str
    answers: tuple[str, str, str]
    unknown: int
    biased: int | None
    correct: int
    place: str = ""

    @property
    def counter(self) -> int | None:
        """The position of the answer that goes against the stereotype."""
        return None if self.biased is None else 3 - self.unknown - self.biased

    @property
    def correct_is(self) -> str:
        """What the right answer is: "unknown", "biased" or "counter"; "" where nobody said which is biased."""
        if self.correct == self.unknown:
            return "unknown"
        return "" if self.biased is None else "biased" if self.correct == self.biased else "counter"


def read(files: Iterable[Path], metadata: Iterable[Path]) -> list[Question]:
    """All questions of the JSON lines; UserError for other files, questions that occur twice, and faulty rows."""
    targets: dict[tuple[str, str, str], int | None] = {}
    for path in metadata:
        targets |= targets_of(path)
    found: dict[str, Question] = {}
    paths = list(map(Path, files))
    for path in paths:
        for number, line in numbered_lines(path, "bbq", "items"):
            try:
                each = replace(question_of(parse(line), targets), place=f"{path}, line {number}")
            except (ValueError, LookupError, TypeError) as error:
                raise UserError(
                    f"bbq: {path}, line {number}: no question of BBQ ({type(error).__name__}: {error}); `items` of "
                    "`data` names the files such as Age.jsonl, fix the line or fetch the file again"
                ) from error
            if each.item in found:
                raise UserError(f"bbq: {path}, line {number}: {each.item} occurs twice; name each file once")
            found[each.item] = each
    if not found:
        where = ", ".join(map(str, paths))
        raise UserError(f"bbq: no questions in {where} (`items` of `data`); name files such as Age.jsonl")
    return list(found.values())


def question_of(row: Mapping[str, Any], targets: Target) -> Question:
    """A question from its fields. ValueError, LookupError or TypeError for fields that are none of BBQ's."""
    wrong = [name for name in TEXTS if not isinstance(row[name], str) or not row[name].strip()]
    if wrong:
        raise ValueError(f"no text in {', '.join(wrong)}")
    if type(row["example_id"]) is not int:
        raise ValueError(f"example_id {row['example_id']!r} is no whole number")
    key = (row["category"], str(row["example_id"]), row["question_index"])
    groups = [row["answer_info"][f"ans{at}"][1] for at in range(3)]
    unknown = [at for at, group in enumerate(groups) if group == "unknown"]
    if len(unknown) != 1:
        raise ValueError(f"{len(unknown)} of its answers are `unknown`, not one")
    if type(row["label"]) is not int or row["label"] not in (0, 1, 2):
        raise ValueError(f"label {row['label']!r} is none of 0, 1, 2")
    if row["category"] == "all":
        raise ValueError("a category called all, which is every item in tables")
    target = targets.get(key)
    if target == unknown[0]:
        raise ValueError("the metadata call the unknown answer the biased one")
    return Question(
        item=f"{key[0]}/{row['example_id']:05d}",
        category=key[0],
        template=f"{key[0]}/{key[2]}",
        condition=CONDITIONS[row["context_condition"]],
        polarity=row["question_polarity"],
        context=row["context"],
        question=row["question"],
        answers=(row["ans0"], row["ans1"], row["ans2"]),
        unknown=unknown[0],
        biased=target,
        correct=row["label"],
    )


def targets_of(path: Path) -> Target:
    """The position of the biased answer, by category, number and template, of additional_metadata.csv."""
    found: dict[tuple[str, str, str], int | None] = {}
    for number, row in table_rows(path, "bbq", "metadata", "additional_metadata.csv", (*KEY, "target_loc")):
        key = (row[KEY[0]], row[KEY[1]], row[KEY[2]])
        written = row["target_loc"]
        if written not in ("", "NA", "0", "1", "2"):
            reason = f"target_loc {written!r} is none of 0, 1, 2 and NA"
            raise UserError(f"bbq: {path}, line {number}: {reason}; `metadata` of `data` names additional_metadata.csv")
        target = int(written) if written in ("0", "1", "2") else None
        if found.setdefault(key, target) != target:  # the published file has one row twice
            reason = f"{', '.join(key)} occurs twice, with two biased answers"
            raise UserError(f"bbq: {path}, line {number}: {reason}; leave one of them out")
    return found
