"""Kept hashes are those that would be computed, and belong to one state of the package's files."""

from __future__ import annotations

import os
import time

import pytest

from fairshrink.contracts import CodeEntry
from fairshrink.planning import definitions, known_code, package_files
from fairshrink.planning.modules import PACKAGE

RUN = (CodeEntry("stages.download", "run"), CodeEntry("sources.local", "code", False))


@pytest.fixture
def package(tmp_path):
    root = tmp_path / "package"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "inner/a.py").write_text("X = 1\n")
    return root


def touch(path, text):
    """As an edit does it, which takes longer than a tick of the clock."""
    path.write_text(text)
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


def test_kept_hashes_are_those_that_are_computed(tmp_path, monkeypatch):
    # Beside the package, other tests that run at the same time keep theirs under the same name.
    monkeypatch.setattr(known_code, "_file", lambda state, root, kind: tmp_path / f"{kind}-{state}.json")
    fresh = definitions._code_of(RUN, PACKAGE, definitions.INERT)
    definitions.forget()
    first = definitions.code_of(RUN)
    definitions.keep()
    definitions.forget()
    table = known_code.read(package_files.state())
    assert table[known_code.name(RUN)] == fresh == first == definitions.code_of(RUN)
    assert list(fresh) == list(table[known_code.name(RUN)])


def test_kept_modules_are_those_that_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(known_code, "_file", lambda state, root, kind: tmp_path / f"{kind}-{state}.json")
    definitions.forget()
    found = definitions._modules_of(RUN, PACKAGE, definitions.INERT)
    assert definitions.modules_of(RUN) == found  # nothing is kept yet
    definitions.code_of(RUN)
    definitions.keep()
    definitions.forget()
    monkeypatch.setattr(definitions, "_modules_of", None)  # a job looks for none
    assert definitions.modules_of(RUN) == found
    assert {"stages.download", "sources.local"} <= found
    definitions.forget()


@pytest.mark.parametrize("edit", ["X = 2\n", "X = 1\n# a comment\n", ""])
def test_any_edit_makes_another_table(package, edit):
    before = package_files.state(package)
    known_code.write(before, {"e": {"x": "1"}}, package)
    touch(package / "inner/a.py", edit)
    after = package_files.state(package)
    assert after != before
    assert known_code.read(after, package) == {}
    touch(package / "inner/a.py", "X = 1\n")
    assert known_code.read(package_files.state(package), package) == {"e": {"x": "1"}}


def test_files_count_by_name_and_compiled_ones_do_not(package):
    before = package_files.state(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__/a.pyc").write_bytes(b"x")
    assert package_files.state(package) == before
    (package / "inner/a.py").rename(package / "inner/b.py")
    assert package_files.state(package) != before


def test_nothing_is_kept_of_files_that_have_changed_in_the_meantime(package):
    before = package_files.state(package)
    touch(package / "inner/a.py", "X = 3\n")
    known_code.write(before, {"e": {"x": "1"}}, package)
    assert known_code.read(before, package) == {}


@pytest.mark.parametrize("content", ["", "[1]", '{"e": ', "\x00"])
def test_what_cannot_be_read_is_computed_again(package, content):
    state = package_files.state(package)
    known_code.write(state, {"e": {"x": "1"}}, package)
    (file,) = (package / "__pycache__").glob("code-*.json")
    file.write_text(content)
    assert known_code.read(state, package) == {}


def test_few_tables_are_kept(package):
    for number in range(known_code.KEPT + 3):
        touch(package / "inner/a.py", f"X = {number}\n")
        known_code.write(package_files.state(package), {}, package)
    assert len(list((package / "__pycache__").iterdir())) == known_code.KEPT


def test_a_folder_that_cannot_be_written_stops_nothing(package):
    (package / "__pycache__").write_text("a file where the folder should be")
    state = package_files.state(package)
    known_code.write(state, {"e": {}}, package)
    assert known_code.read(state, package) == {}
