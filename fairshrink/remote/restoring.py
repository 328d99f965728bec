"""Restoring artifacts that are missing in this clone but recorded by a DVC pointer, from DVC's cache or its remote.

What is available is determined before anything starts: the objects of all artifacts of a plan are looked up in a few
batches. Only wrong bytes in the remote are not detected until they are fetched; these artifacts are then recorded as
lost, for the next run, until the objects are replaced. An artifact is checked against its own record before it is moved
into place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote import pointers
from fairshrink.remote.remote_store import MISSING, UnreachableError
from fairshrink.remote.storage import Storage, pointer_object
from fairshrink.store import artifacts

LOST = Path(".dvc/tmp/fairshrink-lost")
"""Folder with a file for each ``.dir`` object that could not be restored."""
MAX_LISTED = 5
HOW_TO_FIX = (
    "Fix the connection (`dvc remote list` shows the remote), or run `make share` in the clone that has them (a "
    "damaged object has to be removed from the remote first). Or recompute them: write `restore: preferred` under "
    "`execution` in the study, or add `--config restore=preferred`."
)


@dataclass(frozen=True)
class Loss:
    """Why an artifact is not available, and the remote's damaged objects by name, each with its stamp there."""

    reason: str
    damaged: dict[str, str] = field(default_factory=dict)


def finder(policy: str, root: Path = Path()) -> Callable[[set[str]], set[str]]:
    """A function that returns those of some missing artifacts that can be restored, by the study's policy.

    ``policy`` is required, preferred or never (`study.schema.Execution`). Under ``required`` the function raises
    UserError where a recorded artifact is not available.
    """
    storage = Storage(root)

    def find(paths: set[str]) -> set[str]:
        recorded = {path: pointers.pointer(root / path) for path in sorted(paths)}
        recorded = {path: pointer for path, pointer in recorded.items() if pointer.is_file()}
        if policy == "never" or not recorded:
            return set()
        lost = _lost(storage, {path: pointer_object(pointer) for path, pointer in recorded.items()})
        if lost:
            _report(lost, policy)
        return set(recorded) - set(lost)

    return find


def _lost(storage: Storage, wanted: dict[str, str]) -> dict[str, str]:
    """Of artifacts by path with their ``.dir`` objects, those that are not available, with the reason."""
    known = _recorded_losses(storage, set(wanted.values()))
    lost = {path: known[name] for path, name in wanted.items() if name in known}
    unknown = {path: name for path, name in wanted.items() if path not in lost}
    try:
        failed = storage.fetch(unknown.values())
    except UnreachableError as error:
        failed = dict.fromkeys(set(unknown.values()) - storage.in_cache(unknown.values()), str(error))
    lost |= {path: failed[name] for path, name in unknown.items() if name in failed}
    files = {path: set(storage.files(name).values()) for path, name in unknown.items() if name not in failed}
    every = set().union(*files.values())
    uncached = every - storage.in_cache(every)
    try:
        missing = uncached - storage.in_remote(uncached)
        reason = MISSING
    except UnreachableError as error:
        missing, reason = uncached, str(error)
    return lost | {path: reason for path, names in files.items() if names & missing}


def _report(lost: dict[str, str], policy: str) -> None:
    reasons: dict[str, list[str]] = {}
    for path, reason in lost.items():
        reasons.setdefault(reason, []).append(path)
    lines = [f"{len(lost)} recorded artifacts cannot be restored:"]
    for reason, paths in reasons.items():
        lines.append(f"  {reason}:")
        lines += [f"    {path}" for path in sorted(paths)[:MAX_LISTED]]
        lines += [f"    … and {len(paths) - MAX_LISTED} more"] if len(paths) > MAX_LISTED else []
    if policy == "required":
        raise UserError("\n".join([*lines, f"Nothing was started. {HOW_TO_FIX}"]))
    log("\n".join([*lines, "They are computed instead (execution.restore: preferred)."]))


def restore(paths: list[str], root: Path = Path()) -> None:
    """Restore artifacts. Raises UserError at the end if some were not available; the others exist by then."""
    storage = Storage(root)
    wanted = {
        path: pointer_object(pointers.pointer(root / path)) for path in paths if not artifacts.exists(root / path)
    }
    log(f"restoring {len(wanted)} artifacts")
    try:
        lost, faulty = _restore(storage, wanted)
        again = _cleared(storage, {path: wanted[path] for path in faulty})
        lost_again, faulty_again = _restore(storage, again)
    except UnreachableError as error:
        raise UserError(
            f"{error}. What has arrived stays in DVC's cache; the next run continues from there."
        ) from error
    lost |= {path: loss for path, loss in faulty.items() if path not in again} | lost_again | faulty_again
    log(f"restored {len(wanted) - len(lost)} artifacts")
    if lost:
        for path, loss in lost.items():
            if loss.reason != MISSING:  # missing objects are looked up again each time
                _record_loss(storage, wanted[path], loss)
        listed = "\n".join(f"  {path}: {loss.reason}" for path, loss in lost.items())
        raise UserError(f"{len(lost)} artifacts could not be restored:\n{listed}\n{HOW_TO_FIX}")


def _restore(storage: Storage, wanted: dict[str, str]) -> tuple[dict[str, Loss], dict[str, Loss]]:
    """Fetch the objects of artifacts and move the artifacts into place.

    Returns those with unavailable objects, and those whose bytes are not those of their record.
    """
    failed = storage.fetch(wanted.values())
    files = {path: set(storage.files(name).values()) for path, name in wanted.items() if name not in failed}
    failed |= storage.fetch(set().union(*files.values()))
    damaged = [each for each, reason in failed.items() if reason != MISSING]
    stamps = storage.remote.stamps(damaged) if damaged else {}
    lost, faulty = {}, {}
    for path, name in wanted.items():
        broken = sorted(({name} | files.get(path, set())) & set(failed), key=lambda each: (each not in stamps, each))
        if broken:
            lost[path] = Loss(failed[broken[0]], {each: stamps[each] for each in broken if each in stamps})
        elif faults := _move_into_place(storage, name, storage.root / path):
            faulty[path] = Loss("; ".join(faults[:3]))
    return lost, faulty


def _cleared(storage: Storage, faulty: dict[str, str]) -> dict[str, str]:
    """Those of some artifacts that are faulty because of damaged objects in DVC's own cache, which are removed."""
    objects = {path: {name, *storage.files(name).values()} for path, name in faulty.items()}
    damaged = storage.damaged(storage.in_cache(set().union(*objects.values())))
    storage.drop(damaged)
    return {path: name for path, name in faulty.items() if objects[path] & damaged}


def _move_into_place(storage: Storage, name: str, path: Path) -> list[str]:
    """Build an artifact at its path; if its bytes are not those of its record, build nothing and return its faults."""
    faults: list[str] = []
    try:
        with artifacts.building(path) as folder:
            storage.checkout(name, folder)
            faults = artifacts.faults(folder, path.name)
            if faults:
                raise _DamagedError
    except _DamagedError:
        pass
    return faults


class _DamagedError(Exception):
    """Leaves the block that would move the artifact into place."""


def _recorded_losses(storage: Storage, names: set[str]) -> dict[str, str]:
    """Those of some ``.dir`` objects that were recorded as lost and still are, with the reason."""
    losses = {}
    for name in names:
        try:
            losses[name] = Loss(**json.loads((storage.root / LOST / f"{name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
    stamps = {each: stamp for loss in losses.values() for each, stamp in loss.damaged.items()}
    changed = storage.in_cache(stamps)
    try:
        now = storage.remote.stamps(set(stamps) - changed) if stamps else {}
    except UnreachableError:
        now = stamps
    changed |= {each for each in now if now[each] != stamps[each]}
    for name, loss in losses.items():
        if loss.damaged and set(loss.damaged) <= changed:
            (storage.root / LOST / f"{name}.json").unlink(missing_ok=True)
    return {name: loss.reason for name, loss in losses.items() if not loss.damaged or not set(loss.damaged) <= changed}


def _record_loss(storage: Storage, name: str, loss: Loss) -> None:
    """Record that a ``.dir`` object could not be restored."""
    artifacts.write_json(storage.root / LOST / f"{name}.json", asdict(loss))
