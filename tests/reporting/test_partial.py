"""Partial answers: what exists is shown as in the whole answer, holes are named, no cell rests on half its splits."""

import json

import pandas as pd
import pytest
import synthetic_study as synthetic

from fairshrink.reporting import figures, partial

WANTED = tuple(
    cell
    for cell in synthetic.CELLS
    if cell.setting not in ("sparsity=0.8",) and (cell.family != "controls" or "seed=0" in cell.setting)
)
PLACE = ["model", "task", "metric", "method", "setting"]
NUMBERS = ["value", "low", "high", "change", "n_splits"]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Scores of a study. No figures are drawn of them."""
    return synthetic.write(tmp_path_factory.mktemp("scores"), splits=2, models=("a",), n=60, cells=WANTED)


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "write", lambda *arguments: None)
        yield


@pytest.fixture(scope="module")
def whole(spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    synthetic.aggregate(spec, folder)
    return pd.read_csv(folder / "tables/verdicts.csv")


def missing(*wanted):
    """Scores are missing where model, split, method, setting and metric are these; None stands for any."""

    def why(score):
        model, _, split, *method = score.checkpoint.split("-", 3)
        who = (model, int(split), method[0].partition("-")[0] if method else "none", score.entry)
        for pattern in wanted:
            if all(expected in (None, found) for expected, found in zip(pattern, who, strict=True)):
                return "failed (x: no)"
        return None

    return why


def test_nothing_is_left_out_where_nothing_is_missing(spec):
    job = synthetic.job(spec)
    found = partial.of(job, lambda score: None)
    assert found.job == job and found.holes == ()


def test_a_cell_is_shown_with_all_of_its_splits_or_not_at_all(spec):
    found = partial.of(synthetic.job(spec), missing(("a", 1, "head_pruning", "stereotypes")))
    holes = [(each.split, each.why.partition(":")[0]) for each in found.holes]
    assert holes == [(0, "left out"), (1, "missing")]
    assert {(each.model, each.method, each.metric) for each in found.holes} == {("a", "head_pruning", "stereotypes")}
    assert len(found.job.scores) == len(spec["scores"]) - 2


def test_without_a_baseline_nothing_can_be_compared_in_its_split(spec):
    found = partial.of(synthetic.job(spec), missing(("a", 1, "none", None)))
    assert {(each.model, each.split) for each in found.holes} == {("a", 1)}
    assert {each.why.partition(" ")[0] for each in found.holes} == {"missing:", "left"}
    assert not [each for each in found.job.checkpoints if each.identity.model == "a" and each.identity.split == 1]


def test_what_is_shown_is_as_in_the_whole_answer_and_holes_are_named(spec, whole, tmp_path):
    lost = missing(("a", 1, "head_pruning", "stereotypes"), ("a", None, "int8_dynamic", None))
    found = partial.of(synthetic.job(spec), lost)
    folder = tmp_path / "partial"
    folder.mkdir()
    (folder / "old.txt").write_text("of an earlier one")
    partial.write(found, synthetic.MODULES, folder, lambda line: None)
    assert not (folder / "old.txt").exists() and not list(folder.rglob("provenance.json"))
    table = pd.read_csv(folder / "tables/verdicts.csv")
    holes = table[table["verdict"].str.startswith("missing", na=False)]
    assert len(table) == len(whole)
    assert set(holes[PLACE].fillna("").itertuples(index=False, name=None)) == {
        ("a", "sentiment", "stereotypes", "head_pruning", "sparsity=0.25"),
        ("a", "sentiment", "stereotypes", "int8_dynamic", ""),
        ("a", "sentiment", "sentiment_gap", "int8_dynamic", ""),
    }
    both = table.drop(holes.index).merge(whole, on=PLACE, suffixes=("", "_whole"))
    assert len(both) == len(table) - 3
    for name in NUMBERS:
        assert both[name].astype(float).equals(both[f"{name}_whole"].astype(float)), name
    listed = pd.read_csv(folder / "tables/missing.csv")
    assert len(listed) == len(found.holes) == 2 + 2 * 4
    page = (folder / "report.html").read_text()
    assert "This answer is partial" in page and "failed (x: no)" in page
    for name in ("verdicts.md", "overview_sentiment.md"):
        assert "Partial: 10 scores are missing" in (folder / "tables" / name).read_text()
    assert json.loads((folder / "tables/headline.json").read_text())


def test_nothing_at_all(spec, tmp_path):
    found = partial.of(synthetic.job(spec), lambda score: "not computed yet")
    assert found.job.scores == () and len(found.holes) == len(spec["scores"])
    partial.write(found, synthetic.MODULES, tmp_path / "p", lambda line: None)
    assert "not computed yet" in (tmp_path / "p/tables/missing.md").read_text()
