"""One artifact that fails does not take its neighbors in the same job with it.

The others are made, then the job fails with the names of those that did not succeed. What went wrong is kept by key in
`FOLDER` until the artifact is made, so that later runs and partial tables can say why it is missing.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import left, log, progress
from fairshrink.store.artifacts import Recipe, disk_full, write_json

FOLDER = Path(".snakemake/fairshrink/failed")


class Failures:
    """The artifacts of a job that failed, with the reason."""

    def __init__(self, of: int, shown: Callable[[int], None] | None, earlier: Mapping[str, str]) -> None:
        self.of = of
        self._shown = shown
        self.reasons = dict(earlier)
        self._began = time.monotonic()
        self._done = set(earlier)

    @contextmanager
    def noted(self, recipes: Sequence[Recipe]) -> Iterator[None]:
        """An error in the block is that of these artifacts: it is noted, and what follows goes on.

        Of a job with one artifact, and where the disk is full, it is raised as it is.
        """
        try:
            yield
        except Exception as error:
            for each in recipes:
                _note(each, error)
            if self.of == 1 or disk_full(error) or (error.__cause__ is not None and disk_full(error.__cause__)):
                raise
            for each in recipes:
                self.reasons[each.path] = _shown(error)
            names = ", ".join(each.path for each in recipes)
            log(f"failed: {names}\n{error if isinstance(error, UserError) else traceback.format_exc().rstrip()}")
        else:
            for each in recipes:
                if each.path not in self.reasons:
                    (FOLDER / each.key).unlink(missing_ok=True)
        self._report({each.path for each in recipes})

    def _report(self, paths: set[str]) -> None:
        """How far the job is, once for each artifact."""
        if self.of > 1 and not paths <= self._done:
            self._done |= paths
            done = len(self._done)
            if self._shown:
                self._shown(done)
            log(f"{done} of {self.of} artifacts of this job{left(done, self.of, time.monotonic() - self._began)}")


_before: ContextVar[Mapping[str, str] | None] = ContextVar("before", default=None)


@contextmanager
def before(errors: Sequence[tuple[Recipe, UserError]]) -> Iterator[None]:
    """Inside, a job that makes the rest of its artifacts (`collected`) ends with these, which cannot be made, too."""
    for recipe, error in errors:
        _note(recipe, error)
        log(f"failed: {recipe.path}\n{error}")
    token = _before.set({recipe.path: _shown(error) for recipe, error in errors})
    try:
        yield
    finally:
        _before.reset(token)


@contextmanager
def collected(of: int) -> Iterator[Failures]:
    """For a job that makes ``of`` artifacts, beside those of `before`. Raises UserError at the end if some failed."""
    earlier = _before.get() or {}
    of += len(earlier)
    bar = progress("artifacts of this job", of, "artifacts", lines=False) if of > 1 else nullcontext()
    with bar as shown:
        found = Failures(of, shown, earlier)
        yield found
    if of == 1 and found.reasons:
        raise UserError(*found.reasons.values())
    if found.reasons:
        listed = "\n".join(f"  {path}: {reason}" for path, reason in found.reasons.items())
        made = of - len(found.reasons)
        raise UserError(f"{len(found.reasons)} of the {of} artifacts of this job failed, {made} exist:\n{listed}")


def reason(key: str, root: Path = Path()) -> str | None:
    """Why an artifact failed when it was tried last; None if it was not tried, or if it has been made since."""
    try:
        found = json.loads((root / FOLDER / key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(found.get("reason", "")) if isinstance(found, dict) else None


def _note(recipe: Recipe, error: Exception) -> None:
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_json(FOLDER / recipe.key, {"path": recipe.path, "reason": _shown(error), "process": os.getpid()})
    except OSError as second:
        log(f"{recipe.path}: its failure could not be noted ({second})")


def _shown(error: Exception) -> str:
    """One line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".rstrip(": ")
