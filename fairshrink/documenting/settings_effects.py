"""How the headline of each metric moves with its settings: the measured table docs/settings.csv, for the gallery."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

FILE = "settings.csv"
"""Below docs/; `benchmarks/settings.py` writes it."""
MODELS = {
    "encoder": "MiniLM as published",
    "masked": "MiniLM, masked LM of the default study",
    "nli": "MiniLM, NLI of the default study",
    "sentiment": "MiniLM, sentiment of the default study",
    "causal": "SmolLM2-135M-Instruct",
}
HEADER = ("setting", "value", "items", "headline", "change")
Row = Mapping[str, str]


def read(folder: Path | None) -> dict[str, list[Row]]:
    """The rows of each metric; none where the folder has no such table."""
    if folder is None or not (folder / FILE).is_file():
        return {}
    with (folder / FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [each for each in rows if each["metric"] == name] for name in {each["metric"] for each in rows}}


def of_metric(rows: Sequence[Row]) -> Iterator[str]:
    """Paragraphs of Markdown: a table for each model and base, or that there is none."""
    if not rows:
        yield "**How the headline moves with the settings** has not been measured (`benchmarks/settings.py`)."
        return
    if any(row["setting"] for row in rows):
        yield (
            f"**How `{rows[0]['statistic']}` moves with the settings.** Measured by `benchmarks/settings.py`, each "
            "setting changed alone; 95% intervals. The change is paired where the items are the same."
        )
    else:
        yield (
            f"**`{rows[0]['statistic']}` of the default models.** Measured by `benchmarks/settings.py`; 95% intervals. "
            "No setting moves it."
        )
    for (model, base), group in groupby(rows, lambda each: (each["model"], each["base"])):
        lines = [_line(each) for each in group]
        about = f"{MODELS.get(model, model)}{f' (`{base}`)' if base else ''}:"
        head = [HEADER, ("---", "---", "---:", "---:", "---:")]
        yield f"{about}\n\n" + "\n".join(f"| {' | '.join(each)} |" for each in (*head, *lines))


def _line(row: Row) -> tuple[str, ...]:
    value = row["value"].replace("|", "\\|")
    setting = f"`{row['setting']}`" if row["setting"] else "as it is"
    return (
        setting,
        f"`{value}`" if value else "",
        row["items"],
        _with_interval(row["estimate"], row["low"], row["high"]),
        _with_interval(row["change"], row["change_low"], row["change_high"]),
    )


def _with_interval(value: str, low: str, high: str) -> str:
    if not value:
        return ""
    shown = value.replace("-", "−")
    return f"{shown} ({low.replace('-', '−')} to {high.replace('-', '−')})" if low and high else shown
