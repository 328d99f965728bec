"""Remove what no study refers to any more: artifacts, their pointers, their objects in DVC's local cache, leftovers.

What is needed is determined from every study of the working tree and of every branch and tag (`needed`). The remote is
never touched, so what has been pushed can be fetched again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote.cache_objects import DIRECTORY, Objects, mentioned
from fairshrink.remote.pointers import pointer
from fairshrink.store import run_lock
from fairshrink.store.layout import FOLDERS, MARKER
from fairshrink.upkeep import locations, repository
from fairshrink.upkeep import needed as needs
from fairshrink.upkeep.formatting import count, size_text
from fairshrink.upkeep.needed import Needed

IDLE_S = 24 * 3600
"""Leftovers are removed when nothing has changed them for this long."""
MAX_LISTED = 10
CACHE, HALF_BUILT, TRAINING_STATES = "DVC's cache", "half-built leftovers", "training states"
MAPPED = "mapped data sets"
BLOCK_BYTES = 512


@dataclass(frozen=True)
class Item:
    """Something that is removed as a unit: its files and folders, the first of which names it."""

    group: str
    paths: tuple[Path, ...]


@dataclass
class Garbage:
    """What may be removed, in the order of removal, with the bytes that each item would free.

    ``pointers`` are removed with their artifacts; ``held`` of them are also in commits, which keep their objects in the
    cache.
    """

    needed: Needed
    items: list[Item] = field(default_factory=list)
    freed: dict[Item, int] = field(default_factory=dict)
    pointers: int = 0
    held: int = 0
    notes: list[str] = field(default_factory=list)


def collect(
    root: Path = Path(),
    *,
    yes: bool = False,
    dry_run: bool = False,
    every: bool = False,
    terminal: bool = False,
    ask: Callable[[str], str] = input,
) -> int:
    """List what no study needs, ask, remove it; returns the bytes freed.

    ``yes`` does not ask, ``dry_run`` only lists, ``every`` lists every item; without a ``terminal`` nobody can be
    asked. Raises UserError while a run is active, and where a study of the working tree has mistakes.
    """
    only_list = dry_run or not (yes or terminal)
    if not only_list:
        run_lock.acquire(root)
    try:
        garbage = find(root)
        print(text(garbage, root, every=every))
        if not garbage.items:
            return 0
        if only_list:
            print("Nothing was removed (--dry-run)." if dry_run else "Nothing was removed: add --yes to remove this.")
            return 0
        if not yes and ask("Remove this? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 0
        remove(garbage)
        freed = sum(garbage.freed.values())
        print(f"Removed; {size_text(freed)} freed." + " Commit it: git add -u" * bool(garbage.pointers))
        return freed
    finally:
        if not only_list:
            run_lock.release(root)


def find(root: Path = Path(), now: float | None = None) -> Garbage:
    """What no study needs, at the time ``now`` (seconds since 1970). Raises UserError."""
    garbage = Garbage(needs.needed(root))
    unneeded = _unneeded(root, garbage.needed)
    objects = Objects(root)
    garbage.items += [_artifact(root, path) for path in unneeded]
    pointed = [pointer(root / path) for path in unneeded if pointer(root / path).is_file()]
    garbage.pointers = len(pointed)
    if objects.exists and objects.is_own:
        named = [mentioned([each.read_text(encoding="utf-8", errors="replace")]) for each in pointed]
        garbage.held = sum(bool(names & garbage.needed.objects) for names in named)
        garbage.items += [Item(CACHE, (objects.path(name),)) for name in _unneeded_objects(root, garbage, objects)]
    elif objects.exists:
        garbage.notes.append(f"DVC's cache {objects.folder} may serve other repositories too and is not touched.")
    garbage.items += [
        Item(MAPPED, (root / path,)) for path, of in locations.mapped(root).items() if of not in garbage.needed.paths
    ]
    garbage.items += [Item(group, (root / path,)) for group, path in _idle(root, garbage.needed, now or time.time())]
    quarantine = root / locations.QUARANTINE
    garbage.items += [Item(locations.QUARANTINE, (quarantine,))] if quarantine.is_dir() else []
    garbage.freed = freed(garbage.items)
    return garbage


def _unneeded(root: Path, needed: Needed) -> list[str]:
    """Artifacts that exist in this clone, or only their pointers, and no study needs."""
    here = [path for path in locations.artifacts(root) if locations.is_keyed(path.rsplit("/", 1)[1])]
    return sorted({*here, *locations.pointers(root)} - needed.paths)


def _artifact(root: Path, path: str) -> Item:
    both = (root / path, pointer(root / path))
    return Item(locations.folder_of(path), tuple(each for each in both if each.exists()))


def _unneeded_objects(root: Path, garbage: Garbage, objects: Objects) -> list[str]:
    """Objects of artifacts that no pointer names and no study needs; the lists of files come last.

    After an interruption, the rest can still be found through the lists. Other data that DVC keeps for the user is not
    touched, and neither is what it shares with an artifact.
    """
    removed = {path for item in garbage.items for path in item.paths}
    files = {root / name for name in repository.working_files(root, "*.dvc", "*dvc.lock")}
    files |= {pointer(root / path) for path in locations.pointers(root)}
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files - removed)
    kept = garbage.needed.objects | mentioned(texts)
    names = set(objects.names())
    keys = {path.rsplit("-", 1)[-1] for path in garbage.needed.paths}
    lists = {name: objects.listing(name) or {} for name in names if name.endswith(DIRECTORY)}
    unneeded = {
        name
        for name, listed in lists.items()
        if name not in kept and MARKER in listed and _key(objects.path(listed[MARKER])) not in keys
    }
    kept |= {file for name in lists.keys() - unneeded for file in lists[name].values()}
    members = {file for name in unneeded for file in lists[name].values()}
    return [*sorted((members & names) - kept), *sorted(unneeded)]


def _key(record: Path) -> str | None:
    """The key in an artifact's record; None where the record, and with it the artifact, is lost."""
    try:
        content = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("key") if isinstance(content, dict) else None


def _idle(root: Path, needed: Needed, now: float) -> Iterator[tuple[str, str]]:
    """Leftovers that no process works on; the training state of a needed, unfinished baseline stays."""
    left = [(HALF_BUILT, path) for path in locations.half_built(root)]
    for path in locations.trainings(root):
        artifact = locations.trained(path)
        if artifact not in needed.paths or (root / artifact / MARKER).is_file():
            left.append((TRAINING_STATES, path))
    for group, path in left:
        if now - max(each.lstat().st_mtime for each in _beneath(root / path)) > IDLE_S:
            yield group, path


def _beneath(path: Path) -> Iterator[Path]:
    """A file, or a folder with everything in it."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for base, folders, names in os.walk(path):
            yield from (Path(base) / name for name in (*folders, *names))


def freed(items: Sequence[Item]) -> dict[Item, int]:
    """Allocated bytes that each item frees; a file with several links counts once, if its last link is removed."""
    removed = {path for item in items for path in item.paths}
    links: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], tuple[Item, int, int]] = {}
    for item in items:
        folder = item.paths[0].parent
        emptied = [folder] if locations.is_keyed(folder.name) and removed.issuperset(folder.iterdir()) else []
        for path in (*emptied, *(each for top in item.paths for each in _beneath(top))):
            status = path.lstat()
            inode = (status.st_dev, status.st_ino)
            links[inode] += 1
            needed_links = 1 if path.is_dir() and not path.is_symlink() else status.st_nlink
            first.setdefault(inode, (item, needed_links, status.st_blocks * BLOCK_BYTES))
    sizes = dict.fromkeys(items, 0)
    for inode, (item, needed_links, size) in first.items():
        if links[inode] >= needed_links:
            sizes[item] += size
    return sizes


def remove(garbage: Garbage) -> None:
    """Remove everything. An interruption leaves nothing that could be taken for complete; the next call continues."""
    log(f"removing {count(len(garbage.items), 'item')}")
    for item in garbage.items:
        for path in item.paths:
            try:
                _remove(path)
            except OSError as error:
                raise UserError(
                    f"{error.filename}: cannot be removed ({error.strerror}). Everything before it has been removed; "
                    "the next call continues from there."
                ) from error
        if item.group != CACHE:
            _drop_empty(item.paths[0].parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        hidden = path if path.name.startswith(".") else locations.hide(path)
        shutil.rmtree(hidden)
    else:
        path.unlink(missing_ok=True)


def _drop_empty(folder: Path) -> None:
    """Scores of one checkpoint share a folder, which is removed with the last of them."""
    if locations.is_keyed(folder.name) and not any(folder.iterdir()):
        folder.rmdir()


def text(garbage: Garbage, root: Path, *, every: bool = False) -> str:
    """The listing for people."""
    lines = _protected(garbage.needed) + garbage.notes
    if not garbage.items:
        return "\n".join([*lines, "There is nothing that no study needs."])
    lines.append("Not needed by any study:")
    for group in dict.fromkeys(item.group for item in garbage.items):
        lines += _group(group, [item for item in garbage.items if item.group == group], garbage.freed, root, every)
    lines.append(f"In total {size_text(sum(garbage.freed.values()))} would be freed; the remote is not touched.")
    if garbage.pointers:
        lines.append(
            f"{count(garbage.pointers, 'pointer')} (.dvc) would be removed too; commit that with `git add -u`."
        )
    if garbage.held:
        lines.append(
            f"{count(garbage.held, 'artifact')} of these stay in DVC's cache, as pointers in commits name them. They "
            "are freed when no branch or tag has these pointers and gc runs again."
        )
    return "\n".join(lines)


def _protected(needed: Needed) -> list[str]:
    lines = [
        f"Needed: {count(len(needed.paths), 'artifact')}, by {count(len(needed.studies), 'study file')} here and by "
        f"those of {count(len(needed.refs), 'branch or tag', 'branches and tags')}."
    ]
    lines += [
        f"  {ref}: everything that it has pointers to is kept ({reason.splitlines()[0]})"
        for ref, reason in sorted(needed.by_pointers.items())
    ]
    return lines


def _group(group: str, items: list[Item], sizes: dict[Item, int], root: Path, every: bool) -> Iterable[str]:
    noun = "object" if group == CACHE else "artifact" if group in FOLDERS.values() else "item"
    yield f"  {group:<22} {count(len(items), noun):>15} {size_text(sum(sizes[item] for item in items)):>12}"
    if group == CACHE and not every:
        return
    for item in items if every else items[:MAX_LISTED]:
        yield f"      {size_text(sizes[item]):>12}  {_label(item, root)}"
    if not every and len(items) > MAX_LISTED:
        yield f"      {'':>12}  … and {len(items) - MAX_LISTED} more (--all lists them)"


def _label(item: Item, root: Path) -> str:
    path = item.paths[0]
    return path.parent.name + path.name if item.group == CACHE else path.relative_to(root).as_posix()
