"""Pairs of sentences of which one is more stereotyping: CrowS-Pairs' CSV files, and StereoSet's JSON files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairshrink.data.faults import places
from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import table_rows
from fairshrink.metrics.stereoset import contexts

DIRECTIONS = ("stereo", "antistereo")
TAKEN = ("all", *DIRECTIONS)
COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in whom they are about; ``more`` is the more stereotyping one, ``place`` its origin."""

    item: str
    more: str
    less: str
    direction: str
    bias_type: str
    place: str = ""


def read(files: Iterable[Path], metric: str = "crows_pairs") -> list[Pair]:
    """Pairs of CSV files, named by their row numbers; UserError for files that are not CrowS-Pairs."""
    pairs: list[Pair] = []
    for path in map(Path, files):
        rows = table_rows(path, metric, "items", "crows_pairs_anonymized.csv", COLUMNS)
        _check(path, rows, metric)
        for number, row in rows:
            more, less, direction, bias_type = (row[name] for name in COLUMNS)
            pairs.append(Pair(f"{len(pairs):05d}", more, less, direction, bias_type, f"{path}, line {number}"))
    return pairs


def _check(path: Path, rows: Sequence[tuple[int, Mapping[str, str]]], metric: str) -> None:
    """Each row has all it needs; groups are told apart from each other and from all pairs together."""
    faults = {
        "an empty sentence": lambda row: not all(row[name].strip() for name in COLUMNS[:2]),
        "no bias type": lambda row: not row["bias_type"].strip(),
        f"stereo_antistereo is not {' or '.join(DIRECTIONS)}": lambda row: row["stereo_antistereo"] not in DIRECTIONS,
        f"a bias type called {', '.join(TAKEN)}, which is another group in tables": lambda row: (
            row["bias_type"] in TAKEN
        ),
    }
    for reason, is_wrong in faults.items():
        wrong = [number for number, row in rows if is_wrong(row)]
        if wrong:
            raise UserError(f"{metric}: {path}, {places('line', wrong)}: {reason}; fix the file")


def stereotyped_pairs(files: Iterable[Path], metric: str) -> list[Pair]:
    """Pairs of files in either form, by their ending: of StereoSet's the stereotype and its opposite in the gap.

    UserError for a context whose sentences are not the context with its gap filled.
    """
    paths = [Path(path) for path in files]
    found = read([path for path in paths if path.suffix != ".json"], metric)
    for context in contexts.read([path for path in paths if path.suffix == ".json"]) if _any_json(paths) else []:
        filled = contexts.fillers(context)
        if isinstance(filled, str):
            raise UserError(f"{metric}: {context.place}: {filled}; leave it out of the file")
        more, less = (filled.text(word) for word in filled.words[:2])
        found.append(Pair(context.item, more, less, DIRECTIONS[0], context.bias_type, context.place))
    return found


def _any_json(paths: Sequence[Path]) -> bool:
    return any(path.suffix == ".json" for path in paths)
