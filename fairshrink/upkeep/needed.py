"""What the studies of a repository need: those of the working tree, and those at the tips of branches and tags.

Keys depend on code, so each commit's studies are listed with that commit's own code, in a separate process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote import cache_objects
from fairshrink.upkeep import list_artifacts, listings, repository
from fairshrink.upkeep.formatting import count
from fairshrink.upkeep.repository import Tree

KEYS = ("study", "downloads", "models", "tasks", "metrics")
"""Top-level keys of a study; a file with all but one of them counts as a study, as one may be misspelled."""
ENDINGS = (".yaml", ".yml")
POINTER = ".dvc"


@dataclass
class Needed:
    """Paths of artifacts that studies need, and DVC objects that pointers of commits name.

    ``by_pointers``: refs whose studies cannot be listed, with the reason; what their pointers name is needed.
    """

    paths: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    studies: list[str] = field(default_factory=list)
    refs: list[str] = field(default_factory=list)
    by_pointers: dict[str, str] = field(default_factory=dict)


def needed(root: Path) -> Needed:
    """Everything that must be kept. Raises UserError where a study of the working tree has mistakes."""
    found = Needed()
    _working_tree(root, found)
    _commits(root, found)
    return found


def is_study(text: str) -> bool:
    """Whether a YAML file is meant to be a study, even one with mistakes."""
    try:
        content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        keys = set(map(str, content)) if isinstance(content, dict) else set()
    except (yaml.YAMLError, ValueError, TypeError):
        keys = set(re.findall(r"^(\w+)\s*:", text, re.MULTILINE))
    return len(keys.intersection(KEYS)) >= len(KEYS) - 1


def _working_tree(root: Path, found: Needed) -> None:
    files = repository.working_files(root, *(f"*{ending}" for ending in ENDINGS))
    found.studies = [name for name in files if is_study((root / name).read_text(encoding="utf-8", errors="replace"))]
    log(f"listing the artifacts of {count(len(found.studies), 'study file')}")
    listed = _list(root, found.studies)
    mistakes = [each for each in listed.values() if isinstance(each, str)]
    if mistakes:
        raise UserError(
            "\n\n".join(mistakes)
            + "\n\nWhat these studies need cannot be determined, so nothing was removed. Fix them, or delete the files."
        )
    found.paths.update(*listed.values())


def _commits(root: Path, found: Needed) -> None:
    tips = repository.tips(root)
    found.refs = sorted(name for tip in tips for name in tip.names)
    pointers = {name for tip in tips for path, name in tip.files.items() if path.endswith((POINTER, "dvc.lock"))}
    found.objects = cache_objects.mentioned(repository.contents(root, pointers).values())
    same_files: dict[frozenset[tuple[str, str]], list[Tree]] = {}
    for tip in tips:
        content = frozenset((path, name) for path, name in tip.files.items() if not path.endswith(POINTER))
        same_files.setdefault(content, []).append(tip)
    refs = count(len(found.refs), "branch or tag", "branches and tags")
    log(f"listing the studies of {refs}, {count(len(same_files), 'version')} of the files")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        listed = list(pool.map(lambda trees: _list_commit(root, trees[0]), same_files.values()))
    for trees, (paths, problems) in zip(same_files.values(), listed, strict=True):
        found.paths |= paths
        if problems:
            found.paths |= {path.removesuffix(POINTER) for tip in trees for path in tip.files if path.endswith(POINTER)}
            found.by_pointers |= dict.fromkeys((name for tip in trees for name in tip.names), problems[0])


def _list_commit(root: Path, tip: Tree) -> tuple[set[str], list[str]]:
    """Artifacts of a commit's studies, and why some cannot be listed."""
    yamls = {path: name for path, name in tip.files.items() if path.endswith(ENDINGS)}
    texts = repository.contents(root, yamls.values())
    studies = [path for path, name in yamls.items() if is_study(texts[name])]
    if not studies:
        return set(), []
    with tempfile.TemporaryDirectory(prefix="fairshrink-gc-") as folder:
        kept = listings.file(tip.files, POINTER, root)
        listed = listings.read(kept, studies)
        try:
            if not listed:
                repository.extract(root, tip.commit, Path(folder))
                listed = _list(Path(folder), studies)
                listings.write(kept, listed)
        except (UserError, OSError, tarfile.TarError) as error:
            return set(), [str(error)]
        problems = [each.replace(f"{Path(folder).resolve()}/", "") for each in listed.values() if isinstance(each, str)]
        problems += [each for path in studies for each in _missing_files(root, tip, path, texts[yamls[path]])]
        return {path for paths in listed.values() if isinstance(paths, list) for path in paths}, problems


def _missing_files(root: Path, tip: Tree, study: str, text: str) -> list[str]:
    """Local sources whose folder has files that are not in the commit: the study was run with other contents."""
    try:
        downloads = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["downloads"].values()
        local = [each["path"] for each in downloads if each["source"] == "local"]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []
    folders = [os.path.normpath(Path(study).parent / path) for path in local]
    return [
        f"{study}: files of the local source {folder} are not in git"
        for folder in folders
        if any(
            os.path.relpath(Path(base) / name, root) not in tip.files
            for base, _, names in os.walk(root / folder)
            for name in names
        )
    ]


def _list(folder: Path, studies: Sequence[str]) -> dict[str, list[str] | str]:
    """The artifacts of each study, expanded by the code in ``folder``, or why they cannot be listed."""
    if not studies:
        return {}
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    with tempfile.TemporaryDirectory(prefix="fairshrink-gc-") as scratch:
        output = Path(scratch) / "listed.json"
        done = subprocess.run(
            [sys.executable, "-c", Path(list_artifacts.__file__).read_text(encoding="utf-8"), str(output), *studies],
            cwd=folder,
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 or not output.is_file():
            message = (done.stderr.strip().splitlines() or ["no output"])[-1]
            return dict.fromkeys(studies, f"its code cannot list studies: {message}")
        return json.loads(output.read_text(encoding="utf-8"))
