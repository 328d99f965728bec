"""What a piece of code says and what it refers to: its syntax tree, each name resolved as Python would.

The text that is hashed holds no module's name and no alias: a reference into the package is written as the name that
its definition has, one to a library by its full name, however it was imported. What does not count is left out:
comments, docstrings, formatting, annotations of functions, descriptions of settings, types that only checkers see.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fairshrink.errors import UserError
from fairshrink.planning.modules import (
    PACKAGE,
    External,
    Imported,
    Module,
    Place,
    follow,
    imported,
    is_typing_only,
    loaded,
    member,
    parse,
    single,
)
from fairshrink.planning.scopes import Everywhere, Reader, Scopes, children, in_function

RESOURCES = "resources"
"""The module whose functions read the package's data files, called as ``function(__file__, "name")``."""


class Load(NamedTuple):
    """A module that code imports when it runs."""

    module: str


@dataclass(frozen=True)
class Reading:
    """``text``: what counts of the code. ``references``: what it refers to in the package, as they occur in it.

    ``loads``: modules that it imports when it runs.
    """

    text: str
    references: tuple[Place, ...]
    loads: tuple[str, ...]


@cache
def read(place: Place, inert: frozenset[str] = frozenset(), root: Path = PACKAGE) -> Reading:
    """Read a part of the package. References to modules that are ``inert`` are named in the text and not followed."""
    if place.kind == "file":
        return Reading(hashlib.sha256((root / place.module / place.name).read_bytes()).hexdigest(), (), ())
    module = parse(place.module, root)
    if place.kind == "doc":
        return Reading(_docstring(module, place.name), (), ())
    if place.kind == "module":
        names = sorted({*module.definitions, *module.imports})
        found = {name: member(place.module, name, root) for name in names}
        items: list[str | Place | Load] = [part for name in names for part in (name, *_shown(found[name], inert))]
        return _reading(items)
    nodes = module.statements if place.kind == "import" else module.definitions[place.name]
    written: list[str | Place | Load] = [place.name]
    for node in nodes:
        _write(node, (), Reader(module, root), inert, written)
    return _reading(written)


def _reading(items: list[str | Place | Load]) -> Reading:
    places = [each for each in items if isinstance(each, Place)]
    return Reading(
        text=" ".join(
            f"<{_name(each)}>" if isinstance(each, Place) else each for each in items if not isinstance(each, Load)
        ),
        references=tuple(places),
        loads=tuple(dict.fromkeys(each.module for each in items if isinstance(each, Load))),
    )


def _name(place: Place) -> str:
    """How a reference is written: by its own name, for a module by no name at all."""
    shown = "" if place.kind == "module" else place.name.rsplit("/", 1)[-1]
    return shown if place.kind == "definition" else f"{place.kind} {shown}"


def is_in(module: str, places: Iterable[str]) -> bool:
    """Whether a module is one of these, or in a folder that is."""
    return any(module == each or module.startswith(f"{each}.") for each in places)


def _docstring(module: Module, name: str) -> str:
    if not name:
        return repr(module.doc)
    nodes = module.definitions[name]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return repr([ast.get_docstring(node, clean=False) for node in nodes if isinstance(node, kinds)])


def data_file(node: ast.AST, scopes: Scopes, reader: Reader) -> Place | None:
    """The file that a call ``function(__file__, "name")`` of `RESOURCES` reads.

    Raises UserError where the package has no such file.
    """
    if not isinstance(node, ast.Call) or len(node.args) != 2 or node.keywords:
        return None
    called = reader.meaning(node.func, scopes)
    here, name = node.args
    if not isinstance(called, Place) or called.module != RESOURCES:
        return None
    if not (isinstance(here, ast.Name) and here.id == "__file__" and isinstance(name, ast.Constant)):
        return None
    inside = reader.root.parent / reader.module.file
    path = (inside if inside.is_dir() else inside.parent) / str(name.value)
    if not path.is_file() or not path.resolve().is_relative_to(reader.root.resolve()):
        raise UserError(f"{reader.module.file}:{node.lineno}: there is no file {name.value!s} next to this module")
    folder = path.parent.relative_to(reader.root).as_posix()
    return Place("file", "" if folder == "." else folder, path.name)


def _doc(node: ast.AST, scopes: Scopes, reader: Reader) -> Place | None:
    """The docstring that ``name.__doc__`` reads."""
    if not isinstance(node, ast.Attribute) or node.attr != "__doc__":
        return None
    owner = reader.meaning(node.value, scopes)
    if not isinstance(owner, Place) or owner.kind != "definition":
        return None
    return Place("doc", owner.module, owner.name)


def _write(node: ast.AST, scopes: Scopes, reader: Reader, inert: frozenset[str], out: list[str | Place | Load]) -> None:
    """Append the node as words, with what it refers to in between."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        out += _import(node, scopes, reader, inert)
        return
    if is_typing_only(node):
        for each in node.orelse:
            _write(each, scopes, reader, inert, out)
        return
    if isinstance(node, (ast.Name, ast.Attribute)):
        meaning = reader.meaning(node, scopes)
        if meaning is not None:
            out += _shown(meaning, inert)
            return
    if isinstance(node, ast.Name):
        out.append(node.id)
        if isinstance(node.ctx, ast.Load):
            for found in reader.lookup(node.id, scopes):
                out += _shown(found, inert)
        return
    out.append(f"({type(node).__name__}")
    out += [each for each in (data_file(node, scopes, reader), _doc(node, scopes, reader)) if each]
    for name, child, within in children(node, scopes, reader):
        out.append(name)
        if isinstance(child, ast.AST):
            _write(child, within, reader, inert, out)
        else:
            out.append(repr(child))
    if isinstance(node, ast.AnnAssign) and not in_function(scopes):
        out += _quoted(node.annotation, scopes, reader, inert)
    out.append(")")


def _quoted(annotation: ast.AST, scopes: Scopes, reader: Reader, inert: frozenset[str]) -> Iterator[Place]:
    """References of types that are written in quotes, as pydantic reads them."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                inner = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                continue
            written: list[str | Place | Load] = []
            _write(inner, scopes, reader, inert, written)
            yield from (each for each in written if isinstance(each, Place))


def _import(
    node: ast.Import | ast.ImportFrom, scopes: Scopes, reader: Reader, inert: frozenset[str]
) -> Iterator[str | Place | Load]:
    """What is loaded; the name only where other things bind it too, as otherwise each use says what it refers to."""
    yield from map(Load, loaded(node, reader.module.name, reader.module.is_package, reader.root))
    for name, binding in imported(node, reader.module.name, reader.module.is_package, reader.root):
        found = scopes[-1].names.get(name, []) if scopes else []
        bound = [each for each in found if not isinstance(each, Everywhere)]
        alone = single(bound) is not None if scopes else name in reader.module.imports
        if not alone or len(bound) < len(found):
            target = follow(binding, reader.module, reader.root) if isinstance(binding, Imported) else binding
            yield from ("(import", name, *_shown(target, inert), ")")


def _shown(meaning: Place | External | None, inert: frozenset[str]) -> list[str | Place]:
    if meaning is None:
        return []
    if isinstance(meaning, External):
        return [f"<<{meaning.name}>>"]
    return [f"<{meaning.name}>"] if is_in(meaning.module, inert) and meaning.kind != "file" else [meaning]
