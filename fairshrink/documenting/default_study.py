"""The README's block on what the default study found: the report's sentences about the table of verdicts in docs/."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fairshrink.errors import UserError
from fairshrink.reporting.answer import answer

VERDICTS = "default_study/verdicts.csv"
"""results/tables/verdicts.csv of the run that the documents show, below docs/."""
START = "<!-- what the default study found: `make docs` writes it from docs/default_study/verdicts.csv -->"
END = "<!-- end of what the default study found -->"


def with_answer(readme: str, folder: Path) -> str:
    """The README's text with the block between its markers made anew. UserError if a marker or the table is missing."""
    if readme.count(START) != 1 or readme.count(END) != 1:
        raise UserError(f"README.md: it needs one line {START!r} and one line {END!r}")
    before, _, rest = readme.partition(START)
    return f"{before}{START}\n{block(folder / VERDICTS)}\n{END}{rest.partition(END)[2]}"


def block(path: Path) -> str:
    """The report's answer as Markdown: a paragraph, then one line for each compression."""
    if not path.is_file():
        raise UserError(f"{path}: it is missing; copy results/tables/verdicts.csv of the default study there")
    verdicts = pd.read_csv(path, keep_default_na=False, na_values=[""])
    verdicts["setting"] = verdicts["setting"].fillna("")
    first, *lines = answer(verdicts)
    named = (each.partition(":") for each in lines)
    return "\n".join([first, "", *(f"- **{name}**:{rest}" for name, _, rest in named)])
