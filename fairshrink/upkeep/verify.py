"""Are the artifacts on disk still what was recorded? Faulty ones are quarantined, so that the next run replaces them.

An artifact is *damaged* if its files are not those of its record, *mismatched* if they are but the record belongs to
another artifact, or if its DVC pointer names other bytes. DVC's cache shares the bytes of artifacts through hardlinks,
so damage usually affects both: objects of the cache whose bytes do not match their name are removed, because a restore
would bring the damage back.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote import storage
from fairshrink.remote.cache_objects import DIRECTORY, Objects, directory_object
from fairshrink.remote.pointers import pointer
from fairshrink.store import run_lock
from fairshrink.store.layout import MARKER
from fairshrink.upkeep import locations, record
from fairshrink.upkeep.checksums import Checksums, Sums
from fairshrink.upkeep.formatting import count, size_text

INTACT, DAMAGED, MISMATCHED = "intact", "damaged", "mismatched"
IGNORED = ".snakemake_timestamp"


@dataclass
class Finding:
    """The result for one artifact; ``size`` in bytes, ``details`` name each fault."""

    path: str
    state: str
    size: int
    details: list[str] = field(default_factory=list)
    recorded: bool = False
    pointer_fault: str = ""
    moved_to: str = ""


@dataclass
class Report:
    """Findings by path; ``objects`` of DVC's cache with wrong bytes, each with the artifacts that it belongs to.

    ``fixed``: whether faulty artifacts were quarantined and wrong objects removed.
    """

    findings: list[Finding]
    objects: dict[str, list[str]]
    half_built: list[str]
    trainings: list[str]
    fixed: bool

    @property
    def faulty(self) -> list[Finding]:
        """Damaged and mismatched artifacts."""
        return [each for each in self.findings if each.state != INTACT]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faulty and not self.objects and not any(each.pointer_fault for each in self.findings)


def verify(
    root: Path = Path(), chosen: Sequence[str] = (), *, check: bool = False, threads: int | None = None
) -> Report:
    """Check all artifacts below ``root``, or those ``chosen`` by path or glob; quarantine faulty ones unless ``check``.

    Raises UserError where nothing matches a choice, and, if anything may be moved, while a run is active.
    """
    if not check:
        run_lock.acquire(root)
    try:
        report = _examine(root, _chosen(root, chosen), threads)
        if not check:
            _fix(root, report)
        return report
    finally:
        if not check:
            run_lock.release(root)


def _chosen(root: Path, choices: Sequence[str]) -> list[str]:
    """Artifacts that a choice names, matches, or contains; all of them without choices."""
    every = locations.artifacts(root)
    if not choices:
        return every
    found: set[str] = set()
    for choice in choices:
        wanted = os.path.relpath(choice, root).removesuffix(".dvc")
        beneath = "*" if wanted == "." else f"{glob.escape(wanted)}/*"
        mine = {each for each in every if each == wanted or fnmatchcase(each, wanted) or fnmatchcase(each, beneath)}
        if not mine:
            raise UserError(
                f"{choice}: there is no such artifact; name artifacts such as results/baselines/NAME-KEY, folders such "
                "as results/scores, or quoted globs such as 'results/*/bert-*'"
            )
        found |= mine
    return sorted(found)


def _examine(root: Path, paths: Sequence[str], threads: int | None) -> Report:
    checksums, objects = Checksums(threads), Objects(root)
    files = {path: _files(root / path) for path in paths}
    log(f"checking {count(len(paths), 'artifact')}, {count(sum(map(len, files.values())), 'file')}")
    sums = checksums.read(file for named in files.values() for file in named.values())
    findings: list[Finding] = []
    owners: dict[str, list[str]] = {}
    for path in paths:
        found = {name: sums[file] for name, file in files[path].items()}
        finding = _judge(root, path, found, objects)
        findings.append(finding)
        for name in _objects_of(root, finding, list(files[path].values()), objects):
            owners.setdefault(name, []).append(path)
    wrong = _wrong_objects(list(owners), objects, checksums)
    return Report(
        findings,
        {name: owners[name] for name in sorted(wrong)},
        locations.half_built(root),
        locations.trainings(root),
        fixed=False,
    )


def _files(folder: Path) -> dict[str, Path]:
    """All files below a folder by relative path."""
    found = (Path(base) / name for base, _, names in os.walk(folder) for name in names if name != IGNORED)
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def _judge(root: Path, path: str, found: dict[str, Sums], objects: Objects) -> Finding:
    finding = Finding(path, INTACT, sum(each.size for each in found.values()))
    pointed = _pointed(root, finding)
    read, faults = record.read(root / path)
    faults += _differences(read, found) if read else []
    mismatch = record.mismatch(read, path) if read else []
    if not faults and not mismatch and pointed:
        mismatch = _against_pointer(root / path, found, pointed, objects)
    finding.details = mismatch + faults
    finding.state = DAMAGED if faults else MISMATCHED if mismatch else INTACT
    return finding


def _pointed(root: Path, finding: Finding) -> str | None:
    """The ``.dir`` object that an artifact's pointer names; None where there is no readable pointer."""
    file = pointer(root / finding.path)
    finding.recorded = file.is_file()
    if not finding.recorded:
        return None
    try:
        return storage.pointer_object(file)
    except UserError as error:
        finding.pointer_fault = str(error).removeprefix(f"{root}/")
        return None


def _differences(read: record.Record, found: dict[str, Sums]) -> list[str]:
    held = {name: sums for name, sums in found.items() if name.rsplit("/", 1)[-1] != MARKER}
    wrong = [f"{name}: missing" for name in read.files if name not in held]
    wrong += [f"{name}: not in the record" for name in held if name not in read.files]
    for name in sorted(held.keys() & read.files.keys()):
        if held[name].error:
            wrong.append(f"{name}: cannot be read ({held[name].error})")
        elif held[name].sha256 != read.files[name]:
            wrong.append(
                f"{name}: not the recorded bytes (sha256 {held[name].sha256[:12]}…, not {read.files[name][:12]}…)"
            )
    return wrong


def _against_pointer(folder: Path, found: dict[str, Sums], pointed: str, objects: Objects) -> list[str]:
    """How the bytes differ from those that the pointer names; hashes are computed, not taken from DVC's records."""
    held = {name: sums.md5 for name, sums in found.items()}
    if directory_object(held) == pointed:
        return []
    if objects.exists:
        held = {name: md5 for name, md5 in held.items() if not objects.is_ignored(folder / name)}
    actual = directory_object(held)
    if actual == pointed:
        return []
    wrong = [f"the pointer names {pointed}, these bytes are {actual}"]
    listed = objects.listing(pointed) if objects.exists else None
    if listed is None:
        return wrong
    wrong += [f"{name}: named by the pointer, missing here" for name in listed if name not in held]
    wrong += [f"{name}: not named by the pointer" for name in held if name not in listed]
    return wrong + [
        f"{name}: not the bytes that the pointer names"
        for name in held
        if name in listed and held[name] != listed[name]
    ]


def _objects_of(root: Path, finding: Finding, files: Sequence[Path], objects: Objects) -> set[str]:
    """Objects of the cache that belong to an artifact: its pointer's, and those that share bytes with a faulty one."""
    if not objects.exists:
        return set()
    names: set[str] = set()
    if finding.recorded and not finding.pointer_fault:
        pointed = storage.pointer_object(pointer(root / finding.path))
        names = {pointed, *(objects.listing(pointed) or {}).values()}
    if finding.state != INTACT:
        statuses = [path.stat() for path in files if path.exists()]
        names |= {objects.by_inode.get((each.st_dev, each.st_ino), "") for each in statuses if each.st_nlink > 1}
    return {name for name in names if name and objects.path(name).is_file()}


def _wrong_objects(names: Sequence[str], objects: Objects, checksums: Checksums) -> set[str]:
    sums = checksums.read(objects.path(name) for name in names) if names else {}
    return {name for name in names if sums[objects.path(name)].md5 != name.removesuffix(DIRECTORY)}


def _fix(root: Path, report: Report) -> None:
    """Remove wrong objects from the cache and quarantine faulty artifacts."""
    objects = Objects(root)
    for name in report.objects:
        objects.path(name).unlink(missing_ok=True)
    for finding in report.faulty:
        target = _unused(
            root / locations.QUARANTINE / Path(finding.path).parent.as_posix().replace("/", "_"), finding.path
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(locations.hide(root / finding.path), target)
        finding.moved_to = target.relative_to(root).as_posix()
    report.fixed = True


def _unused(folder: Path, path: str) -> Path:
    name = path.rsplit("/", 1)[-1]
    number = 1
    while (folder / f"{name}-{number}").exists():
        number += 1
    return folder / f"{name}-{number}"


def text(report: Report) -> str:
    """The report for people."""
    lines = []
    for finding in report.faulty:
        lines += [f"{finding.state:<10}  {finding.path}", *(f"    {each}" for each in finding.details)]
        lines += [f"    moved to {finding.moved_to}"] if finding.moved_to else []
    for finding in report.findings:
        lines += [f"pointer     {finding.path}.dvc", f"    {finding.pointer_fault}"] if finding.pointer_fault else []
    intact = {each.path for each in report.findings if each.state == INTACT}
    for name, owners in report.objects.items():
        lines += [f"cache       {name}", "    its bytes do not match its name" + "; removed" * report.fixed]
        lines += [f"    belongs to {owner}" for owner in owners]
        lines += [f"    to add it again: dvc add {owner}" for owner in owners[:1] if owner in intact]
    lines += [f"leftover    {each}: half-built by a run that was interrupted" for each in report.half_built]
    lines += [
        f"leftover    {each}: the state of an unfinished training, which will be resumed" for each in report.trainings
    ]
    return "\n".join([*lines, *_summary(report)])


def _summary(report: Report) -> list[str]:
    states = ", ".join(_state_count(state, report.findings) for state in (INTACT, DAMAGED, MISMATCHED))
    total = size_text(sum(each.size for each in report.findings))
    unrecorded = sum(not each.recorded and each.state == INTACT for each in report.findings)
    lines = [
        f"{count(len(report.findings), 'artifact')} ({total}): {states}; {unrecorded} of the intact ones without a "
        f"pointer, {count(len(report.half_built), 'half-built leftover')}, "
        f"{count(len(report.objects), 'damaged object')} in DVC's cache."
    ]
    if report.faulty and report.fixed:
        lines.append(
            f"The next run restores or rebuilds them. What was moved stays in {locations.QUARANTINE} until `make gc`."
        )
    elif report.faulty or report.objects:
        lines.append(
            "Nothing was changed (--check). Without it, faulty artifacts are quarantined, and the next run restores or "
            "rebuilds them."
        )
    return lines


def _state_count(state: str, findings: Sequence[Finding]) -> str:
    sizes = [each.size for each in findings if each.state == state]
    return f"{len(sizes)} {state}" + (f" ({size_text(sum(sizes))})" if sizes and state != INTACT else "")
