"""The simulation of verdicts in docs/statistics.md, with few studies: it passes, and notices rules that are wrong."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tiny_study import ROOT, environment

from benchmarks import drawn_studies, verdict_simulation
from benchmarks.drawn_items import KINDS, Cell, baselines, compressed, damaged
from benchmarks.drawn_studies import Design
from benchmarks.verdict_simulation import Scenario, false_changes, run
from fairshrink.analysis import damage
from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.cells import cells
from fairshrink.analysis.measured import measured
from fairshrink.analysis.scores import Family, Scored
from fairshrink.contracts import BASELINE
from fairshrink.stats.estimates import Statistic, weighted_mean
from fairshrink.stats.inference import Inference
from fairshrink.study.jobs import CheckpointEntry, ScoreEntry

STUDIES = 6
MOST = 0.06
DESIGN = Design(tuple(Cell(kept) for kept in (0.9, 0.6, 0.3)))


def judged(kind, design=DESIGN, studies=STUDIES):
    return run(Scenario("test", kind, kind, design), studies, seed=7)


def wrong(found, verdicts=kinds.CHANGED):
    """Whether more studies have a false change than a rate of 6% gives in 999 of 1,000 cases."""
    count = sum(round(false_changes(each, verdicts) * each.studies) for each in found)
    return count > stats.binom.ppf(0.999, sum(each.studies for each in found), MOST)


@pytest.fixture(scope="module")
def nulls():
    return [judged(kind) for kind in KINDS]


def test_what_only_loses_signal_is_rarely_called_changed(nulls):
    assert not wrong(nulls)


def test_residuals_of_undirected_damage_would_be_called_changed_without_controls(nulls):
    assert wrong(nulls, (*kinds.CHANGED, kinds.AS_DAMAGE))
    without = [judged(kind, replace(DESIGN, controls=())) for kind in ("mean of differences", "mean effect size")]
    assert not wrong(without) and wrong(without, [kinds.UNCONTROLLED])


def test_metric_without_a_neutral_contrast_finds_changes_beside_undirected_damage():
    """A line through its own signal would follow a change that moves them all: 2 of 100 were found."""
    found = judged("share, own contrast", Design((Cell(0.9, 2.0),), between=0.0), 12)
    assert (found.cells["verdict"] == kinds.MORE_BIASED).sum() >= 9
    blind = judged("share, own contrast", Design((Cell(0.9, 2.0),), between=0.0, controls=()), 4)
    assert not blind.cells["verdict"].isin([kinds.ONLY_RANDOM, kinds.NO_CHANGE]).any()


def test_a_rule_that_takes_controls_for_exact_is_noticed(monkeypatch):
    monkeypatch.setattr(damage, "against", lambda value, controls: Inference(value - controls.value, 1e-9, 10.0))
    assert wrong([judged("mean of differences"), judged("share, neutral contrast")])


def test_planted_changes_are_found_where_seeds_do_not_differ():
    for kind, share in (("mean of differences", 0.8), ("mean effect size", 0.5)):
        design = Design((Cell(0.95, 3.0), Cell(0.95), Cell(0.9, -3.0)), between=0.0)
        table = judged(kind, design).cells
        said = [table[table["planted"] == margins]["verdict"] for margins in (3.0, -3.0, 0.0)]
        assert (said[0] == kinds.MORE_BIASED).mean() >= share
        assert said[1].isin(kinds.CHANGED).mean() >= share
        assert not said[2].isin(kinds.CHANGED).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_change_moves_the_headline_by_so_many_margins(kind):
    layout = KINDS[kind]
    (base,) = baselines(layout, 1, np.random.default_rng(1))
    plain, moved = (
        layout.value(compressed(layout, base, Cell(0.8, margins), "skewed", np.random.default_rng(2)).signals)
        for margins in (0.0, 2.0)
    )
    # A share moves in steps of an item.
    assert moved - plain == pytest.approx(2 * layout.margin.value(layout.value(base.signals)), abs=0.35)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("splits", [1, 2])
def test_the_short_way_to_a_verdict_is_the_long_one(kind, splits):
    """Score tables through `measured`, controls and damages too, and the whole table of cells."""
    layout = KINDS[kind]
    design = Design((Cell(0.9), Cell(0.6, 2.0)), controls=drawn_studies.LADDER[::4] * 3, splits=splits)
    quick = drawn_studies.study(layout, design, np.random.default_rng(3))
    long = cells(list(the_long_way(layout, design, np.random.default_rng(3))), 0.95)
    long = long[(long["kind"] == "intrinsic") & ~long["control"] & (long["method"] != BASELINE)].reset_index(drop=True)
    names = ["residual_p", "residual_inside_p", "change_p", "change_inside_p", "control_p", "kept_low", "null", "value"]
    np.testing.assert_allclose(quick[names].to_numpy(float), long[names].to_numpy(float), rtol=1e-9)
    for name in ("verdict", "reason", "margin", "n_controls"):
        assert list(quick[name]) == list(long[name])


def the_long_way(layout, design, generator):
    bases = baselines(layout, design.splits, generator)
    places = pd.DataFrame({"item": [f"d{i}" for i in range(60)], "cluster": [f"d{i}" for i in range(60)]})
    scored, hurt, checkpoints = {}, {}, {}
    for (method, setting), cell in {(BASELINE, ""): None, **drawn_studies.named_cells(design)}.items():
        drawn = [base if cell is None else drawn_studies.draw(layout, base, cell, design, generator) for base in bases]
        damages = [np.zeros(60) if cell is None else damaged(cell, generator) for _ in bases]
        for split, (one, kl) in enumerate(zip(drawn, damages, strict=True)):
            key = f"{method} {setting} {split}"
            who = drawn_studies.identity(method, setting, split)
            checkpoints[key] = CheckpointEntry(key, key, "", "", f"{BASELINE}  {split}", who)
            statistic = drawn_studies.statistic(layout, one)
            scored[key] = Scored(checkpoints[key], layout.items, [statistic], layout.signal(one))
            hurt[key] = Scored(checkpoints[key], places, [Statistic("value", weighted_mean(kl), "all", 60)], None)
    fidelity = SimpleNamespace(KIND="damage", HEADLINE=("value", "all"), CLUSTERS=("cluster",))
    for name, module, found in (("metric", drawn_studies.module(layout), scored), ("fidelity", fidelity, hurt)):
        scores = {split: {} for split in range(design.splits)}
        for key, each in checkpoints.items():
            scores[each.identity.split][key] = ScoreEntry(key, "", "", key, name, name, {}, "drawn")
        family = Family(name, "drawn", "model", "task", name, scores, {s: f"{BASELINE}  {s}" for s in scores})
        read = {key: found[key] for key in checkpoints}
        for _, each in measured(family, checkpoints, module, 0.95, lambda score, read=read: read[score.checkpoint]):
            yield each


def test_variance_between_seeds_is_a_multiple_of_the_error_over_items():
    """Of residuals, as measured on real models: three to six times."""
    for kind in ("mean of differences", "share, neutral contrast", "mean effect size"):
        layout, ratios = KINDS[kind], []
        generator = np.random.default_rng(5)
        design = Design((Cell(0.6),) * 12, controls=())
        for _ in range(2):
            parts = [
                each.parts["residual"].checkpoints
                for each in drawn_studies.headlines(layout, design, generator)
                if each.parts
            ]
            values, errors = zip(*((each.value, each.standard_error) for each in parts), strict=True)
            ratios.append(np.std(values, ddof=1) / np.mean(errors))
        assert 2 < np.mean(ratios) < 7


def test_studies_do_not_depend_on_how_many_there_are():
    two, three = (judged("mean of differences", DESIGN, n).cells for n in (2, 3))
    assert two.equals(three[three["study"] < 2].reset_index(drop=True))


def test_it_runs_and_prints_its_tables():
    done = subprocess.run(
        [sys.executable, "benchmarks/verdict_simulation.py", "--small", "--only", "mean of differences"],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    chosen = [each for each in verdict_simulation.scenarios() if "mean of differences" in each.name]
    assert all(f"| {each.name} | " in done.stdout for each in chosen)
    assert done.stdout.count("### ") == 3
