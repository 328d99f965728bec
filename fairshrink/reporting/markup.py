"""Tables rendered as Markdown and as LaTeX, whatever the texts in them are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fairshrink.reporting import escaping

_SMALL = 6
_NO_WIDER = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""Makes what follows in braces smaller if it is wider than the text."""


@dataclass(frozen=True)
class Marked:
    """A cell's text with a mark that is set as a superscript where that is possible."""

    text: str
    mark: str = ""


Cell = str | Marked


@dataclass(frozen=True)
class Grid:
    """One grid of cells under a heading; the last ``n_numbers`` columns hold numbers. Rules are above ``rules``."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_numbers: int
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Document:
    """A readable table: grids, such as one per model, and the note that all of them need."""

    name: str
    title: str
    grids: tuple[Grid, ...]
    note: str


def markdown(table: Document) -> str:
    """Markdown under a heading, one table per grid."""
    parts = [f"## {escaping.markdown(table.title)}"]
    for grid in table.grids:
        words = len(grid.columns) - grid.n_numbers
        rows = [[_markdown_cell(cell) for cell in row] for row in (grid.columns, *grid.rows)]
        rows.insert(1, ["---"] * words + ["---:"] * grid.n_numbers)
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts += [f"### {escaping.markdown(grid.title)}", lines] if grid.title else [lines]
    if not table.grids:
        parts.append("Nothing to list.")
    return "\n\n".join([*parts, escaping.markdown(table.note)]) + "\n"


def latex(table: Document) -> str:
    """``table`` environments in the style of booktabs; no wider than the text; they need ``booktabs``,
    ``graphicx`` and ``textcomp``."""
    parts = [r"% needs \usepackage{booktabs,graphicx,textcomp}"]
    for i, grid in enumerate(table.grids):
        parts += _environment(table, grid, f"-{i + 1}" if i else "")
    if not table.grids:
        parts.append(f"{escaping.latex(table.title)}: nothing to list. {escaping.latex(table.note)}")
    return "\n".join([*parts, ""])


def _environment(table: Document, grid: Grid, suffix: str) -> list[str]:
    caption = ". ".join(escaping.latex(each) for each in (table.title, grid.title) if each)
    alignment = "l" * (len(grid.columns) - grid.n_numbers) + "r" * grid.n_numbers
    body = []
    for i, row in enumerate(grid.rows):
        body += [r"\midrule"] if i in grid.rules else []
        body.append(" & ".join(_latex_cell(each) for each in row) + r" \\")
    size = r"\small" if len(grid.columns) <= _SMALL else r"\scriptsize"
    return [
        r"\begin{table}",
        rf"\centering{size}\setlength{{\tabcolsep}}{{4pt}}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9]+', '-', table.name)}{suffix}}}",
        rf"{_NO_WIDER}{{\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(_latex_cell(each) for each in grid.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        "",
        r"\medskip",
        rf"\begin{{minipage}}{{\linewidth}}\footnotesize {escaping.latex(table.note)}\end{{minipage}}",
        r"\end{table}",
    ]


def _latex_cell(cell: Cell) -> str:
    # Without braces LaTeX would read a bracket at the beginning of a row, or a star, as an argument of the row before.
    text = escaping.latex(cell.text if isinstance(cell, Marked) else cell)
    text = text.replace("[", "{[}").replace("]", "{]}")
    text = f"{{}}{text}" if text.startswith("*") else text
    mark = cell.mark if isinstance(cell, Marked) else ""
    return text + (rf"\textsuperscript{{{escaping.latex(mark)}}}" if mark else "")


def _markdown_cell(cell: Cell) -> str:
    return escaping.markdown(cell.text + cell.mark if isinstance(cell, Marked) else cell)
