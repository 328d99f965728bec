"""A local folder or file: a fine-tuned model, a labeled table. It is copied; its contents are its pin.

Editing the file therefore creates a new download and everything that depends on it; the old results are kept.

Pin: SHA-256 of each file, by name; where the folder is does not count.
Network: None.
    Left out: version control (`.git`, `.gitignore`, …), caches and what file managers leave (`__pycache__`, `.cache`,
    `.DS_Store`, …), unfinished files (`*.part`), and README, LICENSE and CHANGELOG
    texts (no ending, `.md`, `.txt`, `.rst`, `.html`; a table `license.csv` is data).
Limits: The contents are read and hashed whenever a study is planned, so large folders make planning slow.
Use:
    my_reviews: {source: local, path: data/my_reviews.csv}
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr

from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.settings import Possible, SourceSettings

FOLDERS_LEFT_OUT = frozenset({".git", ".hg", ".svn", ".dvc", "__pycache__", ".cache", ".ipynb_checkpoints"})
FILES_LEFT_OUT = (
    *(".gitignore", ".gitattributes", ".gitmodules", ".dvcignore"),
    *(".DS_Store", "Thumbs.db", "desktop.ini", ".snakemake_timestamp"),
)
ENDINGS_LEFT_OUT = (".part", ".pyc")
FOR_PEOPLE = frozenset({"readme", "license", "changelog"})
"""Names without endings, in lower case, of texts that nothing reads: an edit of one changes no result."""
ENDINGS_FOR_PEOPLE = frozenset({"", ".md", ".txt", ".rst", ".html"})


class Settings(SourceSettings):
    """Settings of a local folder or file."""

    path: Possible = Field(min_length=1, description="folder or file, relative to the study's file; ~ is your home")

    links: Literal["inside", "follow"] = Field(
        "inside", description="links to files outside of the folder: a mistake, or followed"
    )
    _pin: Mapping[str, Any] | None = PrivateAttr(None)

    @property
    def local(self) -> Path:
        """The folder or file."""
        return Path(self.path)

    def anchored(self, folder: Path) -> Self:
        """The same with an absolute path; the home of somebody who is not known stays as it is written."""
        path = Path(self.path)
        with contextlib.suppress(RuntimeError):
            path = path.expanduser()
        return self.model_copy(update={"path": str(folder / path)})

    def recalled(self, pin: Mapping[str, Any]) -> Self:
        """The same with what it was pinned by where it is."""
        other = self.model_copy()
        other._pin = pin
        return other


def pin(settings: Settings) -> dict[str, Any]:
    """Checksums of all files by name: the contents count, not their location. UserError if there are none.

    Of a source that is not on this machine they are those that were recorded elsewhere.
    """
    if settings._pin is not None and not Path(settings.path).exists():
        return dict(settings._pin)
    return {"files": _digests(_files(settings))}


def code(settings: Settings) -> tuple[CodeEntry, ...]:
    """Nothing that is found by its name."""
    return ()


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """Copy the file, or the contents of the folder, into ``target``."""
    files = _files(settings)
    for name, path in files.items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, place)
        except PermissionError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    copied = {name: target / name for name in files}
    return {"kind": "local", "path": settings.path, "files": _digests(copied)}


def _digests(files: dict[str, Path]) -> dict[str, str]:
    from fairshrink.store.artifacts import file_digest

    try:
        return {name: file_digest(path) for name, path in files.items()}
    except PermissionError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions") from error


def _files(settings: Settings) -> dict[str, Path]:
    """Files by their name below the folder, sorted; another artifact's provenance is not part of its contents."""
    root = Path(settings.path)
    if root.is_file():
        return {root.name: root}
    if not root.is_dir():
        raise UserError(f"{root}: this local source does not exist; write `path` relative to the study's file")
    found = dict(sorted(_walk(root, root, settings, (root.resolve(),))))
    if not found:
        raise UserError(f"{root}: this local source is an empty folder; put files into it or name another `path`")
    return found


def _walk(folder: Path, root: Path, settings: Settings, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """What is below a folder, through links; ``above`` are the real folders on the way to it."""
    for each in sorted(folder.iterdir()):
        name = each.relative_to(root).as_posix()
        if _left_out(each):
            continue
        real = each.resolve()
        if each.is_symlink() and settings.links == "inside" and not real.is_relative_to(above[0]):
            raise UserError(
                f"{root}: {name} is a link that leads out of this local source, to {real}; put the file itself there, "
                "or write `links: follow`"
            )
        if not real.exists():
            raise UserError(
                f"{root}: {name} is a link to {real}, which does not exist; remove it or put the file there"
            )
        if each.is_file():
            yield name, each
        elif each.is_dir() and real in above:
            raise UserError(f"{root}: {name} is a link to a folder that it is in itself; remove it")
        elif each.is_dir():
            yield from _walk(each, root, settings, (*above, real))


def _left_out(path: Path) -> bool:
    """What other programs leave in folders, what DVC leaves out of artifacts, and what only people read."""
    from fairshrink.store.layout import MARKER

    if path.is_dir():
        return path.name in FOLDERS_LEFT_OUT or (path.name.startswith(".") and path.name.endswith(".training"))
    lower = Path(path.name.lower())
    for_people = lower.name.split(".")[0] in FOR_PEOPLE and lower.suffix in ENDINGS_FOR_PEOPLE
    return path.name in (*FILES_LEFT_OUT, MARKER) or lower.name.endswith(ENDINGS_LEFT_OUT) or for_people
