"""Which code belongs to a key: what changes it, what must not, and what is refused as it cannot be followed.

The cases of `CASES` are the rows of the table in docs/recomputing.md.
"""

import ast
import re
import symtable
import textwrap
from pathlib import Path

import pytest

from fairshrink import registry
from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.planning import definitions, modules, reading, unfollowed
from fairshrink.planning import scopes as scoping
from fairshrink.planning.definitions import INERT, LINKS, code_of
from fairshrink.planning.modules import PACKAGE, Place

ROOT = PACKAGE.parent
PAGE = ROOT / "docs/recomputing.md"
MARK = re.compile(r"«([^|«»]*)\|([^|«»]*)»", re.DOTALL)
RUN = (CodeEntry("job", "run"),)
"""The job of each case."""

Sources = dict[str, str]

# Each text holds «before|after». "followed": the edit changes the job's code; "refused": the check names it before and
# after; "not counted": the edit changes nothing and nothing is refused.
CASES: dict[str, Sources] = {
    "a definition that is used, its defaults, decorators, bases, class fields": {
        "job": "from pkg.tools import f, C\ndef run(x): return f(x), C",
        "tools": """
            from pkg.deep import wrap, Base, Meta
            def f(x, *, y=«1|2»): return x + y
            class C(Base, metaclass=Meta):
                size: int = 3
        """,
        "deep": """
            def wrap(f): return f
            class Base: pass
            class Meta(type): pass
        """,
    },
    "the name of a definition": {
        "job": "from pkg.tools import «f|g» as h\ndef run(x): return h(x)",
        "tools": "def «f|g»(x): return x",
    },
    "which of two definitions a name is imported from, also where they are called the same": {
        "job": "from pkg.«one|two» import f\ndef run(x): return f(x)",
        "one": "from pkg.deep import a as g\ndef f(x): return g(x)",
        "two": "from pkg.deeper import a as g\ndef f(x): return g(x)",
        "deep": "def a(x): return b(x)\ndef b(x): return 1",
        "deeper": "def a(x): return b(x)\ndef b(x): return 2",
    },
    "two aliases that are exchanged": {
        "job": "from pkg.tools import a as «p|q», b as «q|p»\ndef run(x): return p(x) - q(x)",
        "tools": "def a(x): return x\ndef b(x): return 2 * x",
    },
    "what is imported from a library": {
        "job": "from math import «floor|ceil» as whole\ndef run(x): return whole(x)",
    },
    "imports inside functions, `if` and `try`": {
        "job": """
            import sys
            if sys.platform:
                from pkg.tools import f
            try:
                from pkg.tools import g
            except ImportError:
                g = None
            def run(x):
                from pkg.tools import h
                return f(x) + g(x) + h(x)
        """,
        "tools": "def f(x): return x\ndef g(x): return x\ndef h(x): return x * «1|2»",
    },
    "`import package.module`, `from . import module` and `module.name`": {
        "job": """
            import pkg.tools
            from . import deep
            def run(x): return pkg.tools.f(x) + deep.f(x)
        """,
        "tools": "def f(x): return x",
        "deep": "from .sub.inner import f",
        "sub/inner": "from ..other import f",
        "other": "def f(x): return «1|2»",
    },
    "packages, what their `__init__` passes on and what it defines": {
        "job": "from pkg.room import f\ndef run(x): return f(x)",
        "room/__init__": "from pkg.room.inner import f\nLIMIT = «3|4»",
        "room/inner": "from pkg.room import LIMIT\ndef f(x): return LIMIT * x",
    },
    "statements that run on import, of every module and package that is imported": {
        "job": "import pkg.room.inner\ndef run(x): return x",
        "room/__init__": "import os\nos.environ['A'] = «'1'|'2'»",
        "room/inner": "",
    },
    "functions in a dict or tuple of a module": {
        "job": "from pkg.tools import KINDS\ndef run(x): return KINDS[x](x)",
        "tools": """
            def _masked(x): return «1|2»
            KINDS = {"masked_lm": _masked}
        """,
    },
    "a module that is passed on as a value: all of it": {
        "job": "from pkg import tools\ndef run(x): return getattr(use(tools), 'f')(x)\ndef use(module): return module",
        "tools": "def f(x): return «1|2»",
    },
    "docstrings that code reads by `__doc__`": {
        "job": "from pkg.tools import f\ndef run(x): return f.__doc__",
        "tools": "def f(x):\n    '''Say «a|b».'''",
    },
    'data files read by a function of `resources.py`, called with `(__file__, "name")`': {
        "job": "from pkg.resources import json_file\ndef run(x): return json_file(__file__, 'words.json')",
        "words.json": "[«1|2»]",
        "resources": "def json_file(module, name): return module, name",
    },
    "an entry or import that leads nowhere": {
        "job": "from pkg.tools import misspelt\ndef run(x): return misspelt(x)",
        "tools": "def f(x): return «1|2»",
    },
    "`import *`": {
        "job": "from pkg.tools import *\ndef run(x): return f(x)",
        "tools": "def f(x): return «1|2»",
    },
    "`getattr` with a name made at run time, unless of a library": {
        "job": "def run(x): return getattr(x.y, 'compress_' + x.z)(«1|2»)",
    },
    "`globals`, `locals`, `vars`, `eval`, `exec`, `compile`, `__import__`": {
        "job": "def run(x): return globals()[x](«1|2»)",
    },
    "`importlib.import_module`, `sys.modules` and other libraries that find code by name": {
        "job": "from importlib import import_module as load\ndef run(x): return load('pkg.' + x).f(«1|2»)",
    },
    "attributes of other modules that are set": {
        "job": "from pkg import tools\ntools.LIMIT = «1|2»\ndef run(x): return tools.LIMIT",
        "tools": "LIMIT = 0",
    },
    "values of a module that a function changes, such as a registry filled by a decorator": {
        "job": """
            KINDS = {}
            def register(f):
                KINDS[f.__name__] = f
                return f
            @register
            def f(x): return «1|2»
            def run(x): return KINDS[x](x)
        """,
    },
    "a call on import that changes what another module holds": {
        "job": "from pkg.tools import KINDS\ndef run(x): return KINDS[x](x)",
        "tools": "KINDS = {}",
        "kind": "from pkg.tools import KINDS\nKINDS['a'] = lambda x: «1|2»",
    },
    "`__init_subclass__`, `__subclasses__`, a module's `__getattr__`": {
        "job": "class A: pass\nclass B(A): size = «1|2»\ndef run(x): return A.__subclasses__()",
    },
    "`__file__` and files opened by a path that is written in the code": {
        "job": "from pathlib import Path\ndef run(x): return (Path(__file__).parent / 'words.json').read_text()",
        "words.json": "[«1|2»]",
    },
    "data files whose name is made at run time": {
        "job": "from pkg.resources import json_file\ndef run(x): return json_file(__file__, x + '.json')",
        "words.json": "[«1|2»]",
        "resources": "def json_file(module, name): return module, name",
    },
    "functions that annotations choose (`singledispatch`, `validate_call`)": {
        "job": "from functools import singledispatch\n@singledispatch\ndef run(x: «int|str»): return x",
    },
    "comments and formatting": {"job": "def run(x):\n    # «one|two»\n    return «x+1|(x + 1)»"},
    "docstrings": {"job": "'''«One|Two».'''\ndef run(x):\n    '''«One|Two».'''\n    return x"},
    "annotations of functions, descriptions of settings, `if TYPE_CHECKING`": {
        "job": """
            from typing import TYPE_CHECKING
            from pydantic import BaseModel, Field
            if TYPE_CHECKING:
                from pkg import «tools|other»
            class Settings(BaseModel):
                size: int = Field(1, description="«one|two»")
            def run(x: «int|str») -> «int|str»: return Settings(x)
        """,
        "tools": "",
        "other": "",
    },
    "definitions that the job cannot reach": {
        "job": "def run(x): return x\ndef summarize(x): return unused(x)\ndef unused(x): return «1|2»",
    },
    "the module that a definition is in, and how it is imported": {
        "job": "«from pkg.tools import f|import pkg.tools2 as t»\ndef run(x): return «f|t.f»(x)",
        "tools": "def f(x): return x",
        "tools2": "def f(x): return x",
    },
    "aliases of imports": {
        "job": "from pkg.tools import f as «p|q»\nimport math as «m|n»\ndef run(x): return «p(m|q(n».pi)",
        "tools": "def f(x): return x",
    },
    "modules that carry results but cannot change them (`INERT`)": {
        "job": "from pkg.log import log\ndef run(x): return log(x)",
        "log": "def log(x): print(«1|2», x)",
    },
}


def write(folder: Path, sources: Sources, side: int) -> Path:
    """The package ``pkg`` as it is before (0) or after (1) the edit."""
    root = folder / str(side) / "pkg"
    root.mkdir(parents=True)
    (root / "__init__.py").touch()
    for name, text in sources.items():
        path = root / (name if "." in name else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(MARK.sub(lambda found: found[side + 1], text)).strip("\n") + "\n")
    return root


def outcome(folder: Path, sources: Sources) -> str:
    before, after = (write(folder, sources, side) for side in (0, 1))
    if unfollowed.findings(before, {}):
        assert unfollowed.findings(after, {})
        return "refused"
    assert not unfollowed.findings(after, {})
    return "not counted" if code_of(RUN, before) == code_of(RUN, after) else "followed"


def table() -> dict[str, str]:
    """What the page says of each kind of code."""
    text = PAGE.read_text(encoding="utf-8").partition("| what code counts |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| (.+) \| (followed|refused|not counted) \|$", text, re.MULTILINE))


def test_the_table_has_a_row_for_each_case():
    assert list(table()) == list(CASES)


@pytest.mark.parametrize("what", CASES)
def test_what_counts_is_what_the_table_says(tmp_path, what):
    assert any(MARK.search(text) for text in CASES[what].values())
    assert outcome(tmp_path, CASES[what]) == table()[what]


def package(folder: Path, sources: Sources) -> Path:
    return write(folder, sources, 0)


def test_hashes_are_named_by_definition_alone_and_equal_names_are_kept_together(tmp_path):
    root = package(
        tmp_path,
        {
            "job": "from pkg.a import f\nfrom pkg.b import f as g\ndef run(x): return f(x) + g(x)\nprint(1)",
            "a": "SIZE = 1\ndef f(x): return SIZE",
            "b": "def f(x): return -x",
        },
    )
    code = code_of(RUN, root)
    assert list(code) == sorted(["run", "f", "SIZE", "on import", LINKS], key=lambda name: (name == LINKS, name))
    assert re.fullmatch("[0-9a-f]{16}", code["run"])
    one, other = code["f"].split("+")
    assert one < other
    alone = {code_of((CodeEntry(name, "f"),), root)["f"] for name in ("a", "b")}
    assert alone == {one, other}


def test_exchanging_two_definitions_of_equal_text_shows_in_the_links_alone(tmp_path):
    sources = CASES["which of two definitions a name is imported from, also where they are called the same"]
    both = {
        **sources,
        "job": "from pkg.one import f as «p|q»\nfrom pkg.two import f as «q|p»\ndef run(x): return p(x) - q(x)",
    }
    before, after = (code_of(RUN, write(tmp_path, both, side)) for side in (0, 1))
    assert {name for name in before if before[name] != after[name]} == {LINKS}


def test_definitions_that_call_each_other_in_a_cycle_are_distinguished(tmp_path):
    circle = """
        from pkg.{next} import f as other
        def f(x): return other(x - 1) if x else end()
        def end(): return {end}
    """
    sources = {
        "job": "from pkg.«a|b» import f\ndef run(x): return f(x)",
        "a": circle.format(next="b", end=1),
        "b": circle.format(next="a", end=2),
    }
    before, after = (code_of(RUN, write(tmp_path, sources, side)) for side in (0, 1))
    assert {name for name in before if before[name] != after[name]} == {LINKS}


def test_the_order_of_entries_does_not_matter(tmp_path):
    root = package(tmp_path, {"job": "def run(x): return x\nclass Settings: size = 1"})
    entries = (CodeEntry("job", "run"), CodeEntry("job", "Settings"))
    assert code_of(entries, root) == code_of(entries[::-1], root)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (CodeEntry("job", "rnu"), r"^job:rnu: rnu is not defined in pkg/job\.py$"),
        (CodeEntry("jbo", "run"), r"^jbo:run: there is no module pkg\.jbo$"),
        (CodeEntry("jbo", "run", required=False), r"^jbo:run: there is no module pkg\.jbo$"),
        (CodeEntry("job", "floor"), r"^job:floor: floor is no definition of this package in pkg/job\.py$"),
        (CodeEntry("", "job"), r"^:job: job is no definition of this package in pkg/__init__\.py$"),
    ],
)
def test_an_entry_that_leads_nowhere_is_an_error_that_names_it(tmp_path, entry, message):
    root = package(tmp_path, {"job": "from math import floor\ndef run(x): return x"})
    with pytest.raises(UserError, match=message):
        code_of((entry,), root)


def test_an_optional_entry_may_be_missing_and_counts_where_it_is_not(tmp_path):
    root = package(tmp_path, {"job": "def run(x): return x"})
    assert code_of((*RUN, CodeEntry("job", "train", required=False)), root) == code_of(RUN, root)
    assert code_of((CodeEntry("job", "run", required=False),), root) == code_of(RUN, root)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (
            "from pkg.tools import g\ndef run(x): return g(x)",
            r"pkg/job\.py:1: pkg\.tools has no g",
        ),
        ("from pkg.none import g\ndef run(x): return g(x)", r"pkg/job\.py:1: there is no module pkg\.none"),
        ("from pkg import tools\ndef run(x):\n    return tools.g", r"pkg/job\.py:3: pkg\.tools has no g$"),
    ],
)
def test_an_import_that_leads_nowhere_is_an_error_that_names_the_line(tmp_path, job, message):
    root = package(tmp_path, {"job": job, "tools": "def f(x): return x"})
    with pytest.raises(UserError, match=message):
        code_of(RUN, root)


def test_local_names_are_not_taken_for_definitions(tmp_path):
    root = package(
        tmp_path,
        {
            "job": """
                from pkg import keys
                from pkg.keys import score, total, each
                def run(keys, *rest, **more):
                    score = keys.items()
                    def total(): return [each.other for each in more]
                    return score, total
            """,
            "keys": "def score(x): return x\ndef total(x): return x\ndef each(x): return x",
        },
    )
    assert set(code_of(RUN, root)) == {"run", LINKS}


@pytest.mark.parametrize(
    "body",
    [
        "return [f for f in range(3)], f",
        "return [g for g in f(x)]",
        "return [f for f in f(x)]",
        "def g(f=f): return f\n    return g",
        "class g:\n        f = f\n    return g",
        "class g:\n        f = 1\n        def h(self): return f\n    return g",
        "def g():\n        global f\n        return f\n    return g",
        "return lambda y=f: y",
        "return {f: 1 for g in x}",
        "return f'{f(x)}'",
        "match x:\n        case f(): return 1",
    ],
)
def test_names_are_looked_up_as_python_does(tmp_path, body):
    root = package(tmp_path, {"job": f"from pkg.tools import f\ndef run(x):\n    {body}\n", "tools": "class f: pass"})
    assert "f" in code_of(RUN, root)


def test_scopes_are_those_of_pythons_own_symbol_table():
    """Every name that a function of the package takes from its module, by both; the standard library is the oracle."""
    compared = 0
    for name in modules.all_modules():
        module = modules.parse(name)
        if not module.file.endswith(".py"):
            continue
        text = (ROOT / module.file).read_text(encoding="utf-8")
        tables = symtable.symtable(text, module.file, "exec").get_children()
        reader = scoping.Reader(module, PACKAGE)
        for table in tables:
            if table.get_type() != "function":
                continue
            nodes = [
                node
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.Lambda)
                and node.lineno == table.get_lineno()
                and getattr(node, "name", "lambda") == table.get_name()
            ]
            if len(nodes) == 1:
                compared += 1
                assert _from_module(nodes[0], reader) == _global_names(table), f"{module.file}: {table.get_name()}"
    assert compared > 500


def _global_names(table: symtable.SymbolTable) -> set[str]:
    own = {each.get_name() for each in table.get_symbols() if each.is_global() and each.is_referenced()}
    return own.union(*(_global_names(each) for each in table.get_children()))


def _from_module(node: ast.AST, reader: scoping.Reader) -> set[str]:
    found: set[str] = set()

    def visit(node: ast.AST, scopes: scoping.Scopes) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            visible = [s for depth, s in enumerate(reversed(scopes)) if not (s.is_class and depth)]
            if not any(node.id in scope.names for scope in visible):
                found.add(node.id)
        for field, child, within in scoping.children(node, scopes, reader):
            if isinstance(child, ast.AST) and field != "annotation":
                visit(child, within)

    for name, child, within in scoping.children(node, (), reader):
        if isinstance(child, ast.AST) and name == "body":
            visit(child, within)
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{'b': x, **y}", "{**x, 'b': y}"),
        ("lambda *, a, b=1: a", "lambda *, a=1, b: a"),
        ("1", "True"),
        ("1", "1.0"),
        ("x[1:]", "x[:1]"),
        ("x - y", "y - x"),
        ("f(*x)", "f(**x)"),
        ("'x'", "b'x'"),
        ("'x'", "x"),
        ("None", "..."),
        ("not x < y", "x < y"),
    ],
)
def test_different_expressions_have_different_hashes(tmp_path, before, after):
    sources = {"job": f"def run(x, y):\n    return «{before}|{after}»\n"}
    assert outcome(tmp_path, sources) == "followed"


def test_an_alias_and_a_parameter_of_the_same_name_are_distinguished(tmp_path):
    sources = {
        "job": "from pkg.tools import a as «p|q», b as «q|p»\ndef run(p, q): return «p - q|q - p»",
        "tools": "def a(): pass\ndef b(): pass",
    }
    assert outcome(tmp_path, sources) == "followed"


@pytest.mark.parametrize(
    "code",
    [
        "import sys\ndef f(x): return sys.modules[x]",
        "def f(x): return eval(x)",
        "def f(x): return x.__dict__['a']",
        "import inspect\ndef f(x): return inspect.getsource(x)",
        "from importlib import resources\ndef f(x): return resources.files('pkg')",
        "def f(x): setattr(x, x.name, 1)",
        "from pkg import tools\ndef f(x): setattr(tools, 'a', 1)",
        "from pkg.tools import TABLE\nTABLE.update(a=1)",
        "from pkg.tools import TABLE\nTABLE['a'] = 1",
        "from pkg.tools import TABLE\nTABLE |= {'a': 1}",
        "from pkg.tools import TABLE\ndel TABLE['a']",
        "from pkg.tools import Kind\nKind.size = 1",
        "from pkg.tools import note\nnote('a')",
        "from pkg.tools import VALUE\n@VALUE.takes('a')\ndef f(x): return x",
        "STATE = {}\ndef f(x): STATE['a'] = x",
        "STATE = []\ndef f(x): return STATE.append(x)",
        "STATE = {}\nOTHER = STATE.setdefault('a', 1)",
        "STATE = 0\ndef f(x):\n    global STATE\n    STATE = x",
        "class A:\n    def __init_subclass__(cls): pass",
        "def __getattr__(name): return name",
        "def f(x): return open('words.txt')",
        "from pathlib import Path\ndef f(x): return Path('data/words.txt').read_text()",
        "import pkg\ndef f(x): return pkg",
        "from pkg.resources import text\ndef f(x): return map(text, x)",
        "def f(x): return x.__doc__",
        "def f(x): return __name__",
        "import typing\ndef f(x): return typing.get_type_hints(x)",
        "from .. import other",
    ],
)
def test_what_cannot_be_followed_is_refused(tmp_path, code):
    tools = "TABLE = {}\nVALUE = object()\nclass Kind: pass\ndef note(x): pass"
    root = package(tmp_path, {"case": code, "tools": tools, "resources": "def text(module, name): return name"})
    found = unfollowed.findings(root, {})
    assert found
    assert all(re.match(r"pkg/case\.py:\d+: .+ cannot be followed: .+", str(each)) for each in found)


@pytest.mark.parametrize(
    "code",
    [
        "import re\nWORD = re.compile('a')",
        "def f(model): return model.eval()",
        "import torch\ndef f(name): return getattr(torch, name)",
        "def f(x): return getattr(x, 'size', 1)",
        "TABLE = {}\nfor each in 'ab':\n    TABLE[each] = 1",
        "from pkg.tools import TABLE\ndef f(x): return {**TABLE, 'a': x}",
        "TABLE = {}\ndef f(TABLE): TABLE['a'] = 1",
        "def f(path): return path.read_text(), open(path)",
        "from pathlib import Path\ndef f(path): return (Path(path) / 'config.json').read_text()",
        "from functools import cache\n@cache\ndef f(x): return x",
        "from pkg.tools import wrap\n@wrap\ndef f(x): return x",
        "class A:\n    def __init__(self): self.size = 1",
        "if __name__ == '__main__':\n    f()\ndef f(): pass",
    ],
)
def test_what_can_be_followed_is_not_refused(tmp_path, code):
    root = package(tmp_path, {"case": code, "tools": "TABLE = {}\ndef wrap(f): return f"})
    assert unfollowed.findings(root, {}) == []


def test_what_is_declared_is_not_refused_and_a_declaration_that_meets_nothing_is(tmp_path):
    root = package(tmp_path, {"case": "def f(x): return eval(x)"})
    reason = "the text is the user's"
    assert unfollowed.findings(root, {("case", "f", "eval"): reason}) == []
    (found,) = unfollowed.findings(root, {("case", "f", "eval"): reason, ("case", "g", "exec"): reason})
    assert (found.definition, found.what) == ("g", "exec")


def test_the_package_can_be_followed():
    assert [str(each) for each in unfollowed.findings()] == []


def test_every_reason_for_what_is_declared_says_something():
    assert all(len(reason.split()) > 3 for reason in unfollowed.DECLARED.values())


def test_no_job_reaches_code_that_is_not_examined():
    """Whatever the grid names as entries: all definitions of all modules that are found by name, and of all stages."""
    found = [registry.modules(kind).path(name) for kind in registry.KINDS for name in registry.names(kind)]
    around = ("stages.runner", "stages.as_planned")  # they start a stage and watch it, and no stage calls them
    found += [name for name in modules.all_modules() if name.startswith("stages.") and name not in around]
    roots = [Place("definition", name, each) for name in found for each in modules.parse(name).definitions]
    _, places = definitions.reached(roots, PACKAGE, INERT)
    assert {place.module for place in places} > set(found)
    apart = {place.module for place in places if reading.is_in(place.module, unfollowed.APART)}
    assert apart == set()


@pytest.mark.parametrize("name", sorted(INERT | unfollowed.APART))
def test_modules_and_folders_that_are_named_exist(name):
    assert modules.exists(name)


def test_the_module_that_reads_data_files_exists():
    assert modules.exists(reading.RESOURCES)
