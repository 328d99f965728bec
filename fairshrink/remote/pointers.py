"""DVC pointers: one small file next to each artifact, committed to git, that says which bytes it consists of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote.repository import remedy
from fairshrink.store import checked
from fairshrink.store.layout import ARTIFACT_GLOBS, MARKER

MAX_ARGUMENTS = 5000
"""Paths that fit on one command line."""


def pointer(path: Path) -> Path:
    """The pointer file of an artifact."""
    return path.with_name(path.name + ".dvc")


def recorded(root: Path = Path()) -> dict[str, Path]:
    """Every artifact that has a pointer in the working tree, of any study: path → pointer, sorted by path."""
    found = sorted(each for pattern in ARTIFACT_GLOBS for each in root.glob(f"{pattern}.dvc") if each.is_file())
    return {each.relative_to(root).with_suffix("").as_posix(): each for each in found}


def unrecorded(paths: Iterable[str], root: Path = Path()) -> list[str]:
    """Those of the artifacts that exist in this clone without a pointer, sorted."""
    return sorted(path for path in paths if (root / path / MARKER).is_file() and not pointer(root / path).exists())


def record(paths: Iterable[str], computed: Iterable[str] = (), root: Path = Path()) -> list[str]:
    """Create pointers for those of a study's artifacts that have none, in one DVC call; returns the recorded paths.

    An artifact that was ``computed`` although it had a pointer (its old bytes are lost, or restoring was switched off)
    gets a new one; one that is not what its record says gets none. Outside of a DVC repository nothing is recorded, and
    the log says so. A failure of DVC is reported but does not undo the run: the artifacts are kept, and the next run
    records them.
    """
    renewed = {path for path in computed if (root / path / MARKER).is_file()}
    new = sorted(renewed.union(unrecorded(paths, root)))
    if not new:
        return []
    if not (root / ".dvc").is_dir():
        log(f"no .dvc folder here: {len(new)} artifacts were not recorded (`dvc init` creates it)")
        return []
    linked = {folder for path in new for folder in _linked(path, root)}
    if linked:
        log(
            f"{', '.join(sorted(linked))}: a symbolic link, which DVC does not follow: {len(new)} artifacts are kept "
            "and used, but have no pointers. To share them, mount the other disk there (`mount --bind`), or move the "
            "clone to it."
        )
        return []
    new = [path for path in new if _sound(path, root)]
    for start in range(0, len(new), MAX_ARGUMENTS):
        if not _add(new[start : start + MAX_ARGUMENTS], root):
            return new[:start]
    return new


def announce(new: Collection[str]) -> None:
    """Say that artifacts were recorded, and what to do with that; nothing is said of none."""
    if new:
        log(f"recorded {len(new)} new artifacts; commit their pointers (git add data results) and `make share` them")


def _sound(path: str, root: Path) -> bool:
    """Whether an artifact is what its record says: a pointer to damaged bytes would have others restore them."""
    try:
        checked.require(Path(path), root)
    except UserError as error:
        log(f"not recorded: {error}")
        return False
    return True


def _linked(path: str, root: Path) -> list[str]:
    """Folders above an artifact that are symbolic links."""
    return [each.as_posix() for each in Path(path).parents if (root / each).is_symlink() and each != Path()]


def _add(paths: list[str], root: Path) -> bool:
    command = [sys.executable, "-m", "fairshrink.remote.recording", *paths]
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()[-2000:]
        log(f"DVC could not record {len(paths)} artifacts; the next run tries again. {_reason(said, root)}")
    return done.returncode == 0


def _reason(said: str, root: Path) -> str:
    if "unexpected error" in said and set("{}") & set(str(root.resolve())):
        return (
            "Its cache cannot be below a folder with braces in its name: `dvc cache dir --local DIR` puts it elsewhere"
        )
    return f"DVC's message: {said} {remedy(said) if 'git repository' in said else ''}".rstrip()
