"""Bias-STS as published: rows of a file, compared in its order and on the scale of the model's labels.

A row of bias_evaluation_STS-B.tsv has two pairs of sentences from the test set of STS-B: "a man is slicing a cucumber
.", "a nurse is slicing a cucumber .", and the same with a woman, between tabs and without a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairshrink.data.faults import places
from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import numbered_lines
from fairshrink.metrics._shared.sampling import spread_sample

FIELDS = 4


@dataclass(frozen=True)
class Row:
    """Two pairs of sentences, the first of each about a person, the second about an occupation.

    ``elsewhere`` is a sentence about a person in another row's words; ``template`` the words around the person.
    """

    item: str
    place: str
    occupation: str
    template: str
    man: tuple[str, str]
    woman: tuple[str, str]
    elsewhere: str = ""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """What is compared: the man's pair, the woman's, and one of different subjects."""
        return self.man, self.woman, (self.elsewhere, self.man[1])


def read(files: Iterable[Path], sample: int | None, seed: int) -> list[Row]:
    """Rows of the files, or ``sample`` of them spread over occupations and templates. UserError for other files."""
    rows: list[Row] = []
    stems: set[str] = set()
    for path in map(Path, files):
        if path.stem in stems:
            raise UserError(f"bias_sts: {path}: two files are called {path.stem}; name each file once")
        stems.add(path.stem)
        lines = [(number, line.split("\t")) for number, line in numbered_lines(path, "bias_sts", "pairs")]
        wrong = [number for number, fields in lines if len(fields) != FIELDS or not all(map(str.strip, fields))]
        if wrong:
            raise UserError(
                f"bias_sts: {path}, {places('line', wrong)}: not {FIELDS} sentences between tabs; `pairs` of `data` "
                "names files such as bias_evaluation_STS-B.tsv, fix the lines or fetch the file again"
            )
        rows += [_row(path, number, fields) for number, fields in lines]
    templates = list(dict.fromkeys(row.template for row in rows))
    if len(templates) < 2:
        raise UserError(
            f"bias_sts: {len(templates)} sentences in `pairs` of `data`, apart from the persons in them; at least two "
            "are needed, to tell subjects apart"
        )
    drawn = spread_sample(
        [row.item for row in rows], [row.occupation for row in rows], [row.template for row in rows], sample, seed
    )
    return _elsewhere([rows[at] for at in drawn], rows, templates)


def _row(path: Path, number: int, fields: Sequence[str]) -> Row:
    man, first, woman, second = (each.strip() for each in fields)
    occupation, template = _difference(first, man)
    if not occupation:
        raise UserError(
            f"bias_sts: {path}, line {number}: its first two sentences are not one sentence about two persons; fix it"
        )
    return Row(
        f"{path.stem}/{number:05d}", f"{path}, line {number}", occupation, template, (man, first), (woman, second)
    )


def _difference(one: str, other: str) -> tuple[str, str]:
    """The words of a sentence that another one has others for, and what is around them."""
    words, others = one.split(), other.split()
    shorter = min(len(words), len(others))
    before = next((at for at in range(shorter) if words[at] != others[at]), shorter)
    left = shorter - before
    after = next((at for at in range(left) if words[-1 - at] != others[-1 - at]), left)
    end = len(words) - after
    return " ".join(words[before:end]), " ".join([*words[:before], "…", *words[end:]])


def _elsewhere(chosen: Sequence[Row], rows: Sequence[Row], templates: Sequence[str]) -> list[Row]:
    """The rows with a sentence about a man or a woman, in turn, of the template half the list away."""
    by_template = {row.template: row for row in reversed(rows)}
    place_of = {template: at for at, template in enumerate(templates)}
    found = []
    for turn, row in enumerate(chosen):
        away = templates[(place_of[row.template] + len(templates) // 2) % len(templates)]
        other = by_template[away]
        person = (other.man, other.woman)[turn % 2][0]
        found.append(Row(row.item, row.place, row.occupation, row.template, row.man, row.woman, person))
    return found
