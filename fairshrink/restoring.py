"""Bringing back artefacts that are missing here but recorded by a DVC pointer, from DVC's cache or its remote.

What can be had is found out before anything starts: the objects of all artefacts of a plan are looked up in a few
batches. What then still fails (an object with wrong bytes, a connection that breaks) is noted as lost, so that the next
run knows. An artefact is checked against its own record before it takes its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fairshrink import artefacts, pointers
from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.vault import UnreachableError, Vault, pointer_object

LOST = Path(".dvc/tmp/fairshrink-lost.json")
"""``.dir`` object → why it could not be restored; forgotten when it is recorded anew."""
SHOWN = 5


def finder(policy: str, root: Path = Path()) -> Callable[[set[str]], set[str]]:
    """A function that tells which of some missing artefacts can be restored, by the study's policy.

    ``policy`` is required, preferred or never (`study_schema.Execution`). Under ``required`` the function raises
    UserError where a recorded artefact cannot be had.
    """
    vault = Vault(root)

    def find(paths: set[str]) -> set[str]:
        recorded = {path: pointers.pointer(root / path) for path in sorted(paths)}
        recorded = {path: pointer for path, pointer in recorded.items() if pointer.is_file()}
        if policy == "never" or not recorded:
            return set()
        lost = _lost(vault, {path: pointer_object(pointer) for path, pointer in recorded.items()})
        if lost:
            _tell(lost, policy)
        return set(recorded) - set(lost)

    return find


def _lost(vault: Vault, wanted: dict[str, str]) -> dict[str, str]:
    """Of artefacts by path with their objects, those that cannot be had, with the reason."""
    noted = _noted(vault.root)
    lost = {path: noted[name] for path, name in wanted.items() if name in noted}
    asked = {path: name for path, name in wanted.items() if path not in lost}
    try:
        failed = vault.bring(asked.values())
    except UnreachableError as error:
        failed = dict.fromkeys(set(asked.values()) - vault.here(asked.values()), str(error))
    lost |= {path: failed[name] for path, name in asked.items() if name in failed}
    files = {path: set(vault.files(name).values()) for path, name in asked.items() if name not in failed}
    elsewhere = set().union(*files.values()) - vault.here(set().union(*files.values()))
    try:
        gone = elsewhere - vault.there(elsewhere)
        reason = "bytes of it are neither in DVC's cache nor in its remote"
    except UnreachableError as error:
        gone, reason = elsewhere, str(error)
    return lost | {path: reason for path, names in files.items() if names & gone}


def _tell(lost: dict[str, str], policy: str) -> None:
    reasons: dict[str, list[str]] = {}
    for path, reason in lost.items():
        reasons.setdefault(reason, []).append(path)
    lines = [f"{len(lost)} recorded artefacts cannot be restored:"]
    for reason, paths in reasons.items():
        lines.append(f"  {reason}:")
        lines += [f"    {path}" for path in sorted(paths)[:SHOWN]]
        lines += [f"    … and {len(paths) - SHOWN} more"] if len(paths) > SHOWN else []
    if policy == "required":
        lines.append(
            "Nothing was started. Mend the connection (`dvc remote list`, `dvc pull`), or compute them anew: write "
            "`restore: preferred` under `execution` in the study, or add `--config restore=preferred`."
        )
        raise UserError("\n".join(lines))
    lines.append("They are computed instead (execution.restore: preferred).")
    log("\n".join(lines))


def restore(paths: list[str], root: Path = Path()) -> None:
    """Bring artefacts back. Raises UserError at the end if some could not be had; the others stand by then."""
    vault = Vault(root)
    wanted = {
        path: pointer_object(pointers.pointer(root / path)) for path in paths if not artefacts.exists(root / path)
    }
    log(f"restoring {len(wanted)} artefacts")
    try:
        failed = vault.bring(wanted.values())
        files = {path: set(vault.files(name).values()) for path, name in wanted.items() if name not in failed}
        failed |= vault.bring(set().union(*files.values()))
    except UnreachableError as error:
        raise UserError(f"{error}. What had arrived stays in DVC's cache; the next run goes on from there.") from error
    lost = {}
    for path, name in wanted.items():
        broken = ({name} | files.get(path, set())) & set(failed)
        reason = failed[min(broken)] if broken else _place(vault, name, root / path)
        if reason:
            lost[path] = reason
    log(f"restored {len(wanted) - len(lost)} artefacts")
    if lost:
        note({wanted[path]: reason for path, reason in lost.items()}, root)
        listed = "\n".join(f"  {path}: {reason}" for path, reason in lost.items())
        raise UserError(
            f"{len(lost)} artefacts could not be restored:\n{listed}\nThe next run knows: with `restore: preferred` it "
            "computes them."
        )


def _place(vault: Vault, name: str, path: Path) -> str | None:
    """Put an artefact in its place; the reason where its bytes are not those of its record, which then are dropped."""
    faults: list[str] = []
    try:
        with artefacts.building(path) as folder:
            vault.place(name, folder)
            faults = artefacts.faults(folder, path.name)
            if faults:
                raise _DamagedError
    except _DamagedError:
        vault.drop([name, *vault.files(name).values()])
        return "; ".join(faults[:3])
    return None


class _DamagedError(Exception):
    """Leaves the block that would put the artefact in its place."""


def _noted(root: Path) -> dict[str, str]:
    try:
        return json.loads((root / LOST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def note(lost: dict[str, str], root: Path = Path()) -> None:
    """Remember objects that could not be restored."""
    artefacts.write_json(root / LOST, _noted(root) | lost)
