"""Does the environment that runs have what the lock file names? What differs is said; make updates it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LOCKED = ("envs/requirements.lock", "envs/requirements-torch.txt")
"""What the environment is made from, in a clone."""
NAMED = 3
"""Differences that a message spells out."""


def outdated(root: Path) -> str | None:
    """A line on what the running environment has in other versions than the clone ``root`` names, with the remedy.

    None if there is nothing to say: all is as named, or there is no lock file. Results do not depend on it in their
    keys: an older library would compute, and only the record of the artifact would show it.
    """
    differing = differences(_wanted(root), _installed(sys.path))
    if not differing:
        return None
    rest = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    remedy = (
        "`make env` updates it"
        if Path(sys.prefix).resolve() == (root / ".venv").resolve()
        else f"`{sys.executable} -m pip install -r {LOCKED[0]} -r {LOCKED[1]}` updates it"
    )
    return (
        f"{sys.prefix}: this environment is not what {LOCKED[0]} names: {', '.join(differing[:NAMED])}{rest}; {remedy}"
    )


def differences(wanted: Iterable[Requirement], installed: Mapping[str, str]) -> list[str]:
    """What is missing or has another version, of the requirements that apply to this machine."""
    found = []
    for each in wanted:
        if each.marker is not None and not each.marker.evaluate():
            continue
        version = installed.get(canonicalize_name(each.name))
        if version is None:
            found.append(f"{each.name} is missing")
        elif not each.specifier.contains(version, prereleases=True):
            found.append(f"{each.name} {version} instead of {str(each.specifier).removeprefix('==')}")
    return found


def _wanted(root: Path) -> list[Requirement]:
    """Lines ``name==version ; marker``; the checksums below them are pip's to compare."""
    made = []
    for file in LOCKED:
        text = (root / file).read_text(encoding="utf-8") if (root / file).is_file() else ""
        for line in re.findall(r"^[A-Za-z0-9].*?(?=\s*\\?$)", text, re.MULTILINE):
            try:
                made.append(Requirement(line))
            except InvalidRequirement:  # an option, or half a merge: pip says what is wrong with it
                continue
    return made


def _installed(places: Iterable[str]) -> dict[str, str]:
    """The version of each package, by its name in normal form: the names of folders say it, nothing is opened."""
    found: dict[str, str] = {}
    for place in map(Path, places):
        names = [each.name for each in place.glob("*.dist-info")] if place.is_dir() else []
        for name in sorted(names):
            package, _, version = name.removesuffix(".dist-info").partition("-")
            found.setdefault(canonicalize_name(package), version)
    return found
