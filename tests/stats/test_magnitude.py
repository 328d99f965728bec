"""Debiased mean squares against slow definitions, and without bias in simulated tables with known effects."""

import itertools

import numpy as np
import pandas as pd
import pytest

from fairshrink.metrics._shared.association_statistics import effect_size
from fairshrink.stats.estimates import weighted_mean
from fairshrink.stats.jackknife import jackknife
from fairshrink.stats.magnitude import debiased_mean_square, jackknife_variance, mean_square


def value(estimate, n):
    return float(estimate(np.ones((1, n)))[0])


def table(seed=0, n=40):
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({"effect": generator.integers(5, size=n), "item": generator.integers(6, size=n)})
    return frame.assign(x=generator.normal(size=n) + frame["effect"], inside=generator.random(n) < 0.8)


def slow_mean_square(frame):
    """Mean over effects of the mean product of two rows of different items."""
    squares = []
    for _, part in frame.groupby("effect"):
        rows = list(zip(part["item"], part["x"], strict=True))
        products = [a * b for (i, a), (j, b) in itertools.permutations(rows, 2) if i != j]
        squares += [np.mean(products)] if products else []
    return np.mean(squares)


def test_mean_square_is_the_mean_product_of_rows_of_different_items():
    frame = table()
    found = mean_square(frame["x"], frame["effect"], frame["item"], frame["inside"])
    assert value(found, 40) == pytest.approx(slow_mean_square(frame[frame["inside"]]), abs=1e-12)
    assert value(mean_square(frame["x"], frame["effect"], frame["item"]), 40) == pytest.approx(slow_mean_square(frame))


def test_mean_square_of_a_balanced_table_is_square_less_variance():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(3, 7)) + np.array([[0.0], [1.0], [-2.0]])
    effects, items = np.repeat(["a", "b", "c"], 7), np.tile(np.arange(7), 3)
    expected = np.mean(x.mean(1) ** 2 - x.var(1, ddof=1) / 7)
    assert value(mean_square(x.ravel(), effects, items), 21) == pytest.approx(expected)


def test_effects_with_one_item_do_not_count():
    effects, items, x = ["a", "a", "b", "b"], ["s", "t", "s", "s"], [2.0, 3.0, 9.0, 9.0]
    assert value(mean_square(x, effects, items), 4) == 6
    assert np.isnan(value(mean_square(x[2:], effects[2:], items[2:]), 2))
    assert np.isnan(value(mean_square(x, effects, items, [False] * 4), 4))


def test_what_is_not_known_makes_the_mean_square_unknown():
    assert np.isnan(value(mean_square([1.0, np.nan, 1.0, 2.0], list("aabb"), list("stst")), 4))


def test_an_effect_drawn_twice_counts_as_two():
    frame = table()
    weights = np.array([2.0, 1.0, 0.0, 3.0, 1.0])[frame["effect"]]
    copies = [frame[frame["effect"] == at].assign(effect=f"{at}/{k}") for at, k in [(0, 0), (0, 1), (1, 0), (3, 0)]]
    copies += [frame[frame["effect"] == at].assign(effect=f"{at}/{k}") for at, k in [(3, 1), (3, 2), (4, 0)]]
    found = mean_square(frame["x"], frame["effect"], frame["item"])(weights[None, :])[0]
    assert found == pytest.approx(slow_mean_square(pd.concat(copies)))


@pytest.mark.parametrize("true", [np.zeros(8), np.array([0.5, -0.5, 0.2, 0, 0, 1, -1, 0.1])])
def test_mean_square_has_no_bias_where_sentences_have_effects_of_their_own(true):
    """Tables as those of the sentiment gap: templates with several rows, whose noise all pairs of persons share."""
    generator = np.random.default_rng(5)
    effects, items = (each.ravel() for each in np.meshgrid(np.arange(8), np.repeat(np.arange(12), 3), indexing="ij"))
    kept = np.random.default_rng(6).random(len(effects)) < 0.6
    effects, items = effects[kept], items[kept]
    found, naive = [], []
    for _ in range(1500):
        x = true[effects] + generator.normal(size=12)[items] + generator.exponential(size=len(items)) - 1
        found.append(value(mean_square(x, effects, items), len(x)))
        naive.append(np.mean(pd.Series(x).groupby(effects).mean() ** 2))
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(np.mean(true**2), abs=4 * error)
    assert np.mean(naive) - np.mean(true**2) > 20 * error


def test_jackknife_variance_is_that_of_the_jackknife():
    generator = np.random.default_rng(2)
    x, clusters = generator.normal(size=30), generator.integers(9, size=30)
    first = clusters < 4
    for estimate in (weighted_mean(x), weighted_mean(x, first), effect_size(x, first, ~first)):
        expected = jackknife(estimate, clusters).standard_error ** 2
        assert value(jackknife_variance(estimate, clusters), 30) == pytest.approx(expected)


def test_jackknife_variance_of_clusters_drawn_twice_or_not_at_all():
    generator = np.random.default_rng(3)
    x, clusters = generator.normal(size=24), np.repeat(np.arange(8), 3)
    drawn = np.array([2, 0, 1, 1, 3, 0, 1, 1])
    rows = np.concatenate([np.arange(3 * c, 3 * c + 3) for c, k in enumerate(drawn) for _ in range(k)])
    first = clusters < 4
    copies = np.repeat(np.arange(drawn.sum()), 3)
    expected = jackknife(effect_size(x[rows], first[rows], ~first[rows]), copies).standard_error ** 2
    found = jackknife_variance(effect_size(x, first, ~first), clusters)(drawn[clusters][None, :].astype(float))[0]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("n", "shift", "share"), [(16, 0.0, 0.1), (16, 0.8, 0.1), (8, 0.0, 0.2)])
def test_debiased_effect_sizes_have_little_of_the_bias(n, shift, share):
    """Tests with n words a side: d in the population is shift / sqrt(1 + shift² / 4)."""
    generator = np.random.default_rng(7)
    in_x, words = np.arange(2 * n) < n, np.arange(2 * n)
    found, naive = [], []
    for _ in range(1500):
        estimates = [effect_size(generator.normal(size=2 * n) + shift * in_x, in_x, ~in_x) for _ in range(4)]
        pairs = [(each, jackknife_variance(each, words)) for each in estimates]
        found.append(value(debiased_mean_square(pairs), 2 * n))
        naive.append(np.mean([value(each, 2 * n) ** 2 for each in estimates]))
    true, error = shift**2 / (1 + shift**2 / 4), np.std(found) / np.sqrt(len(found))
    bias = np.mean(naive) - true
    assert bias > 10 * error
    assert abs(np.mean(found) - true) < share * bias + 3 * error


def test_an_unknown_effect_makes_the_mean_square_unknown():
    first = np.array([True, True, False, False])
    known, constant = effect_size([1.0, 2, 3, 5], first, ~first), effect_size([1.0] * 4, first, ~first)
    pairs = [(each, jackknife_variance(each, np.arange(4))) for each in (known, constant)]
    assert np.isfinite(value(debiased_mean_square(pairs[:1]), 4))
    assert np.isnan(value(debiased_mean_square(pairs), 4))
