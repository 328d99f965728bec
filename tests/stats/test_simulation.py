"""Some scenarios of the simulation in docs/statistics.md, with few replicates, and all quick ones briefly."""

import subprocess
import sys

import numpy as np
import pytest
from tiny_study import ROOT, environment

from benchmarks import simulation
from fairshrink.stats.inference import Inference

REPLICATES = 300
FOUND = {(each.table, each.name): each for each in simulation.scenarios()}


def rates(table, name, replicates=REPLICATES):
    scenario = FOUND[table, name]
    return simulation.run(scenario, replicates * (5 if scenario.slow else 1), seed=11).rates


def sd(share, replicates=REPLICATES):
    return float(np.sqrt(share * (1 - share) / replicates))


@pytest.mark.parametrize(
    ("table", "name", "method", "least"),
    [
        ("Means", "8 clusters", "jackknife", 0.93),
        ("Means", "100 clusters", "jackknife", 0.94),
        ("Shares", "5%, 100 clusters of 4", "Wilson type", 0.93),
        ("Paired differences", "50 clusters", "jackknife", 0.93),
        ("Two crossed columns", "20 templates × 40 pairs of persons", "jackknife, both columns", 0.93),
        ("Splits", "3 splits, sd between 0.1", "split-random t", 0.93),
        ("Control seeds", "3 splits against 10 seeds", "prediction interval", 0.94),
        ("Spearman", "true 0.5, n = 20", "Bonett–Wright", 0.93),
    ],
)
def test_intervals_cover_their_truth(table, name, method, least):
    assert rates(table, name)[method] >= least - 3 * sd(least)


@pytest.mark.parametrize(
    ("what", "kind", "kept"),
    [
        ("mean", "symmetric", 0.9),
        ("mean", "K varies by item", 0.5),
        ("mean", "skewed members", 0.1),
        ("share", "symmetric", 0.3),
    ],
)
def test_a_loss_of_signal_is_no_residual(what, kind, kept):
    assert rates(f"Residual of a {what}", f"{kind}, K = {kept}", 200)["R significant"] <= 0.05 + 3 * sd(0.05, 200)


def test_the_simulation_sees_what_is_wrong():
    """Each of these is known to fail, and must be seen to."""
    assert rates("Means", "8 clusters")["percentile bootstrap"] < 0.93
    assert rates("Two crossed columns", "40 templates × 40 pairs of persons")["jackknife, templates"] < 0.85
    assert rates("Residual of a mean", "symmetric, K = 0.7")["real change by the old rule"] > 0.3
    skewed = rates("Residual of a share", "skewed signal, K = 0.5", 60)
    assert skewed["R significant"] > 0.5
    assert skewed["R significant, null by shuffled errors"] <= 0.05 + 3 * sd(0.05, 60)


def test_an_interval_that_is_too_short_is_seen(monkeypatch):
    exact = Inference.interval
    monkeypatch.setattr(Inference, "interval", lambda self, level=0.95: exact(self, 0.8))
    assert rates("Means", "100 clusters")["jackknife"] < 0.9


def test_replicates_do_not_depend_on_how_many_there_are():
    scenario = FOUND["Power", "8 clusters, a change as large as the MDE"]
    assert simulation.run(scenario, 50, seed=3).rates == simulation.run(scenario, 50, seed=3).rates
    draws = []
    once = simulation.Scenario("a", "b", lambda rng: draws.append(rng.random()) or {"yes": True})
    simulation.run(once, 5, seed=1)
    simulation.run(once, 3, seed=1)
    assert draws[:3] == draws[5:]


def test_names_of_scenarios_are_unique():
    assert len(FOUND) == len(list(simulation.scenarios()))


def test_all_quick_scenarios_run_and_are_printed():
    done = subprocess.run(
        [sys.executable, "benchmarks/simulation.py", "--small"],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    for each in FOUND.values():
        assert each.slow or f"| {each.name} | " in done.stdout
    assert done.stdout.count("### ") == len({each.table for each in FOUND.values() if not each.slow})
