"""Logs of other programs judged, and tables of items scored, without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fairshrink.analysis.verdict_kinds import Verdict
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.errors import UserError
from fairshrink.judging import given as giving
from fairshrink.judging import judge as judging
from fairshrink.judging.given import Given
from fairshrink.judging.records import SETTINGS
from fairshrink.judging.tables import Options, module, read

PathLike = Path | str


@dataclass(frozen=True)
class Judged:
    """What was found. ``cells`` and ``results`` have the columns of cells.parquet and results.parquet.

    ``verdicts``: those of the compressed models' bias metrics. ``notes``: what was left out, in sentences.
    """

    cells: pd.DataFrame
    results: pd.DataFrame
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    level: float


def judge(
    baseline: PathLike,
    compressed: PathLike | Sequence[PathLike] = (),
    *,
    controls: Sequence[PathLike] = (),
    damage: Mapping[str, float] | None = None,
    metric: str | None = None,
    columns: Mapping[str, str] | None = None,
    select: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Sequence[Path]] | None = None,
    margins: Mapping[str | None, float] | None = None,
    level: float | None = None,
    shared_items: bool = False,
) -> Judged:
    """Rows and verdicts of compressed models against their baseline, from per-item logs. Raises UserError."""
    if level is not None and not 0 < level < 1:
        raise UserError(f"level {level}: a number between 0 and 1, such as 0.95")
    if metric is not None:
        module(metric)
    options = Options(metric, select, columns or {}, settings or {}, data or {})
    others = [compressed] if isinstance(compressed, str | Path) else list(compressed)
    families = _families(
        Path(baseline), [Path(each) for each in others], [Path(each) for each in controls], options, damage or {}
    )
    analysis, notes = judging.judge(
        families, level=level, margins=_by_entry(margins or {}, families), shared=shared_items
    )
    rows = analysis.cells
    of_bias = rows[rows["kind"].isin(BIAS_KINDS) & (rows["method"] != BASELINE) & ~rows["control"]]
    chosen = level if level is not None else float(families[0].baseline.study.get("level", judging.LEVEL))
    return Judged(rows, analysis.results, tuple(of_bias["verdict"]), tuple(notes), chosen)


def read_items(
    path: PathLike,
    metric: str | None,
    columns: Mapping[str, str],
    select: str | None,
    settings: Mapping[str, Any],
    data: Mapping[str, Sequence[Path]],
) -> pd.DataFrame:
    """The table of items of a log, sorted by item. Raises UserError.

    Settings that the log says, and the call does not, are in a column of the table, which `summarize` reads.
    """
    table = read(Path(path), Options(metric, select, columns, settings, data))
    said = {name: value for name, value in table.settings.items() if name not in settings}
    return table.items.assign(**{SETTINGS: json.dumps(said, sort_keys=True)}) if said else table.items


def _families(
    baseline: Path, compressed: list[Path], controls: list[Path], options: Options, damage: Mapping[str, float]
) -> list[judging.Family]:
    if not compressed:
        study = giving.whole_study(baseline)
        if not study:
            raise UserError(
                f"{baseline}: name the logs of compressed models too, or a folder that `fairshrink export-items` wrote"
            )
        if controls or damage:
            raise UserError("an exported study has its own controls and damage: leave --controls and --damage out")
        return judging.families_of(study)
    paths = [baseline, *compressed, *controls]
    found = [giving.load(each, options) for each in paths]
    if damage:
        found = _damaged(found, paths, damage)
    n = len(compressed)
    return [judging.family(found[0], found[1 : n + 1], found[n + 1 :])]


def _damaged(found: list[Given], paths: list[Path], damage: Mapping[str, float]) -> list[Given]:
    """With stated damages; the baseline's is 0. UserError for a log without one, or one without a log."""
    left = dict(damage)
    made = [found[0].with_damage(0.0)]
    for each, path in zip(found[1:], paths[1:], strict=True):
        value = left.pop(str(path), None)
        value = left.pop(each.name, None) if value is None else value
        if value is None:
            raise UserError(f"--damage: none is stated for {path}; state that of every log but the baseline's")
        made.append(each.with_damage(value))
    if left:
        raise UserError(f"--damage: {', '.join(map(str, left))} is none of the compressed models' or controls' logs")
    return made


def _by_entry(margins: Mapping[str | None, float], families: Sequence[judging.Family]) -> dict[str, float]:
    """Margins by the metric's entry. UserError if one is for all and there are several metrics of bias."""
    if None not in margins:
        return {str(name): value for name, value in margins.items()}
    given = [table for one in families for tables in one.baseline.tables.values() for table in tables.values()]
    of_bias = sorted({each.entry for each in given if module(each.metric).KIND in BIAS_KINDS})
    if len(of_bias) != 1:
        raise UserError(f"--margin: there are several metrics, {', '.join(of_bias)}; write METRIC=NUMBER for each")
    return {of_bias[0]: margins[None]}
