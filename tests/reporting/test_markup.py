import csv
import io
import re
import shutil
import subprocess

import pandas as pd
import pytest

from fairshrink.reporting import csv_files, escaping, markup
from fairshrink.reporting.marks import MARKS
from fairshrink.reporting.markup import Document, Grid, Marked

HOSTILE = '50% of_a & b #1 ^~{x}\\y $z$ <i> |p| "q"\nnext `c` *d* [e](f)'


def document(text=HOSTILE):
    rows = (("baseline", Marked("[0.1, 0.2]")), (text, Marked("−0.100", "*−")), ("* star", Marked("1", "~")))
    return Document("a_name", "a_task", (Grid("m, t", ("method", text), rows, 1, frozenset({1})),), "note 100% ±")


def test_latex_is_escaped_and_balanced():
    text = markup.latex(document())
    body = "\n".join(each for each in text.splitlines() if not each.startswith("%"))
    assert not re.search(r"(?<!\\)[%#]", body)
    bare = re.sub(r"\\[&%#_${}]", "", body.replace("\\\\", ""))
    assert "_" not in bare and "^" not in bare and "~" not in bare
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    rows = [each for each in body.splitlines() if each.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", each)) for each in rows] == [1] * 4
    assert not any(each.startswith(("[", "*")) for each in rows)
    assert r"$-$0.100\textsuperscript{*$-$}" in body
    assert re.findall(r"\\(\w+rule)", body) == ["toprule", "midrule", "midrule", "bottomrule"]
    for name in ("table", "tabular", "minipage"):
        assert body.count(rf"\begin{{{name}}}") == body.count(rf"\end{{{name}}}") == 1


def test_latex_of_every_mark_is_ascii():
    assert all(escaping.latex(each).isascii() and "?" not in escaping.latex(each).replace("?", "", each == "?")
               for each in MARKS.values())  # fmt: skip
    assert escaping.latex("é漢") == "é?"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    every = " ".join([HOSTILE, *MARKS.values(), "↑ ↓ ↕50 ⟨1, 2⟩ é"])
    wide = Document("wide", "w", (Grid("", tuple("abcdefghij"), (("a wide column",) * 10,), 0),), "")
    packages = r"\documentclass{article}\usepackage{booktabs,graphicx,textcomp}\begin{document}"
    source = packages + markup.latex(document(every)) + markup.latex(wide) + r"\end{document}"
    (tmp_path / "t.tex").write_text(source)
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert b"Overfull" not in done.stdout


def test_escaping_by_hand():
    assert escaping.latex(r"a_b\c{50%}") == r"a\_b\textbackslash{}c\{50\%\}"


def test_markdown_rows_have_equal_numbers_of_cells_and_no_markup_of_their_own():
    text = markup.markdown(document())
    lines = [each for each in text.splitlines() if each.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", each)) for each in lines} == {3} and len(lines) == 5
    assert "<i>" not in text and "&lt;i&gt;" in text and not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)[*`~]", text)


def test_markdown_keeps_names_and_intervals_readable():
    text = markup.markdown(Document("n", "t", (Grid("", ("a",), (("task_score [0.1, 0.2]",),), 0),), ""))
    assert "| task_score [0.1, 0.2] |" in text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_csv_file_is_a_formula(start, tmp_path):
    hostile = f'{start}cmd|"x",1\n2'
    frame = pd.DataFrame({"name": [hostile, "plain"], "value": [-1.5, None], hostile: [-1, 2]})
    csv_files.write(frame, tmp_path / "a.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "a.csv").read_bytes().decode(), newline="")))
    assert rows[0] == ["name", "value", "'" + hostile]
    assert rows[1] == ["'" + hostile, "-1.5", "-1"] and rows[2] == ["plain", "", "2"]
    assert frame["name"][0] == hostile
