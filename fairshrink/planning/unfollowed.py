"""Finds code that `fairshrink.planning.definitions` cannot follow, so that it could change without any key changing.

Run as ``python -m fairshrink.planning.unfollowed`` (part of ``make lint``): prints file:line, what is wrong and what to
write instead, and exits with 1. Intended exceptions are declared below, with a reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fairshrink.errors import UserError
from fairshrink.planning import modules
from fairshrink.planning.modules import PACKAGE, External, Place, all_modules, exists, member, parse
from fairshrink.planning.reading import RESOURCES, data_file, is_in
from fairshrink.planning.scopes import Function, Reader, Scopes, children

APART = frozenset({"api", "commands", "documenting", "explaining", "exporting", "planning", "upkeep"})
"""Folders of code that no job reaches: they plan, explain, document, export and maintain artifacts. Not examined."""
_ENTRIES = "what is found by name is among the entries that the grid gives, or that `code` of a source names"
DECLARED: Mapping[tuple[str, str, str], str] = {
    ("models.inference.forward", "_answering", "__dict__"): "it asks for a forward pass of a module's own",
    ("models.libraries", "importing", "gc"): "it switches the search for garbage off and on, and finds nothing by it",
    ("models.stored_forms.own_runtime", "apply", "delattr"): "weights of torch's modules, by the names that these have",
    ("models.stored_forms.own_runtime", "apply", "setattr"): "weights of torch's modules, by the names that these have",
    ("models.structure", "FOLDER", "__file__"): "it lists the modules that `_module` may import",
    ("models.structure", "_module", "importlib.import_module"): "the method that writes a form uses its module, so the "
    "checkpoint's key, which is an input of all that reads it, covers the form",
    ("models.architecture.heads", "_count", "setattr"): "numbers of attention modules, by names in a table that counts",
    ("registry", "PACKAGE", "__file__"): _ENTRIES,
    ("registry", "Modules", "importlib.import_module"): _ENTRIES,
    ("registry", "Modules", "__doc__"): "cards are read for pages and lists only",
    ("remote.pointers", "_add", "sys.executable"): "it runs DVC, which stores bytes as they are",
    ("sources.generated.source", "fetch", "importlib.import_module"): _ENTRIES,
    ("stages.as_planned", "AsPlanned", "sys.modules"): "it asks which modules are loaded, to refuse some",
    ("stages.as_planned", "of", "sys.modules"): "it asks which modules are loaded, to refuse some",
    ("stages.gpus", "_take", "change of a module's value"): "locks are held until the process ends",
    ("stages.runner", "_imported", "importlib.import_module"): "the stage's `run` is an entry of each artifact",
    ("store.artifacts", "_circumstances", "sys.modules"): "it asks whether torch is there, for provenance only",
    ("store.artifacts", "_device", "sys.modules"): "it asks whether torch is there, for provenance only",
    ("store.artifacts", "_git_commit", "__file__"): "it asks git about the folder of the code, for provenance only",
    ("store.artifacts", "_gpus", "sys.modules"): "it asks whether torch is there, for provenance only",
    ("store.run_lock", "acquire", "change of a module's value"): "locks are held until the process ends",
    ("store.run_lock", "release", "change of a module's value"): "locks are held until the process ends",
}
"""Intended exceptions: (module, definition, what is refused there) → reason. An entry without effect is refused too."""

Remedies = Iterator[tuple[str, str]]
LOOKUPS = frozenset({"globals", "locals", "vars", "eval", "exec", "compile", "__import__"})
"""Built-in functions that find or make code by text."""
BY_NAME = frozenset(
    {
        "importlib.import_module", "importlib.reload", "importlib.resources", "importlib.util", "importlib.machinery",
        "builtins", "gc", "imp", "marshal", "pickle", "pkgutil", "runpy", "shelve", "zipimport", "sys.modules",
        "sys.executable", "sys._getframe", "operator.attrgetter", "operator.methodcaller", "typing.get_type_hints",
        "functools.singledispatch", "functools.singledispatchmethod", "inspect.getattr_static", "inspect.getfile",
        "inspect.getmembers", "inspect.getmodule", "inspect.getsource", "inspect.getsourcefile", "inspect.currentframe",
        "inspect.get_annotations", "inspect.stack", "pydantic.validate_call",
    }
)  # fmt: skip
"""Parts of the standard library that find code, or its text or annotations, by a name that is made at run time."""
SPECIAL = frozenset(
    {
        "__annotations__", "__builtins__", "__code__", "__dict__", "__file__", "__globals__", "__loader__",
        "__module__", "__path__", "__spec__", "__subclasses__",
    }
)  # fmt: skip
"""Attributes through which code reaches other code, or learns where it is."""
HOOKS = frozenset({"__init_subclass__", "__getattr__"})
CHANGES = frozenset(
    {
        "add", "append", "appendleft", "clear", "discard", "extend", "insert", "move_to_end", "pop", "popitem",
        "register", "remove", "reverse", "setdefault", "sort", "update", "__setitem__", "__setattr__",
    }
)  # fmt: skip
"""Methods that change what they belong to."""
OPENS = frozenset({"open", "read_text", "read_bytes"})


@dataclass(frozen=True, order=True)
class Finding:
    """Code that cannot be followed: where, ``what`` it is, and what to write instead."""

    file: str
    line: int
    module: str
    definition: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what} in {self.definition} cannot be followed: {self.remedy}"


class Seen(NamedTuple):
    """A node, the node around it, the scopes that it is in, and when it runs.

    ``on_import``: when its module is imported. ``counted``: then also in the key of all that imports the module.
    """

    node: ast.AST
    around: ast.AST | None
    scopes: Scopes
    on_import: bool
    counted: bool


def findings(
    root: Path = PACKAGE,
    declared: Mapping[tuple[str, str, str], str] = DECLARED,
    apart: frozenset[str] = APART,
) -> list[Finding]:
    """All code of a package that cannot be followed and is not declared, and declarations that meet nothing.

    Modules and folders that are ``apart`` are not examined.
    """
    examined = [name for name in all_modules(root) if not is_in(name, apart)]
    found = sorted({finding for name in examined for finding in _module(name, root)})
    met = {(each.module, each.definition, each.what) for each in found}
    left = [each for each in found if (each.module, each.definition, each.what) not in declared]
    idle = [
        Finding(
            f"{root.name}/{where[0].replace('.', '/')}.py", 0, *where, "it is declared, but is not there: remove it"
        )
        for where in declared
        if where not in met
    ]
    return left + idle


def _module(name: str, root: Path) -> Iterator[Finding]:
    try:
        module = parse(name, root)
    except UserError as error:
        yield Finding(f"{root.name}/{name.replace('.', '/')}.py", 0, name, "on import", "import *", str(error))
        return
    reader = Reader(module, root)
    tree = ast.parse((root.parent / module.file).read_text(encoding="utf-8")) if module.file.endswith(".py") else None
    for statement in modules.running(tree.body if tree else []):
        definition = _definition(statement)
        for seen in _walk(Seen(statement, None, (), True, modules.acts(statement)), reader):
            line = getattr(seen.node, "lineno", statement.lineno)
            try:
                refused = list(_refused(seen, reader))
            except UserError as error:
                refused = [("import", str(error))]
            for what, remedy in refused:
                yield Finding(module.file, line, name, definition, what, remedy)
    for bound in (*module.definitions, *module.imports) if module.is_package else ():
        submodule = f"{name}.{bound}".removeprefix(".")
        if exists(submodule, root) and member(name, bound, root) != Place("module", submodule):
            yield Finding(module.file, 1, name, bound, "name of a submodule", "give one of the two another name")


def _definition(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else "on import"


def _walk(seen: Seen, reader: Reader) -> Iterator[Seen]:
    yield seen
    for name, child, within in children(seen.node, seen.scopes, reader):
        if isinstance(child, ast.AST):
            later = isinstance(seen.node, Function) and name == "body"
            yield from _walk(Seen(child, seen.node, within, seen.on_import and not later, seen.counted), reader)


def _refused(seen: Seen, reader: Reader) -> Remedies:
    for rule in (_import, _name, _attribute, _lookup, _file, _hook, _change, _effect):
        yield from rule(seen, reader)


def _import(seen: Seen, reader: Reader) -> Remedies:
    """Imports that lead nowhere, and those of what finds code by name."""
    if not isinstance(seen.node, ast.Import | ast.ImportFrom):
        return
    for _, binding in modules.imported(seen.node, reader.module.name, reader.module.is_package, reader.root):
        if isinstance(binding, modules.Imported):
            modules.follow(binding, reader.module, reader.root)
        elif binding.name.startswith("."):
            yield "import", f"there is nothing at {binding.name} in the package"


def _name(seen: Seen, reader: Reader) -> Remedies:
    """Built-in functions that look code up, and what a module knows about its own place."""
    node = seen.node
    if not isinstance(node, ast.Name) or reader.lookup(node.id, seen.scopes) != [None]:
        return
    if node.id in LOOKUPS and not _is_bound(node.id, seen.scopes):
        yield node.id, "name the function or the value; put functions to choose from into a dict"
    if node.id == "__name__":
        yield "__name__", "results must not depend on a module's place: write the text"


def _is_bound(name: str, scopes: Scopes) -> bool:
    return any(name in scope.names for scope in scopes)


def _attribute(seen: Seen, reader: Reader) -> Remedies:
    """Library functions that find code by name, and attributes that lead to other code."""
    node = seen.node
    if not isinstance(node, ast.Name | ast.Attribute):
        return
    meaning = reader.meaning(node, seen.scopes)
    if isinstance(meaning, External):
        found = next((each for each in BY_NAME if meaning.name == each or meaning.name.startswith(f"{each}.")), None)
        inner = isinstance(seen.around, ast.Attribute) and meaning.name != found
        if found and not inner:
            yield found, "name the code that is meant, so that it can be followed"
    if isinstance(node, ast.Attribute) and node.attr in SPECIAL:
        yield node.attr, "name the code or the data that is meant"
    if isinstance(node, ast.Attribute) and node.attr == "__doc__":
        owner = reader.meaning(node.value, seen.scopes)
        if not isinstance(owner, Place) or owner.kind not in ("module", "definition"):
            yield "__doc__", "name the module or function whose docstring is read"
    if isinstance(seen.around, ast.Attribute) or not isinstance(meaning, Place) or meaning.kind != "module":
        return
    if parse(meaning.module, reader.root).is_package:
        yield "package as a value", "name the module or function that is meant"


def _lookup(seen: Seen, reader: Reader) -> Remedies:
    """Attributes whose name is made at run time."""
    node = seen.node
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    if node.func.id not in ("getattr", "setattr", "delattr") or _is_bound(node.func.id, seen.scopes):
        return
    owner = reader.meaning(node.args[0], seen.scopes) if node.args else None
    literal = len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
    if node.func.id == "getattr":
        if not literal and not isinstance(owner, External):
            yield "getattr", "write the attribute, or choose from a dict of functions"
    elif owner is not None or not literal:
        yield node.func.id, "pass the value as an argument instead of changing code that others use"


def _file(seen: Seen, reader: Reader) -> Remedies:
    """Files of the package that are not read in the declared way."""
    node, remedy = seen.node, f'read data with a function of {RESOURCES}.py, called with (__file__, "its name")'
    declared = seen.around is not None and data_file(seen.around, seen.scopes, reader)
    if isinstance(node, ast.Name) and node.id == "__file__" and not declared:
        yield "__file__", remedy
    meaning = reader.meaning(node, seen.scopes)
    reads = isinstance(meaning, Place) and (meaning.kind, meaning.module) == ("definition", RESOURCES)
    if reads and reader.module.name != RESOURCES and not declared:
        yield "data file", remedy
    if isinstance(node, ast.Call) and _opens_literal(node):
        yield "file by path", remedy


def _opens_literal(node: ast.Call) -> bool:
    """``open("…")`` or ``Path("…").read_text()``: neither is given a path."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in OPENS:
        return False
    opened = node.args[0] if isinstance(node.func, ast.Name) and node.args else getattr(node.func, "value", None)
    texts = [each for each in ast.walk(opened) if isinstance(each, ast.Constant)] if opened else []
    names = [each for each in ast.walk(opened) if isinstance(each, ast.Name)] if opened else []
    return any(isinstance(each.value, str) for each in texts) and all(each.id == "Path" for each in names)


def _hook(seen: Seen, reader: Reader) -> Remedies:
    """Functions that Python calls for others without a name being written."""
    node = seen.node
    if not isinstance(node, ast.FunctionDef) or node.name not in HOOKS:
        return
    if node.name == "__init_subclass__" or not seen.scopes:
        yield node.name, "code must be named where it is used; a dict of functions says the same"


def _change(seen: Seen, reader: Reader) -> Remedies:
    """Objects of a module that are changed by a function, or by another module."""
    node = seen.node
    if isinstance(node, ast.Global):
        yield "global", "pass the value as an argument and return the new one"
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and not seen.scopes:
        before = reader.module.definitions.get(node.target.id, [])
        if any(isinstance(each, ast.Import | ast.ImportFrom) for each in before):
            yield "change of another module", "give the new value a name of its own"
    for changed in _changed(node):
        owner = _owner(changed, seen.scopes, reader)
        if owner is None:
            continue
        if owner.module != reader.module.name:
            yield "change of another module", "build the value where it is defined, by naming what belongs to it"
        elif not seen.on_import:
            yield "change of a module's value", "pass the value as an argument, or build it where it is defined"
        elif not seen.counted:
            yield "change of a module's value", "make it a statement of its own"


def _changed(node: ast.AST) -> Iterator[ast.AST]:
    """The objects that a statement or a call changes, as far as can be seen."""
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        yield node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
        yield node.func.value


def _owner(node: ast.AST, scopes: Scopes, reader: Reader) -> Place | None:
    """The module, or its value, that an expression such as ``module.VALUE["x"].list`` is a part of."""
    while True:
        meaning = reader.meaning(node, scopes)
        if isinstance(meaning, Place) and meaning.kind in ("definition", "module"):
            return meaning
        if not isinstance(node, ast.Attribute | ast.Subscript):
            return None
        node = node.value


def _effect(seen: Seen, reader: Reader) -> Remedies:
    """What is called on import for its effect on another module, or on a value that need not know of it."""
    node = seen.node
    if seen.around is None and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        owner = _owner(node.value.func, (), reader)
        if owner is not None and owner.module != reader.module.name:
            yield "call on import", "call it where its effect is needed"
    for decorator in getattr(node, "decorator_list", ()):
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        owner = _owner(called.value, seen.scopes, reader) if isinstance(called, ast.Attribute) else None
        if owner is not None and owner.kind == "definition":
            yield "decorator of a value", "name the function where it is used; a dict of functions says the same"


def main() -> int:
    """Print what cannot be followed; 1 if there is anything."""
    found = findings()
    for each in found:
        print(each, file=sys.stderr)
    if found:
        print("Intended exceptions are declared, with a reason, in DECLARED of this module.", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
