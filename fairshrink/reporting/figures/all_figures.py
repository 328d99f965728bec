"""Every figure of a study, from the table of cells and the checks on metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fairshrink.analysis.agreement import COLUMNS as AGREEMENT
from fairshrink.analysis.flips import COLUMNS as FLIPS
from fairshrink.analysis.validity import COLUMNS as VALIDITY
from fairshrink.reporting import selection
from fairshrink.reporting.figures.checks import agreement as draw_agreement
from fairshrink.reporting.figures.checks import validity as draw_validity
from fairshrink.reporting.figures.damage import bias_by_damage
from fairshrink.reporting.figures.dose import dose_response
from fairshrink.reporting.figures.flips import flips as draw_flips
from fairshrink.reporting.figures.scatter import bias_by_bytes, bias_by_latency, bias_by_task_score
from fairshrink.reporting.figures.sparsity import bias_by_sparsity
from fairshrink.reporting.outputs import figures_of
from fairshrink.reporting.style import Look, looks, save, styled
from fairshrink.reporting.tables import checked, costs

TITLES = {
    "bias_by_damage": "bias against damage",
    "bias_by_task_score": "bias against task performance",
    "bias_by_bytes": "bias against size",
    "bias_by_latency": "bias against latency",
    "bias_by_sparsity": "bias against sparsity",
    "flips": "items that changed side",
    "validity": "validity of the metrics",
    "agreement": "agreement of the metrics",
    "dose_response": "dose and response",
}


@dataclass(frozen=True)
class Given:
    """What the figures of one model on one task are drawn from."""

    cells: pd.DataFrame
    flips: pd.DataFrame
    agreement: pd.DataFrame
    validity: pd.DataFrame
    latency: pd.DataFrame
    appearance: dict[str, Look]


def write(
    cells: pd.DataFrame,
    flips: pd.DataFrame,
    agreement: pd.DataFrame,
    validity: pd.DataFrame,
    measurements: pd.DataFrame,
    about: Mapping[str, Any],
    folder: Path,
    results: pd.DataFrame | None = None,
) -> None:
    """Write every figure that `outputs.figures` names into ``folder``; frames may be empty.

    ``cells``: `results_file.CELLS`; ``measurements``: `results_file.MEASUREMENTS`, which need ``results`` to say whose
    their keys are; ``about``: `analysis.results.about`.
    """
    cells = selection.texts(cells)
    latency = costs.latency(pd.DataFrame() if results is None else results, measurements)
    flips = checked.complete(flips, FLIPS)
    agreement = checked.complete(agreement, AGREEMENT)
    validity = checked.complete(validity, VALIDITY)
    appearance = looks(cells)
    with styled():
        for (model, task), rows in selection.each_pair(cells):
            mine = [_of(each, model, task) for each in (flips, agreement, validity, latency)]
            given = Given(rows, mine[0], mine[1], mine[2], mine[3], appearance)
            sparsities = [None if pd.isna(each) else float(each) for each in rows["sparsity"]]
            for name in figures_of(zip(rows["method"], sparsities, strict=True)):
                save(drawn(name, given, f"{model}, {task}: {TITLES[name]}"), folder / f"{model}_{task}_{name}")


def drawn(name: str, given: Given, title: str) -> Figure:
    """The figure called ``name``, one of `outputs.figures_of`."""
    cells, appearance = given.cells, given.appearance
    match name:
        case "bias_by_damage":
            return bias_by_damage(cells, appearance, title)
        case "bias_by_task_score":
            return bias_by_task_score(cells, appearance, title)
        case "bias_by_bytes":
            return bias_by_bytes(cells, appearance, title)
        case "bias_by_latency":
            return bias_by_latency(cells, given.latency, appearance, title)
        case "bias_by_sparsity":
            return bias_by_sparsity(cells, appearance, title)
        case "flips":
            return draw_flips(given.flips, cells, appearance, title)
        case "validity":
            return draw_validity(given.validity, title)
        case "agreement":
            return draw_agreement(given.agreement, title)
        case "dose_response":
            return dose_response(cells, given.validity, title)
    raise ValueError(f"there is no figure {name}")


def _of(frame: pd.DataFrame, model: str, task: str) -> pd.DataFrame:
    return frame[(frame["model"] == model) & (frame["task"] == task)].reset_index(drop=True)
