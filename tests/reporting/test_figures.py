from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import synthetic_study

from fairshrink.analysis import results, results_file
from fairshrink.analysis.cells import cells, headlines
from fairshrink.reporting import figures
from fairshrink.reporting.style import looks, styled


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    spec = synthetic_study.write(folder, splits=1)
    table, about = synthetic_study.build(spec), results.about(synthetic_study.job(spec), synthetic_study.MODULES)
    results_file.write(table, results_file.RESULTS, folder / "results.parquet", about)
    return folder / "results.parquet", cells(headlines(table, about))


@pytest.fixture
def draw(study):
    summary = study[1]
    names = sorted(set(summary["line"]) - {"none"})

    def drawn(function, rows: pd.DataFrame = summary):
        figure = function(rows, looks(names, []))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.canvas.draw()
        plt.close(figure)
        return figure

    return drawn


def test_bytes_do_not_depend_on_the_run_or_the_users_settings(study, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    figures.write(study[0], tmp_path / "a")
    with plt.rc_context({"axes.linewidth": 9, "font.size": 20}):
        figures.write(study[0], tmp_path / "b")
        assert plt.rcParams["axes.linewidth"] == 9
    names = sorted(each.name for each in (tmp_path / "a").iterdir())
    assert len(names) == 4
    for name in names:
        data = (tmp_path / "a" / name).read_bytes()
        assert data == (tmp_path / "b" / name).read_bytes()
        assert b"<dc:date>" not in data and len(data) > 10_000


def test_lines_show_the_values_of_the_results(study, draw):
    summary = study[1]
    panel = draw(figures.bias_by_sparsity).axes[1]
    assert panel.get_title(loc="left") == "stereotypes"
    rows = summary[(summary["metric"] == "stereotypes") & (summary["method"] == "heads")].sort_values("sparsity")
    start = summary[(summary["metric"] == "stereotypes") & (summary["method"] == "none")]["value"].iloc[0]
    drawn = [np.asarray(each.get_xydata(), dtype=float) for each in panel.get_lines()]
    expected = np.column_stack([[0.0, *rows["sparsity"]], [start, *rows["value"]]])
    assert any(each.shape == expected.shape and np.allclose(each, expected) for each in drawn)


def test_methods_without_sparsity_are_right_of_the_others(study, draw):
    summary = study[1]
    value = summary[(summary["method"] == "int8_dynamic") & (summary["metric"] == "sentiment_gap")]["value"].iloc[0]
    panel = draw(figures.bias_by_sparsity).axes[0]
    single = [each.get_xydata()[0] for each in panel.get_lines() if len(each.get_xydata()) == 1]
    right = [y for x, y in single if x > 0.8]
    assert len(right) == 2 and min(abs(y - value) for y in right) < 1e-12


def test_references_are_drawn_and_labeled(draw):
    for function in (figures.bias_by_sparsity, figures.bias_by_task_score):
        for panel in draw(function).axes:
            words = [each.get_text().replace("\n", " ") for each in panel.texts]
            assert "unbiased, random model" in words
            level = 0.5 if panel.get_title(loc="left") == "stereotypes" else 0.0
            assert any(set(each.get_ydata()) == {level} for each in panel.get_lines() if len(each.get_ydata()) == 2)


def test_different_references_have_separate_labels(study, draw):
    panel = draw(figures.bias_by_sparsity, study[1].assign(random=0.7, unbiased=0.5)).axes[0]
    assert {"unbiased", "random\nmodel"} <= {each.get_text() for each in panel.texts}
    low, high = panel.get_ylim()
    assert low < 0.5 and high > 0.7


def test_the_shaded_area_ends_at_half_of_the_task_performance(study, draw):
    summary = study[1]
    baseline = summary[(summary["method"] == "none") & (summary["metric"] == "task_score")]["value"].iloc[0]
    panel = draw(figures.bias_by_task_score).axes[0]
    box = panel.patches[0].get_extents().transformed(panel.transData.inverted())
    assert box.x1 == pytest.approx(baseline / 2) and box.x0 == pytest.approx(panel.get_xlim()[0])


@pytest.mark.parametrize("kept", [["task_score"], ["stereotypes"], ["stereotypes", "task_score"]])
def test_a_study_with_few_metrics_still_has_its_figures(study, draw, kept):
    rows = study[1][study[1]["metric"].isin(kept)]
    for function in (figures.bias_by_sparsity, figures.bias_by_task_score):
        assert draw(function, rows).axes


def test_a_baseline_alone_can_be_drawn(study, draw):
    rows = study[1][study[1]["method"] == "none"]
    for function in (figures.bias_by_sparsity, figures.bias_by_task_score):
        assert draw(function, rows).axes


@pytest.mark.parametrize("n", [1, 5, 12, 30])
def test_the_legend_fits_the_figure(study, n):
    summary = study[1]
    heads = summary[summary["line"] == "heads"]
    more = [heads.assign(line=f"{'magnitude_' * (i % 4)}{i}", method=f"m{i}") for i in range(n)]
    rows = pd.concat([summary[summary["method"] == "none"], *more], ignore_index=True)
    with styled():
        figure = figures.bias_by_sparsity(rows, looks(sorted(set(rows["line"]) - {"none"}), []))
        figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == n + 1
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    plt.close(figure)
