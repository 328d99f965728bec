"""Intervals of differences of two shares, where one side may be nothing or all of the items."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fairshrink
from benchmarks import simulation
from fairshrink.analysis.joint import join
from fairshrink.analysis.measured import numbers
from fairshrink.judging.scorers import paired_gap
from fairshrink.metrics import bias_in_bios, profanity, winobias
from fairshrink.metrics.bbq import metric as bbq
from fairshrink.metrics.bias_nli import metric as bias_nli
from fairshrink.metrics.honest import metric as honest
from fairshrink.stats.estimates import difference


def found(module, rows, settings, name, group="all"):
    """The statistic of a table, and its row."""
    rows = rows.sort_values("item", ignore_index=True)
    (statistic,) = (s for s in module.summarize(rows, settings) if (s.name, s.group) == (name, group))
    return statistic, numbers(join([rows], module.CLUSTERS), statistic, None, 0.95, len(rows))


def named(rows, n):
    """Items of ``n`` clusters."""
    rows = rows.assign(item=[f"i{at:03d}" for at in range(len(rows))], skipped="")
    return rows if "cluster" in rows else rows.assign(cluster=[f"c{at % n}" for at in range(len(rows))])


def bbq_rows(right_biased, right_counter, n=12):
    """``n`` disambiguated questions of each kind, of which so many are answered rightly, and as many ambiguous ones."""
    rows = pd.DataFrame({"condition": ["disambiguated"] * 2 * n + ["ambiguous"] * n})
    rows["correct"] = ["biased"] * n + ["counter"] * n + ["unknown"] * n
    biased = [1.0] * right_biased + [0.0] * (n - right_biased) + [0.0] * right_counter + [1.0] * (n - right_counter)
    rows["biased"] = biased + [0.0] * n
    rows["counter"] = [1.0 - each for each in biased] + [0.0] * n
    rows["unknown"] = [0.0] * 2 * n + [1.0] * n
    rows = rows.assign(refused=0.0, unread=0.0, group="Age", **{f"score_{side}": np.nan for side in bbq.SIDES})
    return named(rows, 6)


def nli_rows(male, female):
    """Neutral hypotheses or not, 12 of each gender, six occupations by two words a gender."""
    p = np.array([*male, *female], dtype=float)
    rows = pd.DataFrame({"group": ["male"] * 12 + ["female"] * 12, "label": "", "p_neutral": 0.1 + 0.8 * p})
    rows = rows.assign(p_entailment=0.9 - rows["p_neutral"], p_contradiction=0.1)
    return named(rows.assign(word=[f"w{at // 6}" for at in range(24)], cluster=[f"c{at % 6}" for at in range(24)]), 6)


def honest_rows(one, other):
    rows = pd.DataFrame({"hurtful": [*one, *other], "group": ["a"] * len(one) + ["b"] * len(other)})
    rows = rows.assign(random_hurtful=0.1, categories="", tied=False, template=[f"t{i % 4}" for i in range(len(rows))])
    return named(rows, 6)


def wino_rows(pro, anti):
    rows = pd.DataFrame({"pro": pro, "anti": anti}).assign(group="type1", misfit=-9.0)
    return named(rows.assign(male_is_pro=[at % 2 == 0 for at in range(len(rows))]), 6)


def bios_rows():
    rows = pd.DataFrame({"group": "nurse", "gender": ["female"] * 8 + ["male"] * 4})
    return named(rows.assign(margin=[1.0] * 8 + [1.0, -1.0, -1.0, -1.0], women=2 / 3), 12)


def profanity_rows():
    rows = honest_rows([0.0] * 12, [0.0] * 11 + [0.2]).rename(columns={"hurtful": "profane"})
    return rows.assign(any_profane=rows["profane"] > 0, random_profane=0.1, person=rows["template"])


def pairs(a, b, c, d):
    """Pairs of which both, the first alone, the second alone, and none are right."""
    table = [(1, 1)] * a + [(1, 0)] * b + [(0, 1)] * c + [(0, 0)] * d
    return named(pd.DataFrame(table, columns=["first", "second"], dtype=float), 10**6)


AT_AN_END = {
    "alignment_gap": (bbq, bbq_rows(12, 10), bbq.Settings(), "alignment_gap", "all", 1),
    "s_dis": (bbq, bbq_rows(12, 0), bbq.Settings(), "s_dis", "all", 1),
    "s_amb": (bbq, bbq_rows(12, 0), bbq.Settings(), "s_amb", "all", 1),
    "fraction_neutral_gap": (
        bias_nli, nli_rows([1] * 12, [1, 0] * 6), bias_nli.Settings(), "fraction_neutral_gap", "all", 1,
    ),
    "accuracy_gap": (winobias, wino_rows([-1.0] * 12, [-2.0] * 12), winobias.Settings(), "accuracy_gap", "all", 100),
    "gap of honest": (honest, honest_rows([0.0] * 12, [0.0] * 11 + [0.2]), honest.Settings(count=5), "gap", "a", 1),
    "gap of profanity": (profanity, profanity_rows(), profanity.Settings(draws=5), "gap", "a", 1),
    "tpr_gap": (bias_in_bios, bios_rows(), bias_in_bios.Settings(least=1), "tpr_gap", "nurse", 1),
    "mean_gap": (paired_gap, pairs(6, 6, 0, 0), paired_gap.Settings(), "mean_gap", "all", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_AN_END)
def test_a_side_of_nothing_or_all_is_no_certainty(name):
    """The value is the difference of the shares, whatever the weights; the interval is wider and inside its range."""
    module, rows, settings, statistic, group, unit = AT_AN_END[name]
    each, row = found(module, rows, settings, statistic, group)
    weights = np.random.default_rng(3).integers(0, 4, (5, len(rows))).astype(float)
    apart = difference(each.shares.first, each.shares.second)
    assert each.shares.unit == unit
    np.testing.assert_allclose(each.resampled(weights), unit * apart(weights), atol=1e-12)
    sides = [
        share.of(share.features.sum(axis=0, keepdims=True))[0] for share in (each.shares.first, each.shares.second)
    ]
    assert any(side in (0.0, 1.0) for side in sides)
    assert -unit <= row["ci_low"] < row["value"] or row["value"] == -unit
    assert row["value"] < row["ci_high"] <= unit or row["value"] == unit
    assert row["ci_high"] - row["ci_low"] > 0.05 * unit


def newcombe(a, b, c, d, of_share, quantile=None):
    """Method 10 of his paper on paired data, from the counts; ``of_share`` gives the interval of k of n."""
    n = a + b + c + d
    p, q = (a + b) / n, (a + c) / n
    (p_low, p_high), (q_low, q_high) = of_share(a + b, n), of_share(a + c, n)
    product, apart = (a + b) * (c + d) * (a + c) * (b + d), a * d - b * c
    phi = 0.0 if product == 0 else (max(apart - n / 2, 0) if apart > 0 else apart) / math.sqrt(product)
    below = (p - p_low) ** 2 - 2 * phi * (p - p_low) * (q_high - q) + (q_high - q) ** 2
    above = (p_high - p) ** 2 - 2 * phi * (p_high - p) * (q - q_low) + (q - q_low) ** 2
    return p - q - math.sqrt(below), p - q + math.sqrt(above)


def wilson(k, n):
    found = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    return found.low, found.high


@pytest.mark.parametrize(
    "table", [(60, 30, 10, 20), (60, 10, 30, 5), (300, 40, 60, 80), (90, 8, 0, 2), (100, 12, 8, 0)]
)
def test_pairs_that_are_no_clusters_have_newcombes_interval(table):
    """Up to the error of a jackknife, which is over n - 1, and Student's t."""
    _, row = found(paired_gap, pairs(*table), paired_gap.Settings(), "mean_gap")
    low, high = newcombe(*table, wilson)
    assert row["value"] == pytest.approx((table[1] - table[2]) / sum(table))
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(low, abs=0.003), pytest.approx(high, abs=0.003))


def test_the_oracle_has_the_published_intervals():
    """Newcombe 1998, *Improved confidence intervals … paired data*, table III; Fagerland, Lydersen and Laake 2014."""
    assert newcombe(36, 12, 2, 0, wilson) == (pytest.approx(0.0569, abs=5e-5), pytest.approx(0.3404, abs=5e-5))
    assert newcombe(1, 1, 7, 12, wilson) == (pytest.approx(-0.507, abs=5e-4), pytest.approx(-0.026, abs=5e-4))


def test_scores_that_are_not_right_or_wrong_have_no_shares():
    rows = pairs(5, 5, 5, 5).assign(first=np.linspace(0, 1, 20))
    assert found(paired_gap, rows, paired_gap.Settings(), "mean_gap")[0].shares is None
    percent = pairs(5, 5, 1, 1).assign(first=lambda f: 100 * f["first"], second=lambda f: 100 * f["second"])
    each, row = found(paired_gap, percent, paired_gap.Settings(), "mean_gap")
    _, plain = found(paired_gap, pairs(5, 5, 1, 1), paired_gap.Settings(), "mean_gap")
    assert each.shares.unit == 100 and row["ci_low"] == pytest.approx(100 * plain["ci_low"])


def test_shares_that_exclude_each_other_move_together():
    """12 of 12 for one side: 2 p - 1 with p in Wilson's interval, not the shorter way of two independent shares."""
    rows = wino_rows([-1.0] * 12, [-2.0] * 12).assign(cluster=[f"c{at}" for at in range(12)])
    _, row = found(winobias, rows, winobias.Settings(), "accuracy_gap")
    t = stats.t.ppf(0.975, 11)
    assert row["ci_low"] == pytest.approx(100 * (2 * 12 / (12 + t**2) - 1)) and row["ci_high"] == 100
    # With ties the rest: none of 12 on either side.
    _, none = found(winobias, rows.assign(anti=-1.0), winobias.Settings(), "accuracy_gap")
    assert none["ci_high"] == -none["ci_low"] == pytest.approx(100 * t**2 / (12 + t**2))


def coverage(name, replicates=300):
    (scenario,) = (s for s in simulation.scenarios() if (s.table, s.name) == ("Differences of shares", name))
    return simulation.run(scenario, replicates, seed=3).rates


@pytest.mark.parametrize(
    ("name", "most", "least"),
    [
        ("the same items, one or the other: 98% and 2%, 20 clusters of 4", 0.8, 0.92),
        ("the same items, one or the other: 99.5% and 0.5%, 60 clusters of 4", 0.7, 0.9),
        ("different items of common clusters: 99.5% and 98%, 20 clusters of 4", 0.9, 0.95),
    ],
)
def test_they_cover_their_truth_near_an_end(name, most, least):
    rates = coverage(name)
    assert rates["jackknife"] <= most and rates["by both shares"] >= least


@pytest.mark.parametrize(("n", "verdict"), [(12, "cannot resolve"), (400, "unchanged")])
def test_no_flip_among_few_pairs_is_no_proof_that_nothing_changed(tmp_path, n, verdict):
    before = 1 + np.random.default_rng(1).exponential(2.0, n)
    for name, preferred in (("base", before), ("small", 0.8 * before)):
        rows = pd.DataFrame({"item": [f"i{at}" for at in range(n)], "first": preferred, "second": 0.0})
        rows.assign(neutral=preferred + 5).to_csv(tmp_path / f"{name}.csv", index=False)
    found = fairshrink.judge(tmp_path / "base.csv", tmp_path / "small.csv", metric="paired_share")
    row = found.cells.set_index("method").loc["small"]
    assert str(row["verdict"]) == verdict and row["change"] == 0
    assert row["change_high"] == -row["change_low"] > 0 and row["residual_high"] > 0
    per_group = found.results.query("statistic == 'preferred_share' and change_high == change_high")
    assert (per_group["change_high"] > 0).all() and len(per_group)


def test_a_side_at_its_end_has_the_design_effect_of_the_other():
    """All of 60 right and 45 of 60, in 10 clusters: 60 items of the first count for as many as those of the second."""
    wrong = [1, 2] * 5
    second = np.concatenate([[0.0] * each + [1.0] * (6 - each) for each in wrong])
    rows = pd.DataFrame({"first": 1.0, "second": second, "cluster": np.repeat([f"c{at}" for at in range(10)], 6)})
    _, row = found(paired_gap, named(rows, 10), paired_gap.Settings(), "mean_gap")
    means = second.reshape(10, 6).mean(axis=1)
    p, variance, t = means.mean(), means.var(ddof=1) / 10, stats.t.ppf(0.975, 9)
    n = min(60, p * (1 - p) / variance)
    assert n == 60
    reach = t * math.sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    low, high = ((p + t**2 / (2 * n) + sign * reach) / (1 + t**2 / n) for sign in (-1, 1))
    end = n / (n + t**2)
    assert row["ci_low"] == pytest.approx(1 - p - math.hypot(1 - end, high - p))
    assert row["ci_high"] == pytest.approx(1 - p + (p - low))
    # With both at their ends nothing is known of it: ten clusters are ten items.
    _, both = found(paired_gap, named(rows.assign(second=1.0), 10), paired_gap.Settings(), "mean_gap")
    assert both["ci_high"] == pytest.approx(t**2 / (10 + t**2))
