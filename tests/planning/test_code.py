"""The hash of the code that an artifact is made by: what counts in it and what does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from fairshrink.planning.code import file_hashes, slice_hashes

SOURCES = {
    "method": '''
        """Card."""
        from pkg import tools
        from pkg.maths import scale as factor

        LIMIT = 3

        def compress(x: int, y=2) -> int:
            """Do it."""
            # a comment
            return helper(x) * factor(LIMIT) + tools.shift(y)

        def helper(x):
            return x + 1

        def summarize(x):
            return unused(x)

        def unused(x):
            return x
    ''',
    "tools": """
        def shift(x):
            from pkg import late
            return late.inner(x) + other(x)

        def other(x):
            return x

        def elsewhere(x):
            return x
    """,
    "late": "def inner(x):\n    return x\n",
    "maths": """
        scale, offset = max, 1

        def unrelated():
            return 1
    """,
}


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "pkg"
    folder.mkdir()
    for name, text in SOURCES.items():
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        (folder / f"{name}.py").write_text("\n".join(line[indent:] for line in lines) + "\n")
    return folder


ENTRY = (("method", "compress"),)


def hashes(folder: Path) -> dict[str, str]:
    slice_hashes.cache_clear()
    from fairshrink.planning import code

    code.parse.cache_clear()
    code._visit.cache_clear()
    return slice_hashes(ENTRY, folder)


def edit(folder: Path, module: str, old: str, new: str) -> None:
    path = folder / f"{module}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_slice_holds_exactly_what_can_run(package):
    assert set(hashes(package)) == {
        "method:compress",
        "method:helper",
        "method:LIMIT",
        "tools:shift",
        "tools:other",
        "late:inner",
        "maths:scale",
    }


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("method", "# a comment", "# another comment"),
        ("method", '"""Do it."""', '"""Do it well."""'),
        ("method", '"""Card."""', '"""Another card."""'),
        ("method", "x: int, y=2) -> int", "x: float, y=2) -> float"),
        ("method", "return helper(x) * factor(LIMIT)", "return (helper(x)\n            * factor(LIMIT))"),
        ("method", "return unused(x)", "return unused(x) + 1"),
        ("tools", "def elsewhere(x):\n    return x", "def elsewhere(x):\n    return -x"),
        ("maths", "return 1", "return 2"),
    ],
)
def test_what_cannot_change_the_result_does_not_count(package, module, old, new):
    before = hashes(package)
    edit(package, module, old, new)
    assert hashes(package) == before


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        ("method", "LIMIT = 3", "LIMIT = 4", "method:LIMIT"),
        ("method", "return x + 1", "return x + 2", "method:helper"),
        ("method", "y=2", "y=3", "method:compress"),
        ("late", "return x", "return -x", "late:inner"),
        ("maths", "scale, offset = max, 1", "scale, offset = min, 1", "maths:scale"),
    ],
)
def test_what_can_change_the_result_counts_where_it_stands(package, module, old, new, changed):
    before = hashes(package)
    edit(package, module, old, new)
    after = hashes(package)
    assert {name for name in before if before[name] != after.get(name)} == {changed}


def test_statements_that_run_on_import_count(package):
    before = hashes(package)
    path = package / "late.py"
    path.write_text(path.read_text() + "\nprint('imported')\n")
    assert set(hashes(package)) - set(before) == {"late:"}


def test_hash_seed_and_working_directory_do_not_matter(package, tmp_path):
    program = (
        "from pathlib import Path; from fairshrink.planning.code import slice_hashes; import sys;"
        "print(slice_hashes((('method', 'compress'),), Path(sys.argv[1])))"
    )
    root = str(Path(__file__).parents[2])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(package)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": root},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, cwd in (("1", root), ("2", tmp_path))
    }
    assert outputs == {f"{hashes(package)}\n"}


def test_data_files_count_by_their_bytes(package):
    (package / "words.json").write_text("[1]")
    before = file_hashes(("words.json",), package)
    (package / "words.json").write_text("[2]")
    assert list(before) == ["file:words.json"]
    assert file_hashes(("words.json",), package) != before
