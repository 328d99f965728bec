"""Writes the report: one HTML file that needs neither a server nor a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fairshrink.analysis.verdict_kinds import MEANING
from fairshrink.reporting import answer
from fairshrink.reporting.escaping import json_in_page
from fairshrink.reporting.limits import limits, shared_rows
from fairshrink.reporting.report import cell_table
from fairshrink.reporting.report.payload import Items, payload
from fairshrink.reporting.report.side_tables import side_table
from fairshrink.reporting.report.verdict_looks import LOOKS, look
from fairshrink.resources import text_file

LARGEST = 20_000_000
"""Bytes of the file at most."""
TELLING = (12, 5, 2, 0)
"""Items that are shown for each cell; the next number is tried where the file would be too large."""


def write(
    path: Path,
    cells: pd.DataFrame,
    agreement: pd.DataFrame,
    flips: pd.DataFrame,
    degeneracy: pd.DataFrame,
    validity: pd.DataFrame,
    measurements: pd.DataFrame,
    items: Items,
    about: Mapping[str, Any],
) -> None:
    """Write the report to ``path``.

    The frames are those of the tables of the same names (docs/results.md). ``items`` has the scores of a cell's items
    on the model and on its baseline (`payload.Items`); cells that it lacks are shown without items. ``about`` is
    `results.about`, and may have ``checkpoints``: a list of mappings with ``model``, ``task``, ``method``, ``setting``
    and what is known of ``split``, ``path``, ``key``, ``commit``, ``code`` and ``scores`` (metric → path of its items).
    A page that would be too large has fewer items for each cell, then no controls, then only the most telling cells.
    """
    side = {"agreement": agreement, "flips": flips, "degeneracy": degeneracy, "validity": validity}
    fixed = {
        "about": about,
        "summary": answer.summary(cells),
        "answers": answer.sentences(cells),
        "limits": [*limits(cells), *shared_rows(about)],
        "columns": cell_table.COLUMNS,
        "verdicts": [look(each) | {"meaning": MEANING[each]} for each in LOOKS],
        "style": Markup(text_file(__file__, "report.css")),
        "library": Markup(get_plotlyjs()),
        "scripts": Markup("\n".join(_scripts())),
        **{name: side_table(name, frame) for name, frame in side.items()},
    }
    for part, n_items in _smaller(cells.reset_index(drop=True)):
        rows = cell_table.shown(part)
        data = json_in_page(payload(part, items, measurements, about, n_items))
        html = _template().render(
            fixed,
            data=Markup(data),
            rows=rows,
            choices=cell_table.choices(rows),
            overview=cell_table.overview(part),
            left_out=len(cells) - len(part),
        )
        if len(html.encode("utf-8")) <= LARGEST:
            path.write_text(html, encoding="utf-8")
            return
    raise ValueError(f"{path}: even without cells the page has more than {LARGEST:,} bytes")


def _smaller(cells: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, int]]:
    """What a page shows, and items of each cell, from all to nothing."""
    yield from ((cells, n) for n in TELLING)
    rank = {each: i for i, each in enumerate(answer.ORDER)}
    part = cells[~cells["control"].astype(bool)]
    part = part.loc[part["verdict"].map(rank).fillna(len(rank)).sort_values(kind="stable").index]
    while len(part):
        yield part.sort_index().reset_index(drop=True), 0
        part = part.head(len(part) // 2)
    yield part, 0


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text_file(__file__, "page.html"))


def _scripts() -> list[str]:
    return [
        text_file(__file__, "common.js"),
        text_file(__file__, "tables.js"),
        text_file(__file__, "details.js"),
        text_file(__file__, "charts.js"),
    ]
