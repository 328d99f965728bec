"""What the names in a piece of code mean, and what of its syntax tree counts: scopes, looked up as Python would."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fairshrink.errors import UserError
from fairshrink.planning.modules import (
    Binding,
    External,
    Imported,
    Module,
    Place,
    bindings,
    dotted,
    follow,
    is_docstring,
    is_typing_only,
    member,
    single,
)

ABOUT_MODULES = frozenset({"__file__", "__name__", "__path__", "__dict__", "__spec__", "__package__", "__loader__"})
"""What every module has; that results do not depend on it is held by `unfollowed`."""
Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.expr)


class Everywhere(NamedTuple):
    """``global name``: looked up in the module, whatever scopes surround it."""


class Scope(NamedTuple):
    """Names that are bound in one function, class or comprehension, with all that bind them."""

    names: dict[str, list[Binding | Everywhere]]
    is_class: bool


Scopes = tuple[Scope, ...]
"""The scopes around a piece of code, innermost last; none for the code of a module itself."""


class Reader(NamedTuple):
    """The module that code is in, of the package in the folder ``root``."""

    module: Module
    root: Path

    def bound(self, nodes: Sequence[ast.AST]) -> dict[str, list[Binding | Everywhere]]:
        """Names that nodes bind in their scope."""
        found: dict[str, list[Binding | Everywhere]] = {}
        for name, binding in bindings(nodes, self.module.name, self.module.is_package, self.root):
            found.setdefault(name, []).append(binding)
        for name, where in _declared_elsewhere(nodes):
            found.pop(name, None)
            if where is ast.Global:
                found[name] = [Everywhere()]
        return found

    def lookup(self, name: str, scopes: Scopes) -> list[Place | External | None]:
        """What a name can be where it is used; None: something that is local, or that the package does not define."""
        local: list[Place | External | None] = []
        for depth, scope in enumerate(reversed(scopes)):
            if name not in scope.names or (scope.is_class and depth):
                continue
            found = scope.names[name]
            bound = [each for each in found if not isinstance(each, Everywhere)]
            if len(bound) < len(found):
                break
            only = single(bound)
            local += [self._target(each) for each in ([only] if only else bound)]
            if not scope.is_class:
                return local
        if name in self.module.definitions:
            return [*local, Place("definition", self.module.name, name)]
        if name in self.module.imports:
            return [*local, self._target(self.module.imports[name])]
        if name == "__doc__":
            return [*local, Place("doc", self.module.name)]
        return local or [None]

    def _target(self, binding: Binding) -> Place | External | None:
        return follow(binding, self.module, self.root) if isinstance(binding, Imported) else binding

    def meaning(self, node: ast.AST, scopes: Scopes) -> Place | External | None:
        """What an expression such as ``name`` or ``module.name`` stands for, if that is one thing."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            several = self.lookup(node.id, scopes)
            return several[0] if len(several) == 1 else None
        if not isinstance(node, ast.Attribute):
            return None
        whole = self.meaning(node.value, scopes)
        if isinstance(whole, External):
            return External(f"{whole.name}.{node.attr}")
        if whole is None or whole.kind != "module":
            return None
        found = member(whole.module, node.attr, self.root)
        if found is None and node.attr not in ABOUT_MODULES:
            owner = dotted(whole.module, self.root)
            raise UserError(f"{self.module.file}:{node.lineno}: {owner} has no {node.attr}")
        return found


def _declared_elsewhere(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, type]]:
    for node in nodes:
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield from ((name, type(node)) for name in node.names)
        elif not isinstance(node, _OWN_SCOPE):
            yield from _declared_elsewhere(ast.iter_child_nodes(node))


def children(node: ast.AST, scopes: Scopes, reader: Reader) -> Iterator[tuple[str, ast.AST | object, Scopes]]:
    """What counts of a node, field by field, each with the scopes that it is in. Nodes are AST; the rest is plain."""
    if is_typing_only(node):
        yield from (("orelse", each, scopes) for each in node.orelse)
        return
    inner = scopes
    inner_fields: tuple[str, ...] = ()
    first = None
    if isinstance(node, Function):
        names = reader.bound(node.body if isinstance(node.body, list) else [node.body])
        parameters: dict[str, list[Binding | Everywhere]] = {each: [None] for each in _parameters(node.args)}
        inner = (*scopes, Scope(parameters | names, False))
        inner_fields = ("body",)
    elif isinstance(node, ast.ClassDef):
        inner, inner_fields = (*scopes, Scope(reader.bound(node.body), True)), ("body",)
    elif isinstance(node, Comprehension):
        targets = [each.target for each in node.generators]
        inner = (*scopes, Scope(reader.bound(targets), False))
        inner_fields = ("elt", "key", "value", "generators")
        first = node.generators[0]
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "type_comment", "type_params", "kind", "returns"):
            continue
        if name == "annotation" and (isinstance(node, ast.arg) or in_function(scopes)):
            continue
        within = inner if name in inner_fields else scopes
        if not isinstance(value, list):
            if value is not None:
                yield name, value, within
            continue
        for each in value:
            if first is not None and each is first:  # its iterable is evaluated in the scope around
                yield name, first.iter, scopes
                yield from _comprehension(first, inner)
            elif not (isinstance(each, ast.AST) and _left_out(node, each, scopes, reader)):
                yield name, each, within


def in_function(scopes: Scopes) -> bool:
    """Annotations of local variables are never evaluated."""
    return bool(scopes) and not scopes[-1].is_class


def _comprehension(node: ast.comprehension, scopes: Scopes) -> Iterator[tuple[str, ast.AST | object, Scopes]]:
    yield "target", node.target, scopes
    yield "is_async", node.is_async, scopes
    yield from (("ifs", each, scopes) for each in node.ifs)


def _parameters(arguments: ast.arguments) -> list[str]:
    several = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [each.arg for each in several if each]


def _left_out(node: ast.AST, child: ast.AST, scopes: Scopes, reader: Reader) -> bool:
    if isinstance(child, ast.keyword) and child.arg == "description" and isinstance(node, ast.Call):
        return reader.meaning(node.func, scopes) in (External("pydantic.Field"), External("pydantic.fields.Field"))
    return is_docstring(child)
