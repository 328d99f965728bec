"""The report in a real browser, without a network: scripts, keyboard, narrow screens, dark mode, no JavaScript."""

from __future__ import annotations

import chromium
import pytest
import report_case
import synthetic_cells

pytestmark = pytest.mark.skipif(chromium.program() is None, reason="no Chromium on this machine")
SHOWN = "[...document.querySelectorAll('#cell-table tbody tr')].filter(row => !row.hidden)"
NO_SCROLL = "document.documentElement.scrollWidth <= innerWidth"
HOSTILE = '<img src=x onerror="console.error(1)"></script><script>console.error(2)</script>'


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report_case.write(path, synthetic_cells.cells())
    return path


@pytest.fixture(scope="module")
def browser():
    with chromium.page() as page:
        yield page


@pytest.fixture
def page(browser, file):
    browser.open(file)
    yield browser
    assert browser.problems == []
    assert browser.requests == [file.as_uri(), "data:,"] or browser.requests == [file.as_uri()]


def points(page, plot):
    """Indices of the cells that a chart shows."""
    return page.run(f"document.getElementById('{plot}').data.flatMap(trace => trace.customdata || [])")


def select(page, name, value):
    page.run(
        f"(() => {{ const it = document.getElementById('{name}'); it.value = {value!r};"
        "it.dispatchEvent(new Event('input', {bubbles: true})); it.dispatchEvent(new Event('change')) })()"
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_screen_and_nothing_is_logged(browser, file, width, dark):
    browser.open(file, width=width, dark=dark)
    browser.wait("document.querySelectorAll('.main-svg').length >= 2")
    assert browser.run(NO_SCROLL)
    assert browser.problems == []
    browser.run("document.querySelector('button.details').click()")
    assert browser.run(NO_SCROLL)
    assert browser.run(
        "document.getElementById('details').scrollWidth <= document.getElementById('details').clientWidth"
    )


def test_both_charts_show_compressions_and_controls(page):
    cells = synthetic_cells.cells()
    for plot in ("main-plot", "explore-plot"):
        shown = cells.loc[points(page, plot)]
        assert shown["metric"].nunique() == 1 and shown["control"].any()
        assert set(shown.loc[~shown["control"], "method"]) >= {"head_pruning", "int8_dynamic", "wanda"}


@pytest.mark.parametrize("axis", ["damage", "sparsity", "bytes", "task_score"])
def test_the_explorer_draws_what_is_chosen(page, axis):
    cells = synthetic_cells.cells()
    select(page, "x-place", '["smollm2","lm"]')
    select(page, "x-x", axis)
    shown = cells.loc[points(page, "explore-plot")]
    assert set(shown["model"]) == {"smollm2"} and set(shown["metric"]) == {"crows_pairs"}
    x = page.run(
        "document.getElementById('explore-plot').data.filter(trace => trace.customdata).flatMap(trace => trace.x)"
    )
    expected = shown[axis].astype(float) / (1e6 if axis == "bytes" else 1)
    assert x == pytest.approx(list(expected), rel=1e-5)
    page.run("[...document.querySelectorAll('#x-methods input')].find(box => box.value === 'wanda').click()")
    page.run("document.getElementById('x-controls').click()")
    left = cells.loc[points(page, "explore-plot")]
    assert "wanda" not in set(left["method"]) and not left["control"].any()


def test_residuals_have_their_margin(page):
    select(page, "x-y", "residual")
    shapes = page.run("document.getElementById('explore-plot').layout.shapes.map(line => line.y0)")
    assert sorted(shapes) == pytest.approx([-0.02, 0, 0.02])


def test_filters_change_the_table(page):
    everything = page.run(f"{SHOWN}.length")
    select(page, "filter-verdict", "less biased")
    assert 0 < page.run(f"{SHOWN}.length") < everything
    assert page.run(f"{SHOWN}.every(row => row.dataset.verdict === 'less biased')")
    select(page, "filter-model", "smollm2")
    assert page.run(f"{SHOWN}.length") == 1
    page.run("document.querySelector('#filters [type=reset]').click()")
    page.wait(f"{SHOWN}.length === {everything}")
    select(page, "filter-text", "WANDA")
    assert page.run(f"{SHOWN}.every(row => row.textContent.includes('wanda'))")
    page.run("document.getElementById('filter-controls').click()")
    select(page, "filter-text", "")
    assert page.run(f"{SHOWN}.length") > everything


def test_a_button_sorts_by_number_and_back(page):
    heading = "[...document.querySelectorAll('#cell-table th[scope=col]')].find(th => th.textContent === 'residual')"
    column = page.run(f"{heading}.cellIndex")
    values = f"{SHOWN}.map(row => row.cells[{column}].dataset.v)"
    page.run(f"{heading}.querySelector('button').click()")
    rising = page.run(values)
    numbers = [float(each) for each in rising if each]
    assert numbers == sorted(numbers) and len(set(numbers)) > 5 and rising[len(numbers) :] == [""] * 5
    assert page.run(f"{heading}.getAttribute('aria-sort')") == "ascending"
    page.run(f"{heading}.querySelector('button').click()")
    falling = page.run(values)
    assert [float(each) for each in falling if each] == numbers[::-1] and falling[len(numbers) :] == [""] * 5


def test_a_point_opens_the_items_behind_it(page):
    page.wait("document.getElementById('main-plot').dataset.clicks === 'yes'")
    page.run("document.getElementById('main-plot').emit('plotly_click', {points: [{customdata: 20}, {}]})")
    assert page.run("document.getElementById('details').open")
    cell = synthetic_cells.cells().iloc[20]
    assert cell["metric"].replace("_", " ") in page.run("document.getElementById('details-title').textContent")


def test_the_keyboard_alone_follows_a_cell_to_its_items_and_origin(page):
    page.run(
        "[...document.querySelectorAll('button.details')].find(each =>"
        "each.ariaLabel.includes('head pruning') && each.ariaLabel.includes('seat')).focus()"
    )
    page.press("Enter", 13)
    text = page.run("document.getElementById('details').innerText")
    for part in (
        "less biased",
        "gender-0",
        "results/compressed/x-abc",
        "f8d34e9",
        "13 definitions",
        "latency s",
        "items.parquet",
    ):
        assert part in text
    assert page.run("document.getElementById('details').contains(document.activeElement)")
    page.press("Escape", 27)
    page.wait("!document.getElementById('details').open")
    assert page.run("document.activeElement.ariaLabel.includes('seat')")


def test_focus_begins_with_the_way_to_the_answer_and_is_visible(page):
    page.press("Tab", 9)
    assert page.run("document.activeElement.getAttribute('href')") == "#answer"
    page.press("Tab", 9)
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_every_control_has_a_name(page):
    nameless = (
        "[...document.querySelectorAll('button, select, input, [role=region], [role=img], dialog')].filter(each =>"
        "!(each.ariaLabel || each.textContent.trim() && each.matches('button') || (each.labels || []).length"
        " || each.getAttribute('aria-labelledby'))).map(each => each.outerHTML.slice(0, 80))"
    )
    assert page.run(nameless) == []


def test_without_scripts_answer_and_table_are_there(browser, file):
    browser.open(file, scripts=False)
    found = browser.send("DOM.getDocument", depth=-1)["root"]["nodeId"]
    for selector, visible in (("#answer .lead", True), ("#cell-table", True), ("#filters", False), ("#explore", False)):
        node = browser.send("DOM.querySelector", nodeId=found, selector=selector)["nodeId"]
        style = browser.send("CSS.getComputedStyleForNode", nodeId=node)["computedStyle"] if _css(browser) else []
        display = next(each["value"] for each in style if each["name"] == "display")
        assert (display != "none") == visible, selector


def _css(browser):
    browser.send("DOM.enable")
    browser.send("CSS.enable")
    return True


def test_hostile_names_run_nothing(browser, tmp_path):
    cells = synthetic_cells.cells()
    names = ["model", "task", "metric", "setting", "line", "reason", "statistic"]
    bad = cells.assign(**{each: cells[each].mask(cells["model"] == "smollm2", HOSTILE) for each in names})
    report_case.write(tmp_path / "report.html", bad, study=HOSTILE, text=HOSTILE)
    browser.open(tmp_path / "report.html")
    place = browser.run("[...document.getElementById('x-place').options].at(-1).value")
    browser.run(f"document.getElementById('x-place').value = {place!r}")
    browser.run("document.getElementById('x-place').dispatchEvent(new Event('input', {bubbles: true}))")
    browser.run("[...document.querySelectorAll('button.details')].at(-1).click()")
    browser.run("document.getElementById('explore-plot').scrollIntoView()")
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert HOSTILE in browser.run("document.getElementById('details').innerText")
    assert browser.problems == []


def test_print_has_no_controls(page):
    page.send("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.getElementById('filters')).display") == "none"
    assert page.run("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
