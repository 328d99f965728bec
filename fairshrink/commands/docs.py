"""Write the generated files of docs/, and the README's findings beside it.

They are study.md, study.schema.json, gallery.md, models.md and models_compressions.md.

With --check nothing is written, and the exit status is 1 if one of them is out of date.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fairshrink.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--folder", type=Path, default=Path("docs"), help="where they are (default: docs)")
    parser.add_argument("--check", action="store_true", help="write nothing; say which are out of date")


def run(options: argparse.Namespace) -> int:
    """Generate, or compare. Raises UserError."""
    from fairshrink.documenting import pages

    if not options.folder.is_dir():
        raise UserError(f"{options.folder}: there is no such folder; start this in a clone, or name one by --folder")
    if not options.check:
        pages.write(options.folder)
    elif outdated := pages.outdated(options.folder):
        raise UserError(f"out of date: {', '.join(str(options.folder / name) for name in outdated)}; run `make docs`")
    return 0
