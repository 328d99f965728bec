"""An overview rendered as Markdown and as LaTeX."""

from __future__ import annotations

import re

from fairshrink.reporting.overview import Entry, Line, Overview

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
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
}
_SPECIAL = re.compile("|".join(re.escape(each) for each in _LATEX))


def markdown(table: Overview) -> str:
    """A Markdown table under a heading, with its note."""
    header = [*table.columns, *table.metrics]
    rule = ["---"] * len(table.columns) + ["---:"] * len(table.metrics)
    rows = [[*line.labels, *(entry.text + entry.mark for entry in line.entries)] for line in table.lines]
    text = "\n".join("| " + " | ".join(_pipe(cell) for cell in row) + " |" for row in [header, *rows])
    first, rest = text.split("\n", 1)
    note = table.note.replace("*", r"\*")
    return f"## {_pipe(table.task)}\n\n{first}\n| {' | '.join(rule)} |\n{rest}\n\n{note}\n"


def latex(table: Overview) -> str:
    """A ``table`` environment in the style of booktabs; compiles with the packages ``booktabs`` and ``textcomp``."""
    header = " & ".join(escape(each.replace("_", " ")) for each in (*table.columns, *table.metrics))
    alignment = "l" * len(table.columns) + "r" * len(table.metrics)
    body = []
    for i, line in enumerate(table.lines):
        if i and line.role != table.lines[i - 1].role:
            body.append(r"\midrule")
        body.append(" & ".join(_latex_cells(line)) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,textcomp}",
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escape(table.task)}. {escape(table.note)}}}",
            rf"\label{{tab:overview-{re.sub('[^A-Za-z0-9]+', '-', table.task)}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            header + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escape(text: str) -> str:
    """``text`` with all characters escaped that are special in LaTeX."""
    return _SPECIAL.sub(lambda match: _LATEX[match.group()], text)


def _latex_cells(line: Line) -> list[str]:
    return [escape(each) for each in line.labels] + [_latex_entry(each) for each in line.entries]


def _latex_entry(entry: Entry) -> str:
    # Without braces LaTeX would read a bracket at the beginning of a row as an optional argument.
    text = escape(entry.text).replace("[", "{[}").replace("]", "{]}")
    return text + (rf"\textsuperscript{{{escape(entry.mark)}}}" if entry.mark else "")


def _pipe(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", r"\|").replace("*", r"\*")
