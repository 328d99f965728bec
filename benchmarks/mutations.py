"""Can an edit of the code change results without changing a key? Seeded random edits of the package, one at a time.

Each edit (a constant, a default, an operator, a comparison, a boolean, a value of a JSON file) is made in a copy of the
package. A process that starts as a fork, with the libraries imported but not the package, computes the keys of a tiny
study with it, makes all its artifacts, and compares them with those of the unedited code. A *hole* is an artifact with
the key that it had before and other scores or results. Exit status 1 if there is one.
"""

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("download", "finetune", "compress", "evaluate", "aggregate")
RESULTS = {"evaluate": "items.parquet", "aggregate": "tables/results.parquet"}
LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "torch",
    "transformers",
    "pydantic",
    "yaml",
    "difflib",
)
LIBRARIES += ("safetensors.torch", "tokenizers", "matplotlib.figure", "matplotlib.backends.backend_agg")
SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
"""Operators and what each is exchanged for."""
QUOTES = ("'", '"', "")
"""Texts that are edited are mostly names of columns and keys, so that the run fails: they are drawn less often."""
TIMEOUT_S = 300


@dataclass(frozen=True)
class Edit:
    """One edit: ``old`` text at ``start`` (in bytes) of a file of the package becomes ``new``."""

    file: str
    line: int
    kind: str
    start: int
    old: str
    new: str


@dataclass(frozen=True)
class Outcome:
    """``outcome``: hole, harmless and noticed, harmless and unnoticed, noticed, or fails; ``details`` say where."""

    edit: Edit
    outcome: str
    details: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="one model, one compression, three metrics")
    parser.add_argument("--under", default="", help="only files below this path of the package, such as metrics/")
    parser.add_argument("--json", type=Path, help="write what each edit did into this file")
    options = parser.parse_args()
    for name in LIBRARIES:
        __import__(name)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = list(run(Path(folder), options.edits, options.seed, small=options.small, under=options.under))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    for name, number in Counter(each.outcome for each in outcomes).most_common():
        print(f"{number:5} {name}")
    sys.exit(any(each.outcome == "hole" for each in outcomes))


def run(folder: Path, count: int, seed: int, *, small: bool, under: str = "") -> Iterator[Outcome]:
    """Outcomes of ``count`` edits, drawn with the seed: first a file, so that short ones have their share too."""
    package = folder / "code" / "fairshrink"
    shutil.copytree(ROOT / "fairshrink", package, ignore=shutil.ignore_patterns("__pycache__"))
    forked(lambda: prepare(folder / "study", small=small), folder / "prepared.log")
    before = forked(lambda: made(folder / "study", folder / "before", package), folder / "before.log")
    if "error" in before:
        raise RuntimeError(f"the unedited code fails:\n{before['error']}")
    draw = random.Random(seed)
    possible: dict[str, list[Edit]] = {}
    for each in edits(package, draw):
        if each.file.startswith(under):
            possible.setdefault(each.file, []).append(each)
    for number in range(count):
        within = possible[draw.choice(list(possible))]
        telling = [each for each in within if each.old[:1] not in QUOTES]
        edit = draw.choice(telling if telling and draw.random() < 0.8 else within)
        path = package / edit.file
        original = path.read_bytes()
        end = edit.start + len(edit.old.encode())
        path.write_bytes(original[: edit.start] + edit.new.encode() + original[end:])
        after = forked(lambda: made(folder / "study", folder / "after", package), folder / "after.log")
        path.write_bytes(original)
        shutil.rmtree(folder / "after", ignore_errors=True)
        outcome = judged(edit, before, after)
        shown = f"{edit.old!r} → {edit.new!r}".replace("\n", " ")
        print(f"{number + 1:4} {outcome.outcome:24} {edit.file}:{edit.line} {edit.kind}: {shown[:100]}", flush=True)
        for each in outcome.details[:5]:
            print(f"       {each}", flush=True)
        yield outcome


def judged(edit: Edit, before: dict[str, Any], after: dict[str, Any]) -> Outcome:
    """Compare digests of results by path; without their keys to see whether the edit was harmless."""
    old, new = before["made"], after.get("made", {})
    holes = [path for path in old if path in new and old[path] != new[path]]
    if holes:
        return Outcome(edit, "hole", tuple(holes))
    if "error" in after:
        return Outcome(edit, "fails", (after["error"].strip().rsplit("\n", 1)[-1][:300],))
    unnoticed = set(before["paths"]) == set(after["paths"])
    if unnoticed:
        return Outcome(edit, "harmless and unnoticed")
    scores = [{_plain(path): each for path, each in some.items() if "/scores/" in path} for some in (old, new)]
    return Outcome(edit, "harmless and noticed" if scores[0] == scores[1] else "noticed")


def _plain(path: str) -> str:
    return re.sub(r"-[0-9a-f]{12}(?=/|$)", "", path)


def edits(package: Path, draw: random.Random) -> list[Edit]:
    """All edits that are possible, in an order that depends on the package alone."""
    found: list[Edit] = []
    for path in sorted(package.rglob("*.py")):
        found += _of_code(path.relative_to(package).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted(package.rglob("*.json")):
        found += _of_data(path.relative_to(package).as_posix(), path.read_text(encoding="utf-8"), draw)
    return found


def _of_code(file: str, text: str) -> Iterator[Edit]:
    lines = text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for node in _nodes(ast.parse(text)):
        changed = _changed(node)
        if changed is not None:
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            old = text.encode()[start:end].decode()
            yield Edit(file, node.lineno, type(node).__name__, start, old, changed)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but docstrings, annotations, types for checkers, and parts of f-strings, which have no positions."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    yield from _nodes(each)


def _changed(node: ast.AST) -> str | None:
    """The source of the node after its edit."""
    if isinstance(node, ast.Constant) and node.value is not None and node.value is not ...:
        value = node.value
        if isinstance(value, bool):
            return repr(not value)
        if isinstance(value, int | float):
            return f"({value + 1!r})"
        return repr(value + ("x" if isinstance(value, str) else b"x"))
    changed = copy.deepcopy(node)
    if isinstance(changed, ast.BinOp | ast.BoolOp) and type(changed.op) in SWAPPED:
        changed.op = SWAPPED[type(changed.op)]()
    elif isinstance(changed, ast.Compare) and type(changed.ops[0]) in SWAPPED:
        changed.ops[0] = SWAPPED[type(changed.ops[0])]()
    elif isinstance(changed, ast.UnaryOp) and isinstance(changed.op, ast.Not | ast.USub):
        changed = changed.operand
    elif isinstance(changed, ast.IfExp):
        changed.body, changed.orelse = changed.orelse, changed.body
    else:
        return None
    return f"({ast.unparse(changed)})"


def _of_data(file: str, text: str, draw: random.Random) -> Iterator[Edit]:
    """Words that get a letter more."""
    words = list(re.finditer(r'"([A-Za-z ]+)"', text))
    for found in draw.sample(words, min(40, len(words))):
        start = len(text[: found.start()].encode())
        yield Edit(file, text.count("\n", 0, found.start()) + 1, "data", start, found[0], f'"{found[1]}x"')


def prepare(folder: Path, *, small: bool) -> dict[str, Any]:
    """Models, data and study."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests/helpers")]
    import tiny_study

    content = tiny_study.study()
    content["tasks"]["sentiment"]["splits"] = [0]
    if small:
        content["downloads"] = {name: content["downloads"][name] for name in ("bert", "reviews", "benchmarks")}
        content["models"] = {"bert": content["models"]["bert"] | {"tasks": ["mlm", "similarity"]}}
        content["tasks"] = {name: content["tasks"][name] for name in ("mlm", "similarity")}
        content["compressions"] = [{"method": "magnitude_global", "sparsity": 0.5}]
        content["metrics"] = [
            each for each in content["metrics"] if each["metric"] in ("task_score", "weat", "crows_pairs")
        ]
    tiny_study.write_data(folder / "local")
    tiny_study.write_study(folder, content)
    return {}


def made(study: Path, target: Path, package: Path) -> dict[str, Any]:
    """Digests of the results of all artifacts by path, as the package makes them below ``target``."""
    sys.path.insert(0, str(package.parent))
    target.mkdir(parents=True)
    for each in study.iterdir():
        (target / each.name).symlink_to(each)
    os.chdir(target)
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {"made": {}}
    try:
        import fairshrink

        if Path(fairshrink.__file__).parent != package:
            raise RuntimeError(f"{fairshrink.__file__} was imported")
        from importlib import import_module

        from fairshrink.planning import grid, studies
        from fairshrink.planning.plan import Order

        artifacts = grid.expand(studies.load("config.yaml"))
        found["paths"] = list(artifacts)
        for stage in STAGES:
            for path, each in artifacts.items():
                if each.stage == stage:
                    import_module(f"fairshrink.stages.{stage}").run([Order(each.recipe, each.job)])
                    if stage in RESULTS:
                        found["made"][path] = hashlib.sha256((Path(path) / RESULTS[stage]).read_bytes()).hexdigest()
    except BaseException:  # whatever an edit breaks
        found["error"] = traceback.format_exc()
    return found


def forked(work: Callable[[], dict[str, Any]], log: Path) -> dict[str, Any]:
    """The result of some work in a forked process; an error where it takes too long or dies."""
    answer = log.with_suffix(".json")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT_S)
        sys.dont_write_bytecode = True
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            answer.write_text(json.dumps(work()))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if answer.is_file():
        return json.loads(answer.read_text())
    return {"error": f"{log.read_text()[-2000:]}\nthe process ended with status {status}"}


if __name__ == "__main__":
    main()
