"""The overview of a whole study as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.reporting import selection
from fairshrink.reporting.marks import MARKS
from fairshrink.reporting.overview import Line, Overview

_CLASSES: dict[str, str] = {
    kinds.MORE_BIASED: "real",
    kinds.LESS_BIASED: "real",
    kinds.NOT_MEASURABLE: "lost",
    kinds.AS_DAMAGE: "unknown",
    kinds.UNCONTROLLED: "unknown",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; padding: 0 1.5rem; max-width: 76rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem }  h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p { max-width: 52rem }  .note { color: #57606a; font-size: .87rem }  .scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem }
th { text-align: left; border-bottom: 2px solid #1b1f24; padding: .35rem .8rem; vertical-align: bottom }
td { padding: .28rem .8rem; border-bottom: 1px solid #e4e7eb; white-space: nowrap }
th.n, td.n { text-align: right }
tr.baseline td { font-weight: 600; background: #f6f8fa }  tr.control td { color: #57606a }
tr.reference td { color: #57606a; font-style: italic; border-bottom: 0 }
tr.first td { border-top: 2px solid #aab2bb }
.real { background: #cfe3f5 }  .lost { background: #fbe3c4 }  .unknown { background: #e6e0ee }
.key span { padding: .1rem .5rem; margin-right: .4rem; border-radius: 3px }
"""


def page(overviews: Sequence[Overview], cells: pd.DataFrame, agreement: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """The page as HTML; every label is escaped."""
    study = escape(about["study"])
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{study}</title><style>{_STYLE}</style></head><body>',
        f"<h1>{study}</h1>",
        "<p>Does the bias of a compressed language model really change, or does the model only become more random? "
        "Each cell is compared with the uncompressed baseline on the same items.</p>",
        _tally(cells),
        _key(),
    ]
    for each in overviews:
        parts += [f"<h2>{escape(each.task)}</h2>", _table(each), f'<p class="note">{escape(each.note)}</p>']
    parts += ["<h2>Do the metrics agree?</h2>", _agreement(agreement), "</body></html>", ""]
    return "\n".join(parts)


def _tally(cells: pd.DataFrame) -> str:
    made = selection.compressed(selection.bias(cells))
    counts = made["verdict"].value_counts().to_dict()
    parts = [f"<b>{counts[name]}</b> {escape(name)}" for name in kinds.VERDICTS if name in counts]
    return f"<p>Of {len(made)} comparisons: {', '.join(parts)}.</p>" if parts else "<p>Nothing was compared.</p>"


def _key() -> str:
    spans = [f'<span class="{shade}">{escape(name)} {escape(MARKS[name])}</span>' for name, shade in _CLASSES.items()]
    return f'<p class="key">{"".join(spans)}</p>'


def _table(table: Overview) -> str:
    header = "".join(f"<th>{escape(each)}</th>" for each in table.columns)
    header += "".join(f'<th class="n">{escape(each.replace("_", " "))}</th>' for each in table.metrics)
    roles = ["", *(line.role for line in table.lines)]
    rows = [_row(line, line.role != before) for line, before in zip(table.lines, roles, strict=False)]
    return f'<div class="scroll"><table><tr>{header}</tr>\n' + "\n".join(rows) + "\n</table></div>"


def _row(line: Line, starts: bool) -> str:
    cells = [f"<td>{escape(each)}</td>" for each in line.labels]
    for entry in line.entries:
        title = f' title="{escape(entry.verdict)}"' if entry.verdict else ""
        classes = f"n {_CLASSES.get(entry.verdict, '')}".strip()
        cells.append(f'<td class="{classes}"{title}>{escape(entry.text)}{escape(entry.mark)}</td>')
    return f'<tr class="{line.role}{" first" if starts else ""}">{"".join(cells)}</tr>'


def _agreement(agreement: pd.DataFrame) -> str:
    if agreement.empty:
        return '<p class="note">There are fewer than two metrics to compare.</p>'
    header = "".join(
        f'<th class="{kind}">{name}</th>'
        for name, kind in [
            ("model", ""),
            ("task", ""),
            ("between", ""),
            ("and", ""),
            ("checkpoints", "n"),
            ("Spearman", "n"),
            ("interval", "n"),
            ("of residuals", "n"),
        ]
    )
    rows = []
    for row in agreement.itertuples():
        names = "".join(f"<td>{escape(str(each))}</td>" for each in (row.model, row.task, row.first, row.second))
        span = f"[{_r(row.ci_low)}, {_r(row.ci_high)}]" if pd.notna(row.ci_low) else "–"
        values = (str(row.n_checkpoints), _r(row.spearman), span, _r(getattr(row, "residual_spearman", float("nan"))))
        rows.append("<tr>" + names + "".join(f'<td class="n">{each}</td>' for each in values) + "</tr>")
    note = (
        "Spearman’s correlation over checkpoints, controls left out, of the amount of bias (distance from the "
        "unbiased model’s value if that is known). A metric that follows the task score measures task performance; "
        "two metrics of the same bias that do not follow each other cannot both be right."
    )
    body = "\n".join(rows)
    return f'<div class="scroll"><table><tr>{header}</tr>\n{body}\n</table></div><p class="note">{note}</p>'


def _r(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:+.2f}".replace("-", "−")
