"""Tables rendered as Markdown and as LaTeX, whatever the texts in them are."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\S{}",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "↕": r"$\updownarrow$",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "…": r"\ldots{}",
}
_SPECIAL = re.compile("|".join(re.escape(each) for each in _LATEX))
_MARKDOWN = re.compile(r"[\\|*`~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])|^[#>+-](?=\s)")
_SPACE = re.compile(r"\s+")
_LATIN_ENDS = 0x180
_SMALL = 6


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
    parts = [f"## {_pipe(table.title)}"]
    for grid in table.grids:
        words = len(grid.columns) - grid.n_numbers
        rows = [[_markdown_cell(cell) for cell in row] for row in (grid.columns, *grid.rows)]
        rows.insert(1, ["---"] * words + ["---:"] * grid.n_numbers)
        lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts += [f"### {_pipe(grid.title)}", lines] if grid.title else [lines]
    if not table.grids:
        parts.append("Nothing to list.")
    return "\n\n".join([*parts, _pipe(table.note)]) + "\n"


def latex(table: Document) -> str:
    """``table`` environments in the style of booktabs; compile with the packages ``booktabs`` and ``textcomp``."""
    parts = [r"% needs \usepackage{booktabs,textcomp}"]
    for i, grid in enumerate(table.grids):
        parts += _environment(table, grid, f"-{i + 1}" if i else "")
    if not table.grids:
        parts.append(f"{escape(table.title)}: nothing to list. {escape(table.note)}")
    return "\n".join([*parts, ""])


def escape(text: str) -> str:
    """``text`` on one line with all characters escaped that are special in LaTeX.

    Letters beyond the Latin alphabet, which LaTeX cannot set without further packages, become "?".
    """
    escaped = _SPECIAL.sub(lambda match: _LATEX[match.group()], _SPACE.sub(" ", text))
    return "".join(each if each.isprintable() and ord(each) < _LATIN_ENDS else "?" for each in escaped)


def _environment(table: Document, grid: Grid, suffix: str) -> list[str]:
    caption = ". ".join(escape(each) for each in (table.title, grid.title) if each)
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
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(_latex_cell(each) for each in grid.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\medskip",
        rf"\begin{{minipage}}{{\linewidth}}\footnotesize {escape(table.note)}\end{{minipage}}",
        r"\end{table}",
    ]


def _latex_cell(cell: Cell) -> str:
    # Without braces LaTeX would read a bracket at the beginning of a row, or a star, as an argument of the row before.
    text = escape(cell.text if isinstance(cell, Marked) else cell)
    text = text.replace("[", "{[}").replace("]", "{]}")
    text = f"{{}}{text}" if text.startswith("*") else text
    mark = cell.mark if isinstance(cell, Marked) else ""
    return text + (rf"\textsuperscript{{{escape(mark)}}}" if mark else "")


def _markdown_cell(cell: Cell) -> str:
    return _pipe(cell.text + cell.mark if isinstance(cell, Marked) else cell)


def _pipe(text: str) -> str:
    """Text on one line in which nothing is markup: neither Markdown's nor HTML's."""
    escaped = _MARKDOWN.sub(lambda match: "\\" + match.group(), _SPACE.sub(" ", text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
