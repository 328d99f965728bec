"""Tables as plain text in columns, and whole tables as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fairshrink.errors import UserError
from fairshrink.reporting import csv_files
from fairshrink.store import places

WRITTEN = (".csv", ".parquet", ".json")


def grid(rows: Sequence[tuple[str, ...]], left: int) -> str:
    """Rows of text in columns, the first ``left`` of them flush left; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        pairs = enumerate(zip(row, widths, strict=True))
        lines.append("  ".join(cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in pairs))
    return "\n".join(line.rstrip() for line in lines)


def require(path: Path) -> None:
    """UserError where `write` could not write: for other endings, or where no file can be."""
    if path.suffix not in WRITTEN:
        raise UserError(f"{path}: {_unnamed(path)}; name a file that ends in one of {', '.join(WRITTEN)}")
    places.require_file(path)


def _unnamed(path: Path) -> str:
    return f"no format is called '{path.suffix}'" if path.suffix else "its ending does not say which format"


def write(table: pd.DataFrame, path: Path) -> None:
    """All columns: CSV, Parquet, or JSON, a list of objects. UserError as `require`."""
    require(path)
    with places.whole(path) as new:
        if path.suffix == ".csv":
            csv_files.write(table, new)
        elif path.suffix == ".parquet":
            table.to_parquet(new, index=False)
        else:
            rows = json.loads(table.to_json(orient="records", double_precision=15))
            new.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
