"""The code that makes an artifact: the definitions that its job can reach, each by its syntax tree and its own name.

From the entries of a job (``run`` of its stage, ``compress`` of its method, ``score`` of its metric, …) the names that
they use are followed through the package, definition by definition. An edit invalidates the artifacts whose jobs can
execute it and nothing else. Names of modules do not count, so files can be moved; what each name refers to does count,
so that a name cannot be given another meaning unnoticed. A few modules that cannot change a result are left out
(`INERT`).

Code that is found by a name made at run time (`fairshrink.registry`) cannot be followed: the caller names it as an
entry. Other code that cannot be followed is refused (`fairshrink.planning.unfollowed`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.planning import known_code, package_files
from fairshrink.planning.modules import PACKAGE, Place, all_modules, exists, member, parents, parse
from fairshrink.planning.reading import Reading, is_in, read

INERT = frozenset(
    {
        "errors",
        "log",
        "sources._shared.transfer",
        "store.artifacts",
        "store.energy",
        "store.failures",
        "training.state",
        "training.termination",
    }
)
"""Modules and folders that transport, record and report results but cannot change them: not part of any key."""
LINKS = "<links>"
"""The entry with a hash of what each name in the code refers to."""
ON_IMPORT = "on import"
LENGTH = 16


@cache
def code_of(entries: tuple[CodeEntry, ...], root: Path = PACKAGE, inert: frozenset[str] = INERT) -> dict[str, str]:
    """Hashes of all that the entries reach, by name and sorted: 16 hex digits, several of one name joined by ``+``.

    ``on import`` are statements that run when the modules are imported, ``file:NAME`` are data files, ``NAME.__doc__``
    docstrings that code reads, `LINKS` is what refers to what. Raises UserError for a required entry that there is not,
    and for an import that leads nowhere.
    """
    if root == PACKAGE and inert == INERT:
        known, what = _known(), known_code.name(entries)
        if what not in known.table:
            known.table[what], known.is_new = _code_of(entries, root, inert), True
            known.loads[what] = dict.fromkeys(sorted(_modules_of(entries, root, inert)), "")
        return known.table[what]
    return _code_of(entries, root, inert)


@dataclass
class _Known:
    state: str
    table: known_code.Table
    loads: known_code.Table
    is_new: bool = False


@cache
def _known() -> _Known:
    state = package_files.state()
    return _Known(state, known_code.read(state), known_code.read(state, kind=known_code.LOADS))


def keep() -> None:
    """Keep what was computed of this package's code, for the processes to come."""
    known = _known()
    if known.is_new:
        known_code.write(known.state, known.table)
        known_code.write(known.state, known.loads, kind=known_code.LOADS)
        known.is_new = False


def _code_of(entries: tuple[CodeEntry, ...], root: Path, inert: frozenset[str]) -> dict[str, str]:
    roots = tuple(dict.fromkeys(place for entry in entries if (place := find(entry, root)) is not None))
    effects, found = reached(roots, root, inert)
    named: dict[str, list[str]] = {}
    for place in found:
        if place.kind != "module":
            named.setdefault(label(place), []).append(digest(read(place, inert, root)))
    links = _links([*_sorted(roots, root, inert), *_sorted(effects, root, inert)], root, inert)
    return {name: "+".join(sorted(named[name])) for name in sorted(named)} | {LINKS: links}


def find(entry: CodeEntry, root: Path = PACKAGE) -> Place | None:
    """Where an entry is defined; None for an optional one that is not. Raises UserError as `code_of` does."""
    shown = f"{entry.module}:{entry.name}"
    if not exists(entry.module, root):
        raise UserError(f"{shown}: there is no module {root.name}.{entry.module}")
    found = member(entry.module, entry.name, root)
    if found is None and not entry.required:
        return None
    if not isinstance(found, Place) or found.kind != "definition":
        what = "is not defined" if found is None else "is no definition of this package"
        raise UserError(f"{shown}: {entry.name} {what} in {parse(entry.module, root).file}")
    return found


def label(place: Place) -> str:
    """The name of a part of the code in keys and for people: no module, no folder."""
    if place.kind == "import":
        return ON_IMPORT
    if place.kind == "doc":
        return f"{place.name}.__doc__".removeprefix(".")
    return f"file:{place.name}" if place.kind == "file" else place.name


def digest(reading: Reading) -> str:
    """What identifies a part of the code by what it says alone."""
    return hashlib.sha256(reading.text.encode()).hexdigest()[:LENGTH]


def forget() -> None:
    """Forget what the source files said, so that they are read again."""
    for each in (code_of, _known, modules_of, files, _links_of, read, member, parse, exists):
        each.cache_clear()


@cache
def modules_of(entries: tuple[CodeEntry, ...], root: Path = PACKAGE, inert: frozenset[str] = INERT) -> frozenset[str]:
    """The modules whose code the entries reach or import: what a process may load to run them."""
    if root == PACKAGE and inert == INERT and (kept := _known().loads.get(known_code.name(entries))) is not None:
        return frozenset(kept)
    return _modules_of(entries, root, inert)


def _modules_of(entries: tuple[CodeEntry, ...], root: Path, inert: frozenset[str]) -> frozenset[str]:
    roots = tuple(place for entry in entries if (place := find(entry, root)) is not None)
    known: set[str] = set()
    for place in reached(roots, root, inert)[1]:
        loads = read(place, inert, root).loads
        for module in loads if place.kind == "file" else (*loads, place.module):
            _imported(module, known, root, inert)
    return frozenset(known)


@cache
def files(root: Path = PACKAGE, inert: frozenset[str] = INERT) -> dict[tuple[str, str], str]:
    """The file that each part of the package's code is in, by its name and hash in `code_of`."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in all_modules(root):
        module = parse(name, root)
        pending = [Place("definition", name, each) for each in module.definitions]
        pending += [Place("import", name)] if module.statements else []
        for place in pending:
            try:
                reading = read(place, inert, root)
            except UserError:  # code that cannot be followed is in no key
                continue
            pending += [each for each in reading.references if each.kind in ("doc", "file") and each not in pending]
            within = (root / place.module / place.name).relative_to(root.parent).as_posix()
            file = within if place.kind == "file" else parse(place.module, root).file
            found.setdefault((label(place), digest(reading)), []).append(file)
    return {each: " or ".join(dict.fromkeys(several)) for each, several in found.items()}


def reached(roots: Iterable[Place], root: Path, inert: frozenset[str]) -> tuple[list[Place], list[Place]]:
    """What runs on import of all modules that are imported on the way; and everything that counts, with these."""
    pending, found, modules = [*roots], dict[Place, None](), set[str]()
    effects: list[Place] = []
    while pending:
        place = pending.pop()
        if place in found or (place.kind != "file" and is_in(place.module, inert)):
            continue
        reading = read(place, inert, root)
        found[place] = None
        touched = reading.loads if place.kind == "file" else (*reading.loads, place.module)
        new = [name for module in touched for name in _imported(module, modules, root, inert)]
        acting = [Place("import", name) for name in new if parse(name, root).statements]
        effects += acting
        pending += [*reading.references, *acting]
    return effects, list(found)


def _imported(module: str, known: set[str], root: Path, inert: frozenset[str]) -> list[str]:
    """Modules that are imported with this one and were not ``known``, to which they are added."""
    pending, new = [module], []
    while pending:
        name = pending.pop()
        if name in known or is_in(name, inert):
            continue
        known.add(name)
        new.append(name)
        pending += [*parents(name), *parse(name, root).loads]
    return new


def _sorted(places: Iterable[Place], root: Path, inert: frozenset[str]) -> list[Place]:
    """In an order that depends on what the places are and reach, not on where they are."""
    return sorted(places, key=lambda place: (label(place), _links_of(place, root, inert)))


@cache
def _links_of(place: Place, root: Path, inert: frozenset[str]) -> str:
    return _links([place], root, inert)


def _links(roots: list[Place], root: Path, inert: frozenset[str]) -> str:
    """A hash of all that the roots reach and of what in it refers to what.

    References have an order in each text, so numbering the places as they are met gives equal numbers for equal graphs,
    circles included, whatever the modules are called.
    """
    numbers: dict[Place, int] = {}
    lines = []
    pending = [*reversed(roots)]
    order: list[Place] = []
    while pending:
        place = pending.pop()
        if place not in numbers:
            numbers[place] = len(numbers)
            order.append(place)
            pending += reversed(read(place, inert, root).references)
    for place in order:
        reading = read(place, inert, root)
        targets = " ".join(str(numbers[each]) for each in reading.references)
        lines.append(f"{label(place)} {digest(reading)} {targets}")
    starts = " ".join(str(numbers[each]) for each in roots)
    return hashlib.sha256("\n".join([starts, *lines]).encode()).hexdigest()[:LENGTH]
