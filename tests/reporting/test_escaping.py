"""Text from data is text wherever it goes: read back from each target by a program that reads it."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fairshrink.log import log, shown
from fairshrink.reporting import escaping, style

PIECES = [
    *(
        "<script>",
        "</script>",
        "<!--",
        "&amp;",
        "&",
        "<b>",
        "![a](b)",
        "[a](b)",
        "[a]: b",
        "**",
        "__",
        "_a_",
        "`",
        "~~",
    ),
    *("|", "\\", "\\|", "$", "$x^2$", "$\\frac$", "\\input{x}", "%", "#", "# ", "- ", "1. ", "> ", "---", "==="),
    *("=1+1", "+1", "-1", "@a", "\t=", "\uff1d1", " =1", '"', "'", ",", ";", "\n", "\r", "\x1b[31m", "\x07", "\0"),
    *("\u202e", "\u200b", "\u2028", "\ud800", "é", "漢", "😀", "<http://a.b>", "{", "}", "{{ a }}", "{% x %}"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=6).map("".join)
QUICK = settings(max_examples=100, deadline=None, derandomize=True)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Texts(HTMLParser):
    """Elements and all text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.parts = [], []
        self.feed(page)
        self.close()
        self.text = "".join(self.parts)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    handle_startendtag = handle_starttag

    def handle_comment(self, data):
        self.tags.append("comment")

    handle_decl = handle_pi = handle_comment

    def handle_data(self, data):
        self.parts.append(data)


def hidden(text: str) -> list[str]:
    return [each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@QUICK
@given(TEXTS)
def test_what_cannot_be_seen_is_named(text):
    said = escaping.visible(text)
    assert set(hidden(said)) <= {"\n"}
    said.encode()
    plain = "".join(each for each in text if each.isalnum())
    assert escaping.visible(plain) == plain
    assert not hidden(escaping.one_line(text))


@QUICK
@given(TEXTS)
def test_markdown_shows_the_text_and_nothing_else(text):
    wanted = escaping.one_line(text).strip()
    cell = escaping.markdown(text)
    table = Texts(PARSER.render(f"| a | b |\n|---|---|\n| {cell} | x |\n"))
    assert table.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert [each for each in table.text.split("\n") if each.strip()] == ["a", "b", *([wanted] if wanted else []), "x"]
    title = Texts(PARSER.render(f"## {cell}\n"))
    assert title.tags == ["h2"] and title.text.strip() == wanted
    note = Texts(PARSER.render(f"x\n\n{cell}\n\nx\n"))
    assert set(note.tags) == {"p"} and note.text.split("\n")[1:-2] == ([wanted] if wanted else [])


@QUICK
@given(TEXTS)
def test_no_text_is_a_formula_of_a_spreadsheet(text):
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow(["a", escaping.csv_cell(text)])
    (row,) = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    stream.getvalue().encode()
    assert row[1].removeprefix("'") == escaping.visible(text, keep="\n\r\t").removeprefix("'")
    assert not re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]", row[1])


@QUICK
@given(TEXTS)
def test_latex_has_no_command_of_its_own(text):
    known = set(escaping._LATEX.values())
    left = escaping.latex(text)
    for each in sorted(known, key=len, reverse=True):
        left = left.replace(each, "")
    assert not re.search(r"[\\{}$&%#_^~]", left.replace("''", ""))
    assert "\n" not in left and all(each.isprintable() for each in left)


@QUICK
@given(TEXTS)
def test_json_in_a_page_is_the_text_and_ends_no_element(text):
    said = escaping.json_in_page({"a": [text], text: 1})
    said.encode()
    assert json.loads(said) == {"a": [text], text: 1} or text == "a"
    assert not set("<>&\u2028\u2029") & set(said)


@QUICK
@given(TEXTS)
def test_html_shows_the_text(text):
    text = text.encode("utf-8", "replace").decode().replace("\r", " ").replace("\0", " ")
    page = jinja2.Environment(autoescape=True).from_string("<p title='{{ x }}'>{{ x }}</p>").render(x=text)
    found = Texts(page)
    assert found.tags == ["p"] and found.text == text


@pytest.mark.filterwarnings("ignore:Glyph")
@settings(max_examples=15, deadline=None, derandomize=True)
@given(TEXTS)
@example("$\\frac{$ and $x$")
@example("\x1b\0")
def test_figures_show_the_text(text):
    with style.styled(), tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "FORMATS", ("svg",))
        plt.rcParams["svg.fonttype"] = "none"  # as text that can be read back
        figure, axes = plt.subplots(figsize=(2, 2))
        axes.set_title(text)
        axes.set_xticks([0], ["x"])
        axes.set_yticks([])
        style.save(figure, Path(folder) / "f")
        root = ET.parse(Path(folder) / "f.svg").getroot()
    words = "".join("".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "".join(words.split()) == "x" + "".join(escaping.visible(text).split())


@QUICK
@given(TEXTS)
def test_a_log_has_one_time_for_each_message_and_steers_no_terminal(text):
    assert set(hidden(shown(text))) <= {"\n"}
    lines = shown(f"{text}\n12:00:00 done", indent=2).split("\n")
    assert all(each.startswith("  ") for each in lines[1:])


def test_a_logged_message_is_shown(capsys):
    log("a\x1b[2Jb\n12:00:00 forged")
    assert re.fullmatch(r"\d\d:\d\d:\d\d a\\x1b\[2Jb\n  12:00:00 forged\n", capsys.readouterr().err)
