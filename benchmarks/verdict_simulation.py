"""How often is a verdict wrong? Studies with a known truth, from drawn items to verdicts by the analysis of real ones.

*Nulls*: compressions that only lose signal and damage without direction, so that every "more biased" or "less biased"
is false. *Planted*: changes of one and two margins beyond that. Prints Markdown tables; docs/statistics.md has those of
a full run.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drawn_items import KINDS, LAWS, Cell
from benchmarks.drawn_studies import Design, study
from fairshrink.analysis import verdict_kinds as kinds

LOSSES = (0.005, 0.1, 0.25, 0.4, 0.55, 0.7, 0.9)
"""Of signal, in every null study: one compression each."""
NULL = Design(tuple(Cell(1 - loss) for loss in LOSSES))
KEPT = (0.9, 0.6)
FULL, SMALL, PART = 2000, 1, 50


@dataclass(frozen=True)
class Scenario:
    """Studies of one design; the noise of study ``i`` is of law ``i`` modulo their number. ``share`` of all studies."""

    table: str
    name: str
    kind: str
    design: Design
    share: float = 1.0


@dataclass(frozen=True)
class Part:
    """Studies ``first`` to ``last`` (not included) of a scenario."""

    scenario: Scenario
    first: int
    last: int


@dataclass(frozen=True)
class Judged:
    """The cells of all studies of a scenario: columns study, kept, planted, verdict, residual."""

    scenario: Scenario
    cells: pd.DataFrame

    @property
    def studies(self) -> int:
        return int(self.cells["study"].nunique())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--studies", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="one study of each scenario")
    parser.add_argument("--only", nargs="*", default=[""], help="scenarios whose table and name match one of these")
    parser.add_argument("--keep", type=Path, help="folder of finished studies, to resume a run of this code")
    options = parser.parse_args()
    chosen = [
        each for each in scenarios() if any(re.search(part, f"{each.table}: {each.name}") for part in options.only)
    ]
    counts = [SMALL if options.small else max(1, round(options.studies * each.share)) for each in chosen]
    parts = [part for each, count in zip(chosen, counts, strict=True) for part in parts_of(each, count)]
    with ProcessPoolExecutor(options.processes) as pool:
        found = list(pool.map(partial(resumed, seed=options.seed, folder=options.keep), parts))
    judged = [
        Judged(each, pd.concat([cells for part, cells in zip(parts, found, strict=True) if part.scenario is each]))
        for each in chosen
    ]
    for table in dict.fromkeys(each.table for each in chosen):
        print(f"\n### {table}\n")
        print(markdown([each for each in judged if each.scenario.table == table]))


def scenarios() -> Iterator[Scenario]:
    """All of them, in the order of the tables."""
    nulls, same = "Compressions that only lose signal", "All compressions lose the same"
    for kind in KINDS:
        yield Scenario(nulls, kind, kind, NULL)
    for kind in KINDS:
        yield Scenario(nulls, f"{kind}, seeds differ more after more damage", kind, replace(NULL, growth=0.5), 0.2)
        yield Scenario(nulls, f"{kind}, seeds do not differ", kind, replace(NULL, between=0.0), 0.1)
        yield Scenario(nulls, f"{kind}, 3 splits", kind, replace(NULL, splits=3), 0.1)
        yield Scenario(nulls, f"{kind}, no controls", kind, replace(NULL, controls=()), 0.1)
    for kind in KINDS:
        for kept in (0.9, 0.3):
            yield Scenario(same, f"{kind}, −{1 - kept:.0%}", kind, replace(NULL, compressions=(Cell(kept),) * 6), 0.1)
    cells = tuple(Cell(kept, planted) for kept in KEPT for planted in (0.0, 1.0, 2.0))
    for kind in KINDS:
        for between, splits in ((0.0, 1), (0.25, 1), (1.0, 1), (0.25, 3)):
            name = f"{kind}, sd between seeds × {between:g}, {splits} split{'s' if splits > 1 else ''}"
            yield Scenario("Power", name, kind, Design(cells, between=between, splits=splits), 0.1)


def parts_of(scenario: Scenario, studies: int) -> list[Part]:
    """All studies of a scenario, a few at a time."""
    return [Part(scenario, first, min(first + PART, studies)) for first in range(0, studies, PART)]


def resumed(part: Part, seed: int, folder: Path | None) -> pd.DataFrame:
    """The cells of a part, read if they are in the folder, else put there."""
    if folder is None:
        return cells_of(part, seed)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{part.scenario.table} {part.scenario.name} {seed} {part.first} {part.last}"
    path = folder / (re.sub(r"\W+", "-", name) + ".parquet")
    if not path.is_file():
        began = time.perf_counter()
        cells_of(part, seed).to_parquet(path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        print(f"{name} ({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)
    return pd.read_parquet(path)


def run(scenario: Scenario, studies: int, seed: int) -> Judged:
    """The first studies of a scenario, judged."""
    return Judged(scenario, cells_of(Part(scenario, 0, studies), seed))


def cells_of(part: Part, seed: int) -> pd.DataFrame:
    """The cells of a part. Each study has its own generator: it is the same however many are run."""
    scenario, found = part.scenario, []
    salt = zlib.crc32(f"{scenario.table}/{scenario.name}".encode())
    for i in range(part.first, part.last):
        design = replace(scenario.design, law=LAWS[i % len(LAWS)])
        table = study(KINDS[scenario.kind], design, np.random.default_rng((seed, salt, i)))
        columns = {name: table[name].to_numpy() for name in ("verdict", "residual", "n_controls")}
        kept, planted = zip(*((cell.kept, cell.planted) for cell in design.compressions), strict=True)
        found.append(pd.DataFrame({"study": i, "law": design.law, "kept": kept, "planted": planted, **columns}))
    return pd.concat(found, ignore_index=True)


def false_changes(judged: Judged, verdicts: Sequence[str] = kinds.CHANGED) -> float:
    """Share of studies with one of these verdicts on a compression that has no change of its own."""
    cells = judged.cells
    return float((cells["verdict"].isin(verdicts) & (cells["planted"] == 0)).groupby(cells["study"]).any().mean())


def markdown(judged: Sequence[Judged]) -> str:
    """One row for each scenario."""
    planted = any(cell.planted for each in judged for cell in each.scenario.design.compressions)
    rows = [found(each) if planted else nulls(each) for each in judged]
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for each, row in zip(judged, rows, strict=True):
        lines.append(f"| {each.scenario.name} | " + " | ".join(row.get(name, "") for name in names) + " |")
    return "\n".join(lines)


def nulls(judged: Judged) -> dict[str, str]:
    """Percent of studies with a false change, percent of compressions with each verdict."""
    cells = judged.cells
    losses = sorted(cells["kept"].unique(), reverse=True)
    changed = cells["verdict"].isin(kinds.CHANGED)
    row = {"any changed": _percent(false_changes(judged))}
    if len(losses) > 1:
        row |= {f"−{100 * (1 - k):.3g}%": _percent(changed[cells["kept"] == k].mean()) for k in losses}
    row |= {name: _percent((cells["verdict"] == verdict).mean()) for verdict, name in SHORT.items()}
    return row | {"studies": f"{judged.studies:,}"}


def found(judged: Judged) -> dict[str, str]:
    """Percent of planted changes by what is said of them, and of studies with a false change elsewhere."""
    cells = judged.cells
    right, wrong = kinds.MORE_BIASED, kinds.LESS_BIASED
    if KINDS[judged.scenario.kind].unbiased == 1:  # a planted change raises the headline: here toward that
        right, wrong = wrong, right
    row = {}
    for margins in sorted(cells.loc[cells["planted"] > 0, "planted"].unique()):
        given = cells.loc[cells["planted"] == margins, "verdict"]
        row[f"{margins:g} margins: found"] = _percent((given == right).mean())
        row[f"{margins:g}: as damage does"] = _percent((given == kinds.AS_DAMAGE).mean())
        row[f"{margins:g}: inside the margin"] = _percent(given.isin(INSIDE).mean())
        row[f"{margins:g}: wrong way"] = _percent((given == wrong).mean())
    return row | {"false elsewhere": _percent(false_changes(judged)), "studies": f"{judged.studies:,}"}


SHORT = {
    kinds.AS_DAMAGE: "as damage does",
    kinds.UNCONTROLLED: "not controlled",
    kinds.UNCHANGED: "unchanged",
    kinds.ONLY_RANDOM: "only more random",
    kinds.NO_CHANGE: "no change beyond",
    kinds.UNRESOLVED: "cannot resolve",
    kinds.NOT_MEASURABLE: "not measurable",
}
INSIDE = (kinds.UNCHANGED, kinds.ONLY_RANDOM, kinds.NO_CHANGE)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
