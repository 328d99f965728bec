"""The package as text: its modules, the names that each binds at top level, and what an imported name leads to.

Nothing is imported or executed. Modules are named by their dotted path below the package; the package's own
``__init__`` has the empty name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeGuard

from fairshrink.errors import UserError

PACKAGE = Path(__file__).parents[1]


class Place(NamedTuple):
    """A part of the package that code can refer to.

    ``kind``: definition, module (as an object), import (the statements that run then), doc (a docstring) or file (data;
    ``module`` is then the folder).
    """

    kind: str
    module: str
    name: str = ""


class External(NamedTuple):
    """Something of a library, by the full name that it is imported by: ``numpy.mean``."""

    name: str


class Imported(NamedTuple):
    """What an import statement binds a name to: a module of the package (``name`` None), or a name in it."""

    module: str
    name: str | None
    line: int


Binding = Imported | External | None
"""What binds a name: an import of either kind, or anything else (an assignment, a parameter, …)."""


@dataclass(frozen=True)
class Module:
    """One source file.

    ``definitions``: the statements that bind a name, by name, in order. ``imports``: names that one import statement
    binds and nothing else. ``statements``: what runs on import and does more than define. ``loads``: modules of this
    package that are imported with it.
    """

    name: str
    file: str
    is_package: bool
    doc: str | None
    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Imported | External]
    statements: list[ast.stmt]
    loads: tuple[str, ...]


def all_modules(root: Path = PACKAGE) -> list[str]:
    """Names of all modules, sorted; folders without ``__init__.py`` count as empty packages."""
    paths = (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    names = {".".join(path.parts).removesuffix("__init__").removesuffix(".") for path in paths}
    return sorted(names | {parent for name in names for parent in parents(name)})


def parents(name: str) -> list[str]:
    """The packages that are imported before a module is, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts))] if name else []


def dotted(module: str, root: Path = PACKAGE) -> str:
    """A module's name as it is imported."""
    return f"{root.name}.{module}".removesuffix(".")


@cache
def exists(name: str, root: Path = PACKAGE) -> bool:
    """Whether there is such a module or package."""
    return _file(name, root) is not None


def _file(name: str, root: Path) -> Path | None:
    """The source of a module; the folder itself for a package without ``__init__.py``."""
    place = root.joinpath(*name.split(".")) if name else root
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    found = next((each for each in candidates[: 2 if name else 1] if each.is_file()), None)
    return found or (place if place.is_dir() and any(place.rglob("*.py")) else None)


@cache
def parse(name: str, root: Path = PACKAGE) -> Module:
    """Read one module. Raises UserError where there is none, or where it imports ``*``."""
    file = _file(name, root)
    if file is None:
        raise UserError(f"{root.name}/{name.replace('.', '/')}.py: there is no such module")
    shown = f"{root.name}/{file.relative_to(root).as_posix()}"
    is_package = file.name == "__init__.py" or file.is_dir()
    tree = ast.parse("" if file.is_dir() else file.read_text(encoding="utf-8"), filename=shown)
    body = list(running(tree.body))
    binders: dict[str, list[tuple[ast.stmt, Binding]]] = {}
    for statement in body:
        for bound, binding in bindings([statement], name, is_package, root):
            binders.setdefault(bound, []).append((statement, binding))
    only = {bound: single([binding for _, binding in each]) for bound, each in binders.items()}
    imports = {bound: binding for bound, binding in only.items() if binding is not None}
    return Module(
        name=name,
        file=shown,
        is_package=is_package,
        doc=ast.get_docstring(tree, clean=False),
        definitions={
            bound: list(dict.fromkeys(statement for statement, _ in each))
            for bound, each in binders.items()
            if bound not in imports
        },
        imports=imports,
        statements=[each for each in body if acts(each)],
        loads=tuple(dict.fromkeys(_loads(body, name, is_package, root))),
    )


def single(found: Iterable[Binding]) -> Imported | External | None:
    """The import that binds a name, where nothing else binds it."""
    several = list(found)
    distinct = {each._replace(line=0) if isinstance(each, Imported) else each for each in several}
    return several[0] if len(distinct) == 1 else None


def running(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements without those that only type checkers or ``python -m`` see, and without docstrings."""
    for statement in body:
        if is_docstring(statement) or _is_main(statement):
            continue
        if is_typing_only(statement):
            yield from running(statement.orelse)
        else:
            yield statement


def is_docstring(node: ast.AST) -> bool:
    """Whether this is a text that nothing uses."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_typing_only(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether this is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and not node.orelse and ast.unparse(node.test) == "__name__ == '__main__'"


def acts(statement: ast.stmt) -> bool:
    """Whether a statement of a module can do more than bind names in it."""
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = (leaf for target in targets for leaf in ast.walk(target))
        return any(isinstance(leaf, ast.Attribute | ast.Subscript) for leaf in parts)
    plain = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Pass
    return not isinstance(statement, plain)


def bindings(nodes: Iterable[ast.AST], module: str, is_package: bool, root: Path) -> list[tuple[str, Binding]]:
    """Names that nodes bind in the scope that they are in, as Python's compiler sees it; scopes inside are left out."""
    found: list[tuple[str, Binding]] = []
    for node in nodes:
        _bindings(node, found, module, is_package, root, only_walrus=False)
    return found


_NAMELESS = (ast.Constant, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)


def _bindings(
    node: ast.AST, found: list[tuple[str, Binding]], module: str, is_package: bool, root: Path, *, only_walrus: bool
) -> None:
    """``only_walrus``: inside a comprehension only ``:=`` binds in the scope around it."""
    inner: Iterable[ast.AST] | None = None
    if isinstance(node, _NAMELESS):
        return
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load) and not only_walrus:
            found.append((node.id, None))
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        found.extend(imported(node, module, is_package, root))
        return
    if isinstance(node, ast.NamedExpr):
        found.append((node.target.id, None))
        inner = [node.value]
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        found.append((node.name, None))
        inner = outside(node)
    elif isinstance(node, ast.Lambda):
        inner = outside(node)
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        only_walrus = True
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        found += [(node.name, None)] if node.name else []
    elif isinstance(node, ast.MatchMapping):
        found += [(node.rest, None)] if node.rest else []
    elif is_typing_only(node):
        inner = node.orelse
    for each in ast.iter_child_nodes(node) if inner is None else inner:
        _bindings(each, found, module, is_package, root, only_walrus=only_walrus)


def outside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda) -> list[ast.AST]:
    """The parts of a definition that are evaluated in the scope around it."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    defaults: list[ast.AST] = [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
    return defaults if isinstance(node, ast.Lambda) else [*node.decorator_list, *defaults]


def imported(
    node: ast.Import | ast.ImportFrom, module: str, is_package: bool, root: Path
) -> Iterator[tuple[str, Imported | External]]:
    """The names that an import statement binds. Raises UserError for ``*``."""
    if isinstance(node, ast.ImportFrom):
        if node.module == "__future__":
            return
        source = import_source(node, module, is_package, root)
        for alias in node.names:
            if alias.name == "*":
                raise UserError(f"{root.name}/…/{module}: line {node.lineno}: name what is imported instead of *")
            name = alias.asname or alias.name
            if source is None:
                yield name, External(f"{'.' * node.level}{node.module or ''}.{alias.name}")
            else:
                yield name, Imported(source, alias.name, node.lineno)
        return
    for alias in node.names:
        inside = _inside(alias.name, root)
        name = alias.asname or alias.name.partition(".")[0]
        if inside is None:
            yield name, External(alias.name if alias.asname else name)
        else:
            yield name, Imported(inside if alias.asname else "", None, node.lineno)


def import_source(node: ast.ImportFrom, module: str, is_package: bool, root: Path) -> str | None:
    """The module that ``from … import`` reads, by its name below the package; None outside the package."""
    if not node.level:
        return _inside(node.module or "", root)
    parts = module.split(".") if module else []
    parts = parts if is_package else parts[:-1]
    if node.level - 1 > len(parts):
        return None
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _inside(dotted: str, root: Path) -> str | None:
    first, _, rest = dotted.partition(".")
    return rest if first == root.name else None


def _loads(nodes: Iterable[ast.AST], module: str, is_package: bool, root: Path) -> Iterator[str]:
    """Modules that statements import when they run, functions that are only defined left out."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from loaded(node, module, is_package, root)
        elif is_typing_only(node):
            yield from _loads(node.orelse, module, is_package, root)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _loads(ast.iter_child_nodes(node), module, is_package, root)


def loaded(node: ast.Import | ast.ImportFrom, module: str, is_package: bool, root: Path) -> Iterator[str]:
    """Modules of the package that an import statement imports, those around them left out."""
    if isinstance(node, ast.Import):
        yield from (inside for alias in node.names if (inside := _inside(alias.name, root)) is not None)
        return
    source = import_source(node, module, is_package, root)
    if source is not None:
        yield source
        for alias in node.names:
            submodule = f"{source}.{alias.name}".removeprefix(".")
            if exists(submodule, root):
                yield submodule


@cache
def member(module: str, name: str, root: Path = PACKAGE) -> Place | External | None:
    """What ``module.name`` is, through any number of imports; None where the module has nothing of that name."""
    return _member(module, name, root, frozenset())


def _member(module: str, name: str, root: Path, asked: frozenset[tuple[str, str]]) -> Place | External | None:
    if (module, name) in asked:
        raise UserError(f"{parse(module, root).file}: {name} is imported in a circle")
    parsed = parse(module, root)
    if name in parsed.definitions:
        return Place("definition", module, name)
    bound = parsed.imports.get(name)
    if isinstance(bound, External):
        return bound
    submodule = f"{module}.{name}".removeprefix(".")
    if bound is not None and (bound.module, bound.name) != (module, name):
        return follow(bound, parsed, root, asked | {(module, name)})
    if exists(submodule, root):
        return Place("module", submodule)
    return Place("doc", module) if name == "__doc__" else None


def follow(
    bound: Imported, importer: Module, root: Path, asked: frozenset[tuple[str, str]] = frozenset()
) -> Place | External:
    """What an import leads to. Raises UserError where it leads nowhere."""
    if bound.name is None:
        if exists(bound.module, root):
            return Place("module", bound.module)
        raise UserError(f"{importer.file}:{bound.line}: there is no module {dotted(bound.module, root)}")
    if not exists(bound.module, root):
        raise UserError(f"{importer.file}:{bound.line}: there is no module {dotted(bound.module, root)}")
    found = _member(bound.module, bound.name, root, asked)
    if found is None:
        raise UserError(f"{importer.file}:{bound.line}: {dotted(bound.module, root)} has no {bound.name}")
    return found
