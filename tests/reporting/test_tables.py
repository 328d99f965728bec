from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from scipy import stats

from fairshrink.analysis import results
from fairshrink.analysis.cells import cells, headlines, line, merged_p
from fairshrink.analysis.verdicts import LOST, NOTHING, REAL, UNDEFINED, UNKNOWN, UNTESTED, agreement, verdicts
from fairshrink.reporting import markup, tables
from fairshrink.reporting.outputs import outputs
from fairshrink.reporting.overview import Entry, Line, Overview, overview


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    spec = synthetic_study.write(tmp_path_factory.mktemp("study"), splits=2, tasks=("sentiment", "as_is"))
    synthetic_study.aggregate(spec)
    return spec


@pytest.fixture(scope="module")
def rows(spec):
    return headlines(synthetic_study.build(spec), results.about(synthetic_study.job(spec), synthetic_study.MODULES))


def cell(**changes) -> dict:
    """A cell of a bias metric that was detectably changed."""
    base = {"model": "m", "task": "t", "method": "magnitude", "setting": "s", "sparsity": 0.5, "control": False}
    base |= {"metric": "bias", "kind": "intrinsic", "value": 0.55, "baseline": 0.6, "change": -0.05}
    return base | {"unbiased": 0.5, "random": 0.5, "p": 0.001, "n_splits": 1} | changes


def task_score(value: float, *, random: float = 0.2, baseline: float = 0.8, **changes) -> dict:
    return cell(metric="task_score", kind="task", value=value, baseline=baseline, random=random, **changes)


def verdict(*made: dict) -> list[str]:
    return list(verdicts(pd.DataFrame(made))["verdict"])


def test_announced_files_are_written(spec):
    announced = outputs(synthetic_study.job(spec).checkpoints)
    folders = (Path(spec["out"]), Path(spec["figures"]))
    written = {f"{folder.name}/{each.name}" for folder in folders for each in folder.iterdir()}
    assert set(announced) == written and len(announced) == len(written) == 7 + 2 * 3 + 2 * 2 * 2
    assert {
        "tables/results.parquet",
        "tables/overview_as_is.tex",
        "figures/minilm_as_is_bias_by_sparsity.svg",
    } <= written


@pytest.mark.parametrize(
    ("score", "expected"), [(0.8, REAL), (0.51, REAL), (0.5, REAL), (0.49, LOST), (0.2, LOST), (0.1, LOST)]
)
def test_a_change_is_attributed_to_lost_performance_below_half_of_the_distance(score, expected):
    assert verdict(cell(), task_score(score)) == [expected]


def test_the_rule_holds_where_a_lower_task_score_is_better():
    assert verdict(cell(), task_score(5.0, baseline=3.0, random=10.0)) == [REAL]
    assert verdict(cell(), task_score(8.0, baseline=3.0, random=10.0)) == [LOST]


def test_without_a_reference_task_performance_is_unknown():
    assert verdict(cell()) == [UNKNOWN]
    assert verdict(cell(), task_score(0.3, random=np.nan)) == [UNKNOWN]
    assert verdict(cell(), task_score(0.2, baseline=0.2)) == [UNKNOWN]


def test_no_change_is_detected_where_p_is_large_or_missing():
    assert verdict(cell(p=0.06), task_score(0.8)) == [NOTHING]
    assert verdict(cell(p=np.nan), task_score(0.2)) == [UNTESTED]


def test_a_constant_prediction_is_lost_performance_and_an_undefined_metric_is_no_finding():
    assert verdict(cell(), task_score(np.nan)) == [LOST]
    assert verdict(cell(), task_score(np.nan, baseline=np.nan)) == [UNKNOWN]
    assert verdict(cell(value=np.nan, change=np.nan, p=np.nan), task_score(0.8)) == [UNDEFINED]


def test_a_single_small_p_among_many_comparisons_is_not_significant():
    many = [cell(setting=f"s{i}", p=0.5) for i in range(19)]
    assert verdict(*many, cell(p=0.01), task_score(0.8)) == [NOTHING] * 20
    controls = [cell(setting=f"c{i}", p=1e-9, control=True) for i in range(50)]
    assert verdict(*controls, *many, cell(p=0.01), task_score(0.8))[-1] == NOTHING


def test_direction_is_judged_from_the_unbiased_value():
    made = pd.DataFrame(
        [
            cell(value=0.55),
            cell(setting="b", value=0.35),
            cell(setting="c", value=0.45),
            cell(setting="d", unbiased=np.nan),
        ]
    )
    assert list(verdicts(made)["direction"]) == ["towards", "away from", "towards", ""]


def test_splits_are_merged_by_hand():
    assert merged_p(np.array([0.3]), np.array([1.0])) == 0.3
    assert merged_p(np.array([0.01, 0.03]), np.array([1.0, 2.0])) == pytest.approx(2 * 0.02)
    assert merged_p(np.array([0.002, 0.002]), np.array([1.0, -1.0])) == 1.0
    assert merged_p(np.array([0.01, 1.0]), np.array([1.0, 1.0])) == 1.0
    assert np.isnan(merged_p(np.array([0.01, np.nan]), np.array([1.0, 1.0])))


def test_merged_p_keeps_its_level_if_splits_are_identical():
    p = np.random.default_rng(0).random(4000)
    sign = np.random.default_rng(1).choice([-1.0, 1.0], 4000)
    small = [merged_p(np.full(3, each), np.full(3, way)) <= 0.05 for each, way in zip(p, sign, strict=True)]
    assert np.mean(small) <= 0.05


def test_cells_average_over_splits(rows):
    found = cells(rows)
    one = found[(found["setting"] == "sparsity=0.6") & (found["method"] == "random") & (found["task"] == "sentiment")]
    for _, each in one.iterrows():
        values = rows.loc[
            (rows["method"] == "random")
            & (rows["setting"] == "sparsity=0.6")
            & (rows["task"] == "sentiment")
            & (rows["metric"] == each["metric"]),
            "value",
        ]
        assert len(values) == each["n_splits"] == 2
        assert each["value"] == pytest.approx(np.mean(values))
        assert (each["sd"], each["high"]) == pytest.approx(
            (np.std(values, ddof=1), np.mean(values) + np.std(values, ddof=1))
        )


def test_one_split_shows_its_bootstrap_interval(rows):
    found = cells(rows[rows["split"] == 0])
    merged = found.merge(rows[rows["split"] == 0], on=["model", "task", "method", "setting", "metric"])
    assert (merged["low"] == merged["ci_low"]).all() and (merged["high"] == merged["ci_high"]).all()
    assert found["sd"].isna().all()


def test_a_line_joins_what_differs_in_sparsity_only():
    assert line("heads", "sparsity=0.5") == line("heads", "sparsity=0.25") == "heads"
    assert line("wanda", "scope=all, sparsity=0.5") == line("wanda", "sparsity=0.1, scope=all") == "wanda scope=all"


def test_a_missing_headline_is_reported(spec):
    about = {"metrics": {"stereotypes": {"kind": "intrinsic", "statistic": "icat", "group": "all"}}, "methods": {}}
    table = pd.read_parquet(Path(spec["out"]) / "results.parquet")
    with pytest.raises(ValueError, match=r"stereotypes: its headline \('icat', 'all'\)"):
        headlines(table, about)


def test_two_data_sets_of_one_metric_are_two_columns(rows):
    doubled = pd.concat([rows, rows.assign(dataset="another")]).drop(columns=["kind", "control"])
    about = {"metrics": {"stereotypes": {"kind": "intrinsic", "statistic": "share", "group": "all"}}, "methods": {}}
    assert set(headlines(doubled, about)["metric"]) == {"stereotypes (another)", "stereotypes (stereotypes-data)"}


def test_agreement_is_scipys_correlation_of_distances_from_the_unbiased(rows):
    found = agreement(rows, 0.95, 100)
    assert len(found) == 2 * 3
    mine = rows[(rows["task"] == "sentiment") & (rows["method"] != "random_init")]
    wide = mine.pivot(index="key", columns="metric", values="value")
    wide["stereotypes"] = (wide["stereotypes"] - 0.5).abs()
    pair = found[(found["task"] == "sentiment") & (found["first"] == "sentiment_gap")].iloc[0]
    expected = stats.spearmanr(wide["sentiment_gap"], wide["stereotypes"])[0]
    assert (pair["n_checkpoints"], pair["second"]) == (28, "stereotypes")
    assert pair["spearman"] == pytest.approx(expected)
    assert pair["ci_low"] <= pair["spearman"] <= pair["ci_high"]
    ranks = wide.rank()
    design = np.column_stack([np.ones(len(ranks)), ranks["task_score"]])
    left = [
        ranks[n] - design @ np.linalg.lstsq(design, ranks[n], rcond=None)[0] for n in ("sentiment_gap", "stereotypes")
    ]
    assert pair["partial"] == pytest.approx(np.corrcoef(*left)[0, 1])


def test_task_scores_enter_agreement_unchanged(rows):
    with_optimum = rows.assign(unbiased_value=rows["unbiased_value"].where(rows["kind"] != "task", 0.6))
    pd.testing.assert_frame_equal(agreement(with_optimum, 0.95, 50), agreement(rows, 0.95, 50))


def test_headline_names_the_largest_change_and_no_control(spec):
    found = json.loads((Path(spec["out"]) / "headline.json").read_text())["sentiment"]["minilm"]
    table = pd.read_csv(Path(spec["out"]) / "overview_sentiment.csv", keep_default_na=False)
    values = table.set_index(["method", "setting"])["sentiment_gap"].astype(float)
    assert found["sentiment_gap"]["baseline"] == pytest.approx(values["none", ""])
    assert found["sentiment_gap"]["largest_change_by"] == "random sparsity=0.8"
    expected = values["random", "sparsity=0.8"] - values["none", ""]
    assert found["sentiment_gap"]["largest_change"] == pytest.approx(expected, rel=1e-4)
    assert set(found["task_score"]) == {"baseline", "largest_change", "largest_change_by"}


def test_overview_begins_with_the_baseline_and_ends_with_the_control(spec):
    text = (Path(spec["out"]) / "overview_sentiment.md").read_text()
    firsts = [each.split("|")[1].strip() for each in text.splitlines() if each.startswith("|")]
    assert firsts[2] == "baseline" and firsts[-3:] == ["random init", "unbiased model", "random model"]
    broken = next(each for each in text.splitlines() if each.startswith("| random | sparsity=0.8"))
    assert broken.count("†") == 2 and "0.000 ± 0.000†" in broken


def test_a_broken_model_is_never_called_fair(spec):
    judged = pd.read_csv(Path(spec["out"]) / "verdicts.csv")
    dead = judged[(judged["method"] == "random") & (judged["sparsity"] == 0.8)]
    assert len(dead) == 4 and set(dead["verdict"]) == {LOST} and set(dead["direction"]) == {"towards"}
    heads = judged[(judged["method"] == "heads") & (judged["metric"] == "stereotypes") & (judged["sparsity"] <= 0.6)]
    assert set(heads["verdict"]) == {REAL}


def test_undefined_values_are_a_dash(rows):
    summary = cells(rows)
    summary.loc[summary["metric"] == "stereotypes", ["value", "low", "high", "sd", "change", "p"]] = np.nan
    made = overview(summary, verdicts(summary), "sentiment", {"level": 0.95})
    assert {each.entries[2].text for each in made.lines if each.role != "reference"} == {"–"}


def test_the_plot_table_starts_each_metric_at_the_baseline(spec):
    table = pd.read_csv(Path(spec["out"]) / "bias_by_sparsity.csv")
    assert (table.loc[table["method"] == "none", "sparsity"] == 0).all()
    assert table["sparsity"].notna().all() and "task_score" not in set(table["metric"])
    assert len(table) == 2 * 2 * (1 + 3 * 4)


HOSTILE = r"50% of_a & b #1 ^~{x}\y $z$ <i> |p|"


def hostile() -> Overview:
    lines = (
        Line("baseline", (HOSTILE,), (Entry("[0.1, 0.2]"),)),
        Line("compressed", ("b",), (Entry("−0.100 ± 0.010", LOST),)),
    )
    return Overview("a_task", ("method",), (HOSTILE,), lines, "note 100%")


def test_latex_is_escaped_and_balanced():
    text = markup.latex(hostile())
    body = "\n".join(each for each in text.splitlines() if not each.startswith("%"))
    assert not re.search(r"(?<!\\)[%#]", body)
    bare = re.sub(r"\\[&%#_${}]", "", body.replace("\\\\", ""))
    assert "_" not in bare and "^" not in bare and "~" not in bare
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    rows = [each for each in body.splitlines() if each.endswith(r" \\")]
    assert [len(re.findall(r"(?<!\\)&", each)) for each in rows] == [1, 1, 1]
    assert r"$-$0.100 $\pm$ 0.010\textsuperscript{\textdagger{}}" in body
    assert re.findall(r"\\(\w+rule)", body) == ["toprule", "midrule", "midrule", "bottomrule"]
    assert text.isascii()


def test_escaping_by_hand():
    assert markup.escape(r"a_b\c{50%}") == r"a\_b\textbackslash{}c\{50\%\}"


def test_markdown_rows_have_equal_numbers_of_cells():
    lines = [each for each in markup.markdown(hostile()).splitlines() if each.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", each)) for each in lines} == {3}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_self_contained(spec):
    parser = Tags()
    parser.feed((Path(spec["out"]) / "overview.html").read_text())
    assert not parser.open and not parser.links and parser.seen.count("table") == 3


def test_labels_are_escaped_in_the_page(rows):
    about = {"study": "<script>", "level": 0.95}
    html = tables.page.page([hostile()], verdicts(cells(rows)), agreement(rows, 0.95, 20), about)
    assert "<script>" not in html and "<i>" not in html and html.count("&lt;i&gt;") == 2


def test_tables_are_reproduced_byte_for_byte(spec, tmp_path):
    tables.write(Path(spec["out"]) / "results.parquet", tmp_path)
    for each in tmp_path.iterdir():
        assert each.read_bytes() == (Path(spec["out"]) / each.name).read_bytes(), each.name
