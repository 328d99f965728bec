"""The floors of docs/architecture.md: imports point downwards between folders, never in a circle between files.

Imports inside functions count, those for annotations too, and what the registry loads by name or a module by
`import_module`. Only `contracts.py` may name types of any room for annotations.
"""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from tiny_study import ROOT

import fairshrink
from fairshrink import registry

PACKAGE = ROOT / "fairshrink"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 320
"""Lines of a module, its docstrings apart."""
MOST_IN_ROOT = 10
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


PAGE = (ROOT / "docs/architecture.md").read_text()


def floors():
    """Rooms of each floor, from the highest to the ground, as the page lists them."""
    rows = re.findall(r"^\| (\d+|top|ground) \| (.*) \|$", PAGE, re.MULTILINE)
    return [re.findall(r"`(\w+)`", rooms) or [floor] for floor, rooms in rows]


def tree(heading, folder=""):
    """Names of the lines of the first tree after a heading of the page, each with what it says."""
    block = re.search(r"```text\n(.*?)```", PAGE.partition(f"## {heading}\n")[2], re.DOTALL)[1]
    indent = "  " if folder else ""
    return dict(re.findall(rf"^{indent}(\S+?)/? {{2,}}(\S.*)$", block, re.MULTILINE))


def room(file: Path) -> str:
    """The folder right below the package that a file is in; the ground, or the top for what starts everything."""
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else "top" if file.stem in ("__init__", "__main__") else "ground"


def resolved(dotted: str) -> Path | None:
    """The file that a dotted name below the package leads to."""
    path = PACKAGE.joinpath(*dotted.split(".")[1:]) if dotted != "fairshrink" else PACKAGE
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def is_for_annotations(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@cache
def imports(file: Path) -> frozenset[Path]:
    """The files of the package that a file can import, anywhere in it."""
    found = _imports(ast.parse(file.read_text()), skip_annotations=file == PACKAGE / "contracts.py")
    # What the registry holds counts for those who use it.
    return frozenset(found) - (set(_of_kinds(registry.KINDS)) if file == PACKAGE / "registry.py" else set())


def _imports(tree: ast.AST, skip_annotations: bool):
    for node in ast.iter_child_nodes(tree):
        if skip_annotations and is_for_annotations(node):
            continue
        if isinstance(node, ast.Import):
            yield from filter(None, (resolved(alias.name) for alias in node.names if is_ours(alias.name)))
        elif isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
            for alias in node.names:
                file = resolved(f"{node.module}.{alias.name}") or resolved(node.module)
                if file != PACKAGE / "__init__.py" or alias.name in fairshrink.__all__:  # else: older commits had it
                    yield file
        elif isinstance(node, ast.Call):
            yield from _loaded(node)
        elif isinstance(node, ast.Attribute) and is_catalog(node.value):
            yield from _of_kinds([node.attr])
            continue
        elif is_catalog(node):
            yield from _of_kinds(registry.KINDS)
        yield from _imports(node, skip_annotations)


def is_catalog(node: ast.AST) -> bool:
    """Whether this is the registry's table of all modules."""
    return isinstance(node, ast.Name | ast.Attribute) and re.fullmatch(r"(registry\.)?CATALOG", ast.unparse(node))


def is_ours(dotted: str) -> bool:
    return dotted.split(".")[0] == "fairshrink"


def _loaded(call: ast.Call):
    """What `registry.load(kind, name)`, `registry.modules(kind)` or `import_module(name)` may import."""
    function = ast.unparse(call.func)
    if function in ("registry.load", "registry.modules"):
        (kind, *_) = call.args
        yield from _of_kinds([kind.value] if isinstance(kind, ast.Constant) else registry.KINDS)
    elif function.endswith("import_module"):
        (name,) = call.args
        known = name.values[0] if isinstance(name, ast.JoinedStr) else name
        prefix = known.value.rstrip(".") if isinstance(known, ast.Constant) else ""
        if is_ours(prefix) and prefix != PACKAGE.name:
            folder = PACKAGE.joinpath(*prefix.split(".")[1:])
            yield from [each for each in FILES if folder in each.parents] or [resolved(prefix)]


def _of_kinds(kinds):
    """All modules that the registry finds of these kinds."""
    for kind in kinds:
        modules = registry.modules(kind)
        yield from (resolved(f"fairshrink.{modules.path(name)}") for name in modules.names())


def test_every_room_is_on_a_floor():
    rooms = {room(file) for file in FILES}
    listed = [each for floor in floors() for each in floor]
    assert len(listed) == len(set(listed))
    assert set(listed) == rooms


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_point_downwards(file):
    level = {each: number for number, floor in enumerate(floors()) for each in floor}
    upwards = [
        other.relative_to(PACKAGE).as_posix()
        for other in imports(file)
        if room(other) != room(file) and level[room(other)] <= level[room(file)]
    ]
    assert sorted(upwards) == []


def test_files_do_not_import_each_other_in_a_circle():
    """Taken away again and again are the files that import nothing that is left: of a circle, none can be."""
    left = {file: imports(file) - {file} for file in FILES}
    while free := [file for file, needed in left.items() if not needed & left.keys()]:
        left = {file: needed for file, needed in left.items() if file not in free}
    name = {file: file.relative_to(PACKAGE).as_posix() for file in FILES}
    assert {name[file]: sorted(name[each] for each in needed & left.keys()) for file, needed in left.items()} == {}


def test_trees_of_the_page_show_what_is_there():
    there = {each.name for each in PACKAGE.iterdir() if not each.name.startswith("_")}
    assert set(tree("The package", "fairshrink")) == there
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    tracked = {each.partition("/")[0] for each in listed if each and not each.startswith(".")}
    documents = {each for each in tracked if each.endswith((".md", ".cff")) or each == "LICENSE"}
    assert set(tree("The repository")) == tracked - documents


def test_only_few_modules_are_in_no_room():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_IN_ROOT


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_no_module_is_long(file):
    text = file.read_text()
    bodies = [node.body for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    docstrings = [body[0] for body in bodies if body and isinstance(body[0], ast.Expr) and is_text(body[0].value)]
    explained = sum(each.end_lineno - each.lineno + 1 for each in docstrings)
    assert len(text.splitlines()) - explained <= LONGEST


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_folder_says_in_a_line_what_it_is():
    folders = {file.parent for file in FILES}
    for folder in folders:
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        assert docstring and "\n" not in docstring.partition("\n\n")[0], folder


def test_imports_are_found_wherever_they_are():
    """The reader of imports itself, on each way of importing."""
    code = """
from __future__ import annotations
import os, fairshrink.keys
from fairshrink import registry, errors
from fairshrink.stats.estimates import Statistic
if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint
def f(name):
    from fairshrink import log
    registry.load("tasks", name)
    return importlib.import_module(f"fairshrink.sources.generated.{name}.generate"), CATALOG.compression["random"]
"""

    def found(code, skip_annotations=False):
        return {each.relative_to(PACKAGE).as_posix() for each in _imports(ast.parse(code), skip_annotations)}

    everywhere = found(code)
    assert everywhere >= {
        "keys.py", "registry.py", "errors.py", "stats/estimates.py", "log.py", "models/checkpoint.py",
        "tasks/regression.py", "sources/generated/nli/generate.py", "compression/unstructured/random.py",
    }  # fmt: skip
    assert not any(each.startswith("metrics/") for each in everywhere)
    assert everywhere - found(code, skip_annotations=True) == {"models/checkpoint.py"}
    for code in ("f(CATALOG)", "registry.load(kind, name)", "registry.modules(kind)", "registry.CATALOG"):
        assert found(code) >= {"metrics/weat.py", "sources/url.py", "tasks/regression.py"}
    assert "tasks/regression.py" not in found("registry.CATALOG.metrics")
