from __future__ import annotations

import itertools
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import synthetic_checks as checks

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.agreement import COLUMNS as AGREEMENT
from fairshrink.analysis.flips import COLUMNS as FLIPS
from fairshrink.analysis.validity import COLUMNS as VALIDITY
from fairshrink.reporting import figures, outputs, selection
from fairshrink.reporting.figures import damage, dose, frame, points, scatter
from fairshrink.reporting.figures.all_figures import TITLES, Given, drawn
from fairshrink.reporting.style import looks, styled
from fairshrink.reporting.tables import checked, costs

EVERY = [*outputs.FIGURES, outputs.SPARSITY_FIGURE, outputs.DOSE_FIGURE]
OVER = {"bias_by_damage": "damage", "bias_by_task_score": "task_score", "bias_by_bytes": "megabytes"}


def given(cells: pd.DataFrame, model: str = "minilm", task: str = "mlm") -> Given:
    """What the figures of one model on a task are drawn from, with all checks."""
    results = checks.results(cells)
    latency = costs.latency(results, checks.measurements(results))
    frames = [checks.flips(cells), checks.agreement(cells), checks.validity(cells), latency]
    rows = cells[(cells["model"] == model) & (cells["task"] == task)]
    mine = [each[(each["model"] == model) & (each["task"] == task)].reset_index(drop=True) for each in frames]
    return Given(rows.reset_index(drop=True), *mine, looks(cells))


@pytest.fixture(autouse=True)
def _style():
    with styled():
        yield


@pytest.fixture
def draw():
    """Draws a figure as it is written, and holds it to what all of them must be."""
    made = []

    def draw(name: str, what: Given):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = drawn(name, what, f"model, task: {TITLES[name]}")
            made.append(figure)
            for _ in range(2):
                figure.draw_without_rendering()
        return figure

    yield draw
    for each in made:
        plt.close(each)


def singles(axes) -> list[tuple[float, float]]:
    """Positions of the markers of single points."""
    return [tuple(map(float, each.get_xydata()[0])) for each in axes.get_lines() if len(each.get_xydata()) == 1]


def visible_texts(figure):
    found = [each for axes in figure.axes for each in axes.texts]
    found += [part for axes in figure.axes for part in (axes.title, axes._left_title, axes._right_title)]
    for axes in figure.axes:
        found += [axes.xaxis.label, axes.yaxis.label]
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
            found += [label for at, label in ticks if low <= at <= high]
    for legend in figure.legends:
        found += [legend.get_title(), *legend.get_texts()]
    found += [each for each in (figure._suptitle,) if each is not None]
    return [each for each in found if each.get_visible() and each.get_text().strip()]


def held(figure) -> None:
    """All texts are inside the figure and none overlap; no data are outside of their axes or under a legend."""
    renderer = figure.canvas.get_renderer()
    texts = [(each.get_text(), each.get_window_extent(renderer)) for each in visible_texts(figure)]
    outside = [
        text
        for text, box in texts
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1
    ]
    assert outside == []
    shrunk = [(text, box.padded(-1.0)) for text, box in texts]
    assert [(a, b) for (a, one), (b, other) in itertools.combinations(shrunk, 2) if one.overlaps(other)] == []
    for axes in figure.axes:
        left, right = sorted(axes.get_xlim())
        low, high = sorted(axes.get_ylim())
        for line in axes.get_lines():
            if line.get_transform() == axes.transData:
                x, y = np.asarray(line.get_xydata(), dtype=float).T
                known = np.isfinite(x) & np.isfinite(y)
                assert ((left <= x) & (x <= right) & (low <= y) & (y <= high))[known].all()
        for bars in axes.collections:
            for path in bars.get_paths():
                y = path.vertices[:, 1]
                assert low <= y.min() and y.max() <= high
        for legend in figure.legends:
            assert not legend.get_window_extent(renderer).overlaps(axes.get_window_extent(renderer))


@pytest.mark.parametrize("name", EVERY)
def test_nothing_overlaps_and_nothing_is_clipped(name, cells, draw):
    held(draw(name, given(cells)))


def crowded(cells: pd.DataFrame) -> pd.DataFrame:
    """Ten methods with long names and four settings each, and 60 controls."""
    rows = cells[(cells["model"] == "minilm") & (cells["task"] == "sentiment")]
    one, noise = rows[rows["method"] == "wanda"], rows[rows["method"] == "weight_noise"]
    verdicts = itertools.cycle(kinds.VERDICTS)
    many = [
        one.assign(
            method=f"magnitude_with_long_name_{i}",
            line=f"magnitude_with_long_name_{i}",
            setting=f"sparsity={level}",
            sparsity=level,
            damage=0.004 * 2.0 ** (i + 5 * level),
            bytes=int(1e6 * (40 - 3 * i - 10 * level)),
            verdict=next(verdicts),
        )
        for i in range(10)
        for level in (0.2, 0.4, 0.6, 0.8)
    ]
    noisy = [noise.assign(setting=noise["setting"] + f", draw={i}", damage=noise["damage"] * 1.1**i) for i in range(4)]
    return selection.texts(pd.concat([rows[rows["method"] == "none"], *many, *noisy], ignore_index=True))


@pytest.mark.parametrize("name", ["bias_by_damage", "bias_by_bytes", "bias_by_sparsity", "flips"])
def test_ten_methods_and_many_controls_have_room(name, cells, draw):
    many = crowded(cells)
    assert many["line"].nunique() > 10
    held(draw(name, given(many, task="sentiment")))
    made = [look for line, look in looks(many).items() if line.startswith("magnitude")]
    assert len({each.color for each in made}) == len({each.marker for each in made}) == 10


@pytest.mark.parametrize("name", OVER)
def test_points_are_the_values_of_the_cells(name, cells, draw):
    what = given(cells)
    rows = selection.compressed(selection.bias(what.cells)).assign(megabytes=lambda t: t["bytes"].astype(float) / 1e6)
    figure = draw(name, what)
    titles = {each.get_title(loc="left"): each for each in figure.axes if each.get_title(loc="left")}
    for metric, group in rows.groupby("metric"):
        found = singles(titles[metric.replace("_", " ")])
        expected = set(zip(group[OVER[name]].astype(float), group["value"].astype(float), strict=True))
        assert expected <= set(found)


def test_intervals_are_those_of_the_paired_difference(cells, draw):
    what = given(cells)
    rows = selection.compressed(selection.bias(what.cells))
    shifted = what.cells.assign(change_low=what.cells["change_low"] - 0.5)
    axes = draw("bias_by_task_score", Given(shifted, *[getattr(what, n) for n in ("flips", "agreement", "validity",
                "latency", "appearance")])).axes[0]  # fmt: skip
    ends = {tuple(np.round(path.vertices[:, 1], 6)) for bars in axes.collections for path in bars.get_paths()}
    for _, row in rows[rows["metric"] == "crows_pairs"].iterrows():
        low = row["value"] - (row["change"] - row["change_low"]) - 0.5
        high = row["value"] + row["change_high"] - row["change"]
        assert (round(low, 6), round(high, 6)) in ends


def test_residuals_and_the_band_of_the_controls_are_those_of_the_cells(cells, draw):
    what = given(cells, task="sentiment")
    upper, lower = draw("bias_by_damage", what).axes
    rows = selection.compressed(selection.bias(what.cells))
    assert set(zip(rows["damage"], rows["residual"], strict=True)) <= set(singles(lower))
    controls = what.cells[what.cells["control"] & (what.cells["metric"] == "sentiment_gap")]
    noise = controls[controls["method"] == "weight_noise"]
    drawn_controls = [np.asarray(each.get_xydata()) for each in upper.get_lines() if len(each.get_xydata()) == 16]
    assert any(np.allclose(each, noise[["damage", "value"]].to_numpy(float)) for each in drawn_controls)
    around = damage.band(rows)
    known = rows.dropna(subset=["control_low"])
    assert list(around["damage"]) == sorted(set(known["damage"]))
    assert (around["low"].min(), around["high"].max()) == (known["control_low"].min(), known["control_high"].max())


def test_damage_is_on_a_logarithm_only_where_it_spans_a_decade(cells, draw):
    what = given(cells, task="sentiment")
    assert draw("bias_by_damage", what).axes[0].get_xscale() == "log"
    near = what.cells.assign(damage=1.0 + what.cells["damage"])
    rest = [what.flips, what.agreement, what.validity, what.latency, what.appearance]
    assert draw("bias_by_damage", Given(near, *rest)).axes[0].get_xscale() == "linear"
    zero = what.cells.assign(damage=what.cells["damage"].where(what.cells["method"] != "int8_dynamic", 0.0))
    figure = draw("bias_by_damage", Given(zero, *rest))
    assert figure.axes[0].get_xscale() == "symlog" and 0.0 in {x for x, _ in singles(figure.axes[0])}
    held(figure)


def test_a_random_model_and_a_dose_are_no_undirected_damage(cells):
    assert set(selection.undirected(cells)["method"]) == {"weight_noise"}


def test_the_filling_tells_the_verdict():
    groups = {each: points.filling(each) for each in kinds.VERDICTS}
    assert groups[kinds.MORE_BIASED] == groups[kinds.LESS_BIASED] == points.FULL
    assert {groups[each] for each in (kinds.AS_DAMAGE, kinds.UNCONTROLLED)} == {points.HALF}
    assert len(set(groups.values())) == 5 and points.filling(None) == points.EMPTY


def test_the_frontier_holds_no_broken_model_and_nothing_beaten():
    rows = pd.DataFrame(
        {
            "bytes": [1.0, 2, 3, 4, 5],
            "value": [50.1, 58, 53, 54, 51],
            "unbiased": 50.0,
            "verdict": [kinds.NOT_MEASURABLE, kinds.UNCHANGED, None, kinds.UNCHANGED, kinds.LESS_BIASED],
            "performance_kept": [0.9, 0.9, np.nan, 0.9, 0.8],
        }
    )
    assert list(scatter.frontier(rows, "bytes")["bytes"]) == [2, 3, 5]
    assert list(scatter.frontier(rows.assign(performance_kept=[1, 1, 0.4, 1, 1]), "bytes")["bytes"]) == [2, 4, 5]
    assert scatter.frontier(rows.assign(unbiased=np.nan), "bytes").empty


def test_doses_are_read_from_settings(cells):
    found = dose.with_doses(cells)
    assert set(found["dose"]) == set(checks.DOSES) and set(found["stereotype"]) == {"gender"}
    other = cells[cells["method"] == "dose"].assign(setting="control_seed=3, race=0.5")
    assert set(zip(dose.with_doses(other)["stereotype"], dose.with_doses(other)["dose"], strict=True)) == {
        ("race", 0.5)
    }


def test_dose_and_response_says_what_the_test_of_validity_said(cells, draw):
    what = given(cells, task="sentiment")
    axes = draw("dose_response", what).axes[0]
    assert axes.get_title(loc="right") == "0.95 passed"
    rows = what.cells[(what.cells["method"] == "dose") & (what.cells["metric"] == "sentiment_gap")]
    drawn_points = {tuple(each) for line in axes.get_lines() for each in np.round(line.get_xydata(), 9)}
    assert {(float(s.split("=")[1]), round(v, 9)) for s, v in zip(rows["setting"], rows["value"], strict=True)} <= (
        drawn_points
    )


def test_flips_show_observed_and_expected(cells, draw):
    what = given(cells, task="sentiment")
    axes = draw("flips", what).axes[0]
    ends = sorted(round(each.get_x() + each.get_width(), 9) for each in axes.patches)
    stacked = [round(100 * each, 9) for each in (*what.flips["toward"], *what.flips["flipped"])]
    assert ends == pytest.approx(sorted(stacked))
    ticks = {round(float(each.get_xdata()[0]), 9) for each in axes.get_lines() if len(each.get_xdata()) == 2}
    assert {round(100 * each, 9) for each in what.flips["expected"]} <= ticks


def test_validity_and_agreement_show_each_number(cells, draw):
    what = given(cells)
    words = [each.get_text() for each in draw("validity", what).axes[0].texts]
    assert words.count("FAILED\n0.31 (limit 0.2)") == 3 and words.count("passed\n0.95 (limit 0.9)") == 3
    words = [each.get_text().replace("−", "-") for each in draw("agreement", what).axes[0].texts]
    for _, row in what.agreement.iterrows():
        assert any(each.startswith(f"{row['spearman']:.2f}\n[") for each in words)
        assert f"{row['residual_spearman']:.2f}" in words


@pytest.mark.parametrize("name", EVERY)
def test_where_there_is_nothing_the_panel_says_why(name, cells, draw):
    what = given(cells)
    columns = [FLIPS, AGREEMENT, VALIDITY]
    empty = [checked.complete(pd.DataFrame(), each) for each in columns]
    nothing = costs.latency(pd.DataFrame(), pd.DataFrame())
    for rows in (
        what.cells[what.cells["method"] == "none"],
        what.cells[what.cells["kind"] == "task"],
        what.cells.assign(damage=np.nan, bytes=np.nan, task_score=np.nan, residual=np.nan, value=np.nan),
    ):
        figure = draw(name, Given(rows, *empty, nothing, what.appearance))
        held(figure)
        said = [text for axes in figure.axes for text in axes.texts if len(text.get_text()) > 12]
        assert said


def test_levels_share_a_label_or_are_pushed_apart():
    assert frame.apart([(0.5, 1)]) == [0.5]
    close = frame.apart([(0.5, 1), (0.51, 2), (0.99, 1)])
    assert close[1] - close[0] >= 0.11 and close[2] - close[1] >= 0.11 and close[2] <= 1
    figure, ((axes,),) = frame.grid(1)
    axes.set_ylim(0, 1)
    frame.references(axes, [(0.5, "unbiased", "-"), (0.501, "random model", ":"), (np.nan, "no", "-")])
    assert [each.get_text() for each in axes.texts] == ["unbiased,\nrandom model"]
    plt.close(figure)


def test_announced_figures_are_written_the_same_whatever_the_users_settings(raw, tmp_path):
    rows = raw[raw["task"] == "sentiment"]
    frames = (checks.flips(rows), checks.agreement(rows), checks.validity(rows))
    results = checks.results(rows)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with plt.rc_context({"axes.linewidth": 9, "font.size": 20} if name == "b" else {}):
            measured = checks.measurements(results)
            figures.write(rows, *frames, measured, checks.ABOUT, tmp_path / name, results)
    compressions = [(m, None if pd.isna(s) else s) for m, s in zip(rows["method"], rows["sparsity"], strict=True)]
    announced = outputs.figures({("minilm", "sentiment"): compressions})
    assert sorted(announced) == sorted(each.name for each in (tmp_path / "a").iterdir())
    assert len(announced) == 2 * len(EVERY)
    for name in announced:
        data = (tmp_path / "a" / name).read_bytes()
        assert data == (tmp_path / "b" / name).read_bytes() and b"<dc:date>" not in data


def test_figures_of_sparsity_and_dose_are_there_for_those_alone():
    assert set(outputs.figures_of([("none", 0.0), ("int8", None)])) == set(outputs.FIGURES)
    assert outputs.SPARSITY_FIGURE in outputs.figures_of([("wanda", 0.5)])
    assert outputs.DOSE_FIGURE in outputs.figures_of([("dose", None)])
