"""Association tests in the published format of SEAT: a JSON object of four sets of sentences, in a file for each test.

``{"targ1": {"category": "Science", "examples": ["This is a science.", …]}, "targ2": …, "attr1": …, "attr2": …}``, as
the files sent-weat*.jsonl of May et al. (2019), which bias-bench uses too. Their sentences do not say which word they
are about. It is what is left without the words of the templates and the endings of plurals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairshrink.data.json_text import JsonError, parse
from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.metrics._shared.association import AssociationTest, Target, published
from fairshrink.metrics._shared.files import read_text

SETS = {"targ1": "X", "targ2": "Y", "attr1": "A", "attr2": "B"}
OF_TEMPLATES = frozenset(
    ("a", "an", "the", "this", "that", "these", "those", "it", "they", "here", "there", "is", "are",
     "name", "person's", "person", "people", "thing", "things")
)  # fmt: skip
_ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))


def read(files: Iterable[Path]) -> list[AssociationTest]:
    """The test of each file: `seat8` of sent-weat8.jsonl, others by the name of their file. UserError for other files.

    A sentence that is twice in a set counts once, as in the authors' program; such sentences are logged.
    """
    found: dict[str, AssociationTest] = {}
    for path in map(Path, files):
        name = _name(path)
        if name in found:
            raise UserError(f"seat: {path}: there are two files of the test {name}; name each test once")
        found[name] = _test(name, path)
    if not found:
        raise UserError("seat: no files in `sentences` of `data`; name files such as sent-weat8.jsonl")
    return list(found.values())


def _name(path: Path) -> str:
    numbered = re.fullmatch(r"sent-weat(\d+b?)", path.stem)
    name = f"seat{numbered[1]}" if numbered else path.stem
    if name in {"all", *(entry["dimension"] for entry in published()["tests"].values())}:
        raise UserError(f"seat: {path}: a test called {name}, which is another group in tables; rename the file")
    return name


def _test(name: str, path: Path) -> AssociationTest:
    try:
        content = parse(read_text(path, "seat", "sentences"))
    except JsonError as error:
        raise UserError(f"seat: {path} is no JSON object (line {error.line}: {error}); fetch the file again") from error
    sets = {key: _sentences(content, key, path) for key in SETS}
    for one, other in (("targ1", "targ2"), ("attr1", "attr2")):
        both = sorted(set(sets[one]) & set(sets[other]))
        if both:
            raise UserError(f"seat: {path}: {both[0]!r} is in both {one} and {other}; leave it out of one")
    words = {key: subjects(sentences) for key, sentences in sets.items()}
    shared = set(words["targ1"]) & set(words["targ2"])

    def targets(key: str) -> tuple[Target, ...]:
        pairs = zip(words[key], sets[key], strict=True)
        return tuple(Target(f"{word} ({SETS[key]})" if word in shared else word, text) for word, text in pairs)

    return AssociationTest(name, *(targets(key) for key in SETS))


def _sentences(content: Any, key: str, path: Path) -> list[str]:
    listed = content.get(key) if isinstance(content, Mapping) else None
    examples = listed.get("examples") if isinstance(listed, Mapping) else None
    if not isinstance(examples, list):
        raise UserError(
            f"seat: {path} has no list {key} → examples; `sentences` of `data` names files in the published format"
        )
    for at, each in enumerate(examples, 1):
        if not isinstance(each, str) or not each.strip():
            raise UserError(f"seat: {path}, {key}, example {at}: {each!r} is no sentence; fix the file")
    if len(examples) < 2:
        raise UserError(f"seat: {path}: {key} has {len(examples)} examples, and a set has two at least; fix the file")
    unique = list(dict.fromkeys(examples))
    if len(unique) < len(examples):
        twice = next(each for at, each in enumerate(examples) if each in examples[:at])
        log(f"seat: {path}, {key}: {len(examples) - len(unique)} sentences occur twice and count once, as {twice!r}")
    return unique


def subjects(sentences: Sequence[str]) -> list[str]:
    """The word that each sentence is about, in its singular where that occurs; the whole sentence if none is left."""
    left = [
        " ".join(word for word in re.findall(r"[\w'’-]+", text.lower()) if word not in OF_TEMPLATES) or text
        for text in sentences
    ]
    known = set(left)
    return [next((each for each in _singulars(word) if each in known), word) for word in left]


def _singulars(word: str) -> list[str]:
    return [word.removesuffix(ending) + other for ending, other in _ENDINGS if word.endswith(ending)]
