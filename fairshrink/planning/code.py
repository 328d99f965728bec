"""Which code makes an artifact: the definitions that a function can reach, hashed by their syntax trees.

From the entry points of a stage (``run`` of its module, ``compress`` of a method, ``score`` of a metric, …) the names
they use are followed through this package's modules, definition by definition. Comments, docstrings, formatting,
annotations of functions and the descriptions of settings do not count. So an edit invalidates what can execute it
and nothing else: a new helper that nobody calls changes no key, nor does an edit of ``summarize`` change the key
of the scores that it summarizes. A few modules that cannot change a result are left out (`INERT`).

What is reached by name at run time (`fairshrink.registry`) cannot be followed; the caller names it as an entry.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
WHOLE = "*"
"""Stands for all definitions of a module."""
INERT = frozenset(
    {"store.artifacts", "errors", "log", "training.termination", "training.state", "sources._shared.transfer"}
)
"""Modules that carry, record and report results but cannot change them: they are part of no key."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.AugAssign


@dataclass(frozen=True)
class Module:
    """One source file: its definitions by name, what it imports, and the statements that run on import."""

    definitions: dict[str, list[Definition]]
    imports: dict[str, tuple[str, str]]
    statements: list[ast.stmt]


@cache
def slice_hashes(entries: tuple[tuple[str, str], ...], root: Path = PACKAGE) -> dict[str, str]:
    """Hashes of all definitions that the entries reach, as {"module:name": 16 hex digits}, sorted.

    ``entries`` are (module, name) with modules dotted below the package, such as ``("metrics.weat", "score")``.
    """
    pending = list(entries)
    seen: set[tuple[str, str]] = set()
    hashes: dict[str, str] = {}
    while pending:
        entry = pending.pop()
        if entry in seen:
            continue
        seen.add(entry)
        found, references = _visit(*entry, root)
        hashes |= found
        pending += references
    return dict(sorted(hashes.items()))


@cache
def _visit(module_name: str, name: str, root: Path) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Hash of one definition, and what it mentions; the empty name stands for what runs on import."""
    module = parse(module_name, root)
    if module is None or module_name in INERT:
        return {}, ()
    if name == WHOLE:
        return {}, ((module_name, ""), *((module_name, each) for each in module.definitions))
    nodes: list[ast.AST] = list(module.statements if name == "" else module.definitions.get(name, ()))
    references = {reference for node in nodes for reference in _references(node, module_name, module, root)}
    if not nodes and name in module.imports:
        references.add(module.imports[name])
    hashes = {f"{module_name}:{name}": _hash(nodes)} if nodes else {}
    return hashes, ((module_name, ""), *sorted(references))


@cache
def parse(name: str, root: Path = PACKAGE) -> Module | None:
    """Read one module of the package; None where the dotted name is not one of its files."""
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    if not path.is_file():
        return None
    definitions: dict[str, list[Definition]] = {}
    imports: dict[str, tuple[str, str]] = {}
    statements: list[ast.stmt] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= dict(_bindings(node, root))
        elif isinstance(node, Definition):
            for bound in _bound_names(node):
                definitions.setdefault(bound, []).append(node)
        elif not _is_docstring(node) and not _is_typing_only(node):
            statements.append(node)
    return Module(definitions, imports, statements)


def _bound_names(node: Definition) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        for leaf in ast.walk(target):
            if isinstance(leaf, ast.Name):
                yield leaf.id


def _bindings(node: ast.Import | ast.ImportFrom, root: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Local name → (module of this package, definition in it) for an import statement."""
    package = root.name
    for alias in node.names:
        if isinstance(node, ast.Import):
            if alias.name.startswith(f"{package}."):
                yield alias.asname or package, (alias.name.removeprefix(f"{package}."), WHOLE)
        elif node.module and (node.module == package or node.module.startswith(f"{package}.")):
            inside = node.module.removeprefix(package).removeprefix(".")
            submodule = f"{inside}.{alias.name}".removeprefix(".")
            is_module = root.joinpath(*submodule.split(".")).with_suffix(".py").is_file()
            yield alias.asname or alias.name, (submodule, WHOLE) if is_module else (inside, alias.name)


def _references(node: ast.AST, module_name: str, module: Module, root: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything in this package that the node's code mentions."""
    local_imports = {
        name: target
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
        for name, target in _bindings(inner, root)
    }
    imports = module.imports | local_imports
    attributes = {id(inner.value): inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
    for inner in _walk_code(node):
        if not isinstance(inner, ast.Name) or isinstance(inner.ctx, ast.Store):
            continue
        if inner.id in module.definitions:
            yield module_name, inner.id
        if inner.id in imports:
            target, name = imports[inner.id]
            yield target, attributes.get(id(inner), WHOLE) if name == WHOLE else name


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST | str]]:
    """Fields of a node that can change what it does; empty ones are left out, as Python versions differ in them."""
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment", "type_params", "kind", "returns"):
            continue
        if name == "annotation" and isinstance(node, ast.arg):
            continue
        values = value if isinstance(value, list) else [value]
        for each in values:
            if each is None or _is_docstring(each) or _is_description(node, each):
                continue
            yield name, each if isinstance(each, ast.AST) else repr(each)


def _is_description(node: ast.AST, child: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Field"
        and isinstance(child, ast.keyword)
        and child.arg == "description"
    )


def _walk_code(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for _, child in _children(node):
        if isinstance(child, ast.AST):
            yield from _walk_code(child)


def _tokens(node: ast.AST) -> Iterator[str]:
    yield f"({type(node).__name__}"
    for name, child in _children(node):
        yield name
        if isinstance(child, ast.AST):
            yield from _tokens(child)
        else:
            yield child
    yield ")"


def _hash(nodes: Iterable[ast.AST]) -> str:
    text = "\n".join(" ".join(_tokens(node)) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hashes(files: Iterable[str], root: Path = PACKAGE) -> dict[str, str]:
    """SHA-256 (16 hex digits) of data files shipped in the package, as {"file:<path>": hash}."""
    return {f"file:{each}": hashlib.sha256((root / each).read_bytes()).hexdigest()[:16] for each in sorted(files)}
