"""The report as a file: complete, self-contained, escaped, and small enough; its look is in test_report_browser.py."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
import report_case
import synthetic_cells

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.reporting import escaping
from fairshrink.reporting.answer import answer
from fairshrink.reporting.limits import limits
from fairshrink.reporting.report import page, payload

HOSTILE = '<img src=x onerror="alert(1)">'
CLOSING = "</script><script>alert(2)</script><!--"
VOID = {"meta", "link", "img", "br", "input"}


class Document(HTMLParser):
    """Elements in order, whether they are closed in turn, addresses, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.addresses, self.scripts, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    def data(self) -> dict:
        (found,) = [each for each in self.scripts if each.startswith("{")]
        return json.loads(found)


@pytest.fixture(scope="module")
def cells():
    return synthetic_cells.cells()


@pytest.fixture(scope="module")
def written(cells, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report_case.write(path, cells)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(written):
    return Document(written)


def test_it_is_well_formed_and_loads_nothing(document, written):
    assert document.open == [] and written.startswith("<!doctype html>")
    assert {each for each in document.addresses if not each.startswith("#")} == {"data:,"}
    style = re.search(r"<style>(.*?)</style>", written, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each[1:] for each in document.addresses if each.startswith("#")} <= set(ids)


def test_answer_and_limits_are_readable_without_scripts(document, cells):
    text = " ".join(" ".join(document.words).split())
    for sentence in [*answer(cells), *limits(cells)]:
        name, _, rest = sentence.partition(": ")
        assert " ".join((rest or name).split()) in text


def test_the_table_has_a_row_for_each_bias_cell(document, cells):
    rows = {a["id"] for tag, a in document.elements if tag == "tr" and a.get("id", "").startswith("cell-")}
    bias = cells[cells["kind"].isin(["intrinsic", "extrinsic"])]
    assert rows == {f"cell-{i}" for i in bias.index}
    hidden = {a["id"] for tag, a in document.elements if tag == "tr" and "hidden" in a}
    assert hidden == {f"cell-{i}" for i in bias.index[bias["control"]]}


def test_every_verdict_is_explained(document):
    text = html.unescape(" ".join(document.words))
    assert all(meaning in text for meaning in kinds.MEANING.values())


def test_the_data_are_the_cells(document, cells):
    data = document.data()
    assert data["n"] == len(cells)
    for name in ("value", "null_low", "damage", "bytes"):
        for shown, true in zip(data["cells"][name], cells[name], strict=True):
            assert (shown is None) == bool(pd.isna(true))
            assert shown is None or shown == pytest.approx(float(true), rel=1e-5)


def test_hostile_names_stay_text(cells, tmp_path):
    some = cells["model"] == "smollm2"
    names = {
        each: cells[each].mask(some, HOSTILE + CLOSING) for each in ("model", "task", "setting", "metric", "reason")
    }
    bad = cells.assign(**names, line=cells["line"].mask(some, CLOSING))
    report_case.write(tmp_path / "report.html", bad, study=CLOSING + HOSTILE, text=CLOSING + HOSTILE)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    document = Document(text)
    assert document.open == [] and "img" not in {tag for tag, _ in document.elements}
    assert len(document.scripts) == 4 and "alert(2)" not in "".join(document.scripts[:1] + document.scripts[2:])
    assert "alert" not in "".join(
        value or "" for tag, a in document.elements for name, value in a.items() if name[:2] == "on"
    )
    assert document.data()["cells"]["model"][-1] == HOSTILE + CLOSING


def test_json_cannot_end_its_element():
    text = escaping.json_in_page({"a": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"a": "</script><!-- & \u2028"}
    with pytest.raises(ValueError):
        escaping.json_in_page(float("nan"))


def test_telling_items_by_hand():
    items = pd.DataFrame(
        {"item": ["d", "c", "b", "a", "e"], "baseline": [0.0, 1, 1, 1, None], "value": [0.1, 3, -1, 1.5, 2.0]}
    )
    found = payload.most_changed(items, 3)
    assert list(found["item"]) == ["b", "c", "a"] and list(found["change"]) == [-2.0, 2.0, 0.5]


def test_a_cell_leads_to_its_items_and_its_checkpoint(document, cells):
    data = document.data()
    at = cells[(cells["method"] == "head_pruning") & (cells["metric"] == "seat")].index[0]
    assert data["items"][str(at)]["columns"] == ["item", "text", "group", "baseline", "value", "change"]
    changes = [abs(row[-1]) for row in data["items"][str(at)]["rows"]]
    assert changes == sorted(changes, reverse=True) and len(changes) == page.TELLING[0]
    (checkpoint,) = data["checkpoints"]
    assert {"path", "key", "commit", "code", "scores"} <= set(checkpoint)
    assert data["measurements"][checkpoint["key"]] == {"latency_s": 0.0123}
    assert not any(str(i) in data["items"] for i in cells.index[cells["control"] | (cells["method"] == "none")])


@pytest.mark.parametrize("spare", [200_000, 40_000])
def test_a_page_that_would_be_too_large_shows_less(cells, tmp_path, monkeypatch, spare):
    path = tmp_path / "report.html"
    report_case.write(path, cells.iloc[:0])
    # Answer and limits are always whole.
    largest = path.stat().st_size + len("".join([*answer(cells), *limits(cells)])) + spare
    monkeypatch.setattr(page, "LARGEST", largest)
    monkeypatch.setattr(page, "TELLING", (12, 0))
    report_case.write(path, cells)
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= largest
    data = Document(text).data()
    assert data["items"] == {} and not any(data["cells"]["control"])
    assert f"{len(cells) - data['n']} rows are left out" in text and 0 < data["n"] < len(cells)
    assert answer(cells)[0] in html.unescape(text)
    assert {"less biased", "more biased"} <= set(data["cells"]["verdict"])


def test_the_usual_page_is_far_below_the_limit(written):
    assert len(written.encode()) < page.LARGEST / 2


def test_equal_input_gives_equal_bytes(written, cells, tmp_path):
    report_case.write(tmp_path / "report.html", cells)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == written


def test_a_study_without_comparisons_has_a_report(cells, tmp_path):
    for kept in (cells.iloc[:0], cells[cells["method"] == "none"]):
        report_case.write(tmp_path / "report.html", kept)
        assert "Nothing was compared" in (tmp_path / "report.html").read_text(encoding="utf-8")
