"""What may become of an edited study: a mistake that says file, key and remedy, or what its file says, nothing else."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import every_section
import study_meaning
import yaml

from fairshrink.errors import UserError
from fairshrink.log import shown
from fairshrink.planning import studies
from fairshrink.planning.grid import expand
from fairshrink.study.mistakes import StudyError

INTERNAL = re.compile(
    r"function-|\[inside|NoneType|has no attribute|object at 0x|pydantic|(string|int|float|bool|list|dict|model)_type"
    r"|not iterable|unhashable|Traceback|dictionary|<unicode string>"
)
"""What a message says that was written by no one."""
LONGEST = 30_000
HANGS_S = 300
"""Far more than any study takes on any machine."""


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder with the local files of the study, as a clone in which `fairshrink` is started."""
    every_section.write(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def keys_of(data: bytes, folder: Path) -> set[str]:
    """The artifacts of a study's file; their paths hold their keys."""
    file = folder / "study.yaml"
    file.write_bytes(data)
    return set(expand(studies.load(file)))


def judged(data: bytes, folder: Path) -> str:
    """ "refused" or "accepted". Raises AssertionError for every other outcome, with the reason."""
    file = folder / "study.yaml"
    file.write_bytes(data)
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(HANGS_S)
    try:
        loaded = studies.load(file)
        expand(loaded)
    except StudyError as error:
        _check(error, file)
        return "refused"
    except UserError as error:
        raise AssertionError(f"a mistake without a key: {error}") from error
    finally:
        signal.alarm(0)
    different = study_meaning.differences(study_meaning.tree_of(data), loaded)
    assert not different, different
    return "accepted"


def _hangs(number: int, frame: FrameType | None) -> Any:
    raise AssertionError("it takes for ever")


def _check(error: StudyError, file: Path) -> None:
    text = str(error)
    assert error.mistakes and error.file == str(file) and str(file) in text
    assert len(text) < LONGEST, f"{len(text)} characters"
    for each in error.mistakes:
        assert each.key and each.reason and each.remedy, each
        found = INTERNAL.search(f"{each.reason} {each.remedy} {each.key}")
        assert not found, (found, each)
    assert all(letter.isprintable() or letter == "\n" for letter in shown(error)), text


def described(data: bytes) -> str:
    """An edited study as a failing test shows it: what differs from the unedited one."""
    before = yaml.safe_dump(every_section.content(), sort_keys=False, allow_unicode=True, width=10**6).splitlines()
    lines = data.decode(errors="backslashreplace").splitlines()
    return "\n".join(f"+ {each[:200]}" for each in lines if each not in before)
