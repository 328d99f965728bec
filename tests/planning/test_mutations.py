"""A few random edits of the package, each tried on a small study: none may change results without changing a key.

`benchmarks/mutations.py` does the same with hundreds.
"""

import ast
import json
import random
import subprocess
import sys

from tiny_study import ROOT, environment

from benchmarks import mutations
from fairshrink.planning.modules import PACKAGE


def test_no_edit_of_the_metrics_or_models_changes_results_unseen(tmp_path):
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/mutations.py", "--small", "--edits", "3", "--seed", "11", "--json", str(report)],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(report.read_text())) == 3


def test_every_edit_changes_what_the_code_says():
    draw = random.Random(1)
    possible = [each for each in mutations.edits(PACKAGE, draw) if each.file.endswith(".py")]
    assert {each.kind for each in possible} >= {"Constant", "BinOp", "Compare", "BoolOp", "UnaryOp", "IfExp"}
    for edit in draw.sample(possible, 200):
        text = (PACKAGE / edit.file).read_bytes()
        end = edit.start + len(edit.old.encode())
        assert text[edit.start : end].decode() == edit.old
        edited = text[: edit.start] + edit.new.encode() + text[end:]
        assert ast.dump(ast.parse(edited)) != ast.dump(ast.parse(text)), edit


def test_an_artifact_with_its_old_key_and_other_results_is_a_hole():
    edit = mutations.Edit("x.py", 1, "Constant", 0, "1", "2")

    def outcome(made: dict[str, str], paths: list[str], **error: str) -> str:
        before = {"made": {"results/scores/c-000000000000/m-aaaaaaaaaaaa": "1"}, "paths": ["a", "b"]}
        return mutations.judged(edit, before, {"made": made, "paths": paths} | error).outcome

    same, other = ("results/scores/c-000000000000/m-aaaaaaaaaaaa", "results/scores/c-111111111111/m-bbbbbbbbbbbb")
    assert outcome({same: "2"}, ["a", "b"]) == "hole"
    assert outcome({same: "2"}, ["a", "b"], error="later: KeyError") == "hole"
    assert outcome({same: "1"}, ["a", "b"]) == "harmless and unnoticed"
    assert outcome({other: "1"}, ["c", "d"]) == "harmless and noticed"
    assert outcome({other: "2"}, ["c", "d"]) == "noticed"
    assert outcome({}, [], error="KeyError: 'x'") == "fails"
