"""The DVC repository of a clone, opened; what to do where DVC cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairshrink.errors import UserError


def opened(root: Path) -> Any:
    """DVC's own object for the repository at ``root``. Raises UserError."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return Repo(str(root.resolve()))
    except DvcException as error:
        said = " ".join(str(error).split())
        raise UserError(f"{root.resolve()}: DVC cannot start ({said}). {remedy(said)}") from error


def remedy(said: str) -> str:
    """What to do about DVC's message."""
    if "is not a git repository" in said:
        return "DVC needs git: `git init` makes a repository here, `dvc config --local core.no_scm true` does without."
    return "`dvc init` sets it up; its settings are in .dvc/config and .dvc/config.local."
