"""Do the intervals of `fairshrink.stats` hold what they promise? Coverage and false positives on made-up data, seeded.

Each scenario draws many tables of items of which the truth is known, and counts how often a 95% interval contains it.
The percentile bootstrap, with which verdicts were made before, is measured beside. That of verdicts themselves is
`verdict_simulation.py`.
Prints Markdown tables; docs/statistics.md has those of a full run.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import special

from fairshrink.analysis.joint import join
from fairshrink.analysis.measured import numbers
from fairshrink.stats import estimates as st
from fairshrink.stats import intervals, power, reflection
from fairshrink.stats.inference import Inference
from fairshrink.stats.jackknife import jackknife
from fairshrink.stats.splits import OverSplits, over_splits, prediction_interval

Rng = np.random.Generator
Trial = dict[str, bool]
"""Whether each method's interval contains the truth, or another yes or no, in one replicate."""
RESAMPLES = 1000
FEW_RESAMPLES = 400
"""For statistics whose every resample needs its own reflection."""


@dataclass(frozen=True)
class Scenario:
    """``draw(rng)`` makes and judges one replicate; ``slow`` ones get a fifth of the replicates."""

    table: str
    name: str
    draw: Callable[[Rng], Trial]
    slow: bool = False


@dataclass
class Measured:
    """How often each answer was yes."""

    scenario: Scenario
    replicates: int
    seconds: float
    rates: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="10 replicates of the quick scenarios")
    parser.add_argument("--only", nargs="*", default=[""], help="scenarios whose table and name contain one of these")
    options = parser.parse_args()
    chosen = [
        each
        for each in scenarios()
        if any(part in f"{each.table}: {each.name}" for part in options.only) and not (options.small and each.slow)
    ]
    replicates = 10 if options.small else options.replicates
    with ProcessPoolExecutor(options.processes) as pool:
        measured = []
        for each in pool.map(partial(run, replicates=replicates, seed=options.seed), chosen):
            rates = ", ".join(f"{name} {100 * rate:.1f}" for name, rate in each.rates.items())
            print(f"{each.scenario.table}: {each.scenario.name}: {rates} ({each.seconds:.0f} s)", file=sys.stderr)
            measured.append(each)
    for table in dict.fromkeys(each.table for each in chosen):
        print(f"\n### {table}\n")
        print(markdown([each for each in measured if each.scenario.table == table]))


def run(scenario: Scenario, replicates: int, seed: int) -> Measured:
    """Each replicate has its own generator, so that the first ones are the same however many are run."""
    count = max(1, replicates // 5) if scenario.slow else replicates
    salt = zlib.crc32(f"{scenario.table}/{scenario.name}".encode())
    began = time.perf_counter()
    answers = [scenario.draw(np.random.default_rng((seed, salt, i))) for i in range(count)]
    names = list(dict.fromkeys(name for each in answers for name in each))
    rates = {name: float(np.mean([each[name] for each in answers if name in each])) for name in names}
    return Measured(scenario, count, time.perf_counter() - began, rates)


def markdown(measured: list[Measured]) -> str:
    names = list(dict.fromkeys(name for each in measured for name in each.rates))
    lines = ["| | " + " | ".join(names) + " | replicates |", "|---|" + "---:|" * (len(names) + 1)]
    for each in measured:
        cells = [f"{100 * each.rates[name]:.1f}" if name in each.rates else "" for name in names]
        lines.append(f"| {each.scenario.name} | " + " | ".join(cells) + f" | {each.replicates:,} |")
    return "\n".join(lines)


def scenarios() -> Iterator[Scenario]:
    """All of them, in the order of the tables."""
    sizes = (8, 20, 50, 100, 400)
    for g in sizes:
        yield Scenario("Means", f"{g} clusters", partial(mean_trial, g))
    for p, counts in ((0.6, sizes), (0.05, (20, 50, 100, 400))):
        for g in counts:
            yield Scenario("Shares", f"{p:.0%}, {g} clusters of 4", partial(share_trial, p, g))
    for g in (8, 20, 50, 100):
        yield Scenario("Effect sizes", f"two sets of {g} words", partial(effect_trial, g))
    for g in sizes:
        yield Scenario("Paired differences", f"{g} clusters", partial(paired_trial, g))
    for sides, of_sides in GAPS.items():
        for g in (20, 60):
            for p, q in of_sides:
                yield Scenario(
                    "Differences of shares",
                    f"{sides}: {100 * p:g}% and {100 * q:g}%, {g} clusters of 4",
                    partial(gap_trial, sides, p, q, g),
                )
    for one, other in ((8, 8), (10, 30), (20, 40), (40, 40), (12, 100)):
        yield Scenario(
            "Two crossed columns", f"{one} templates × {other} pairs of persons", partial(crossed_trial, one, other)
        )
    for kind in NOISES:
        for kept in KEPT:
            yield Scenario(
                "Residual of a mean", f"{kind}, K = {kept}", partial(residual_trial, "mean", kind, kept, 200)
            )
    for kept in (0.9, 0.5, 0.1):
        for g in (8, 20, 50):
            draw = partial(residual_trial, "mean", "symmetric", kept, g)
            yield Scenario("Residual of a mean", f"{g} clusters, K = {kept}", draw)
    for kind in NOISES:
        for kept in KEPT if kind == "symmetric" else (0.9, 0.5, 0.1):
            draw = partial(residual_trial, "share", kind, kept, 200)
            yield Scenario("Residual of a share", f"{kind}, K = {kept}", draw, slow=kind != "symmetric")
    for kept in (0.9, 0.5, 0.1):
        for g in (8, 20, 50):
            draw = partial(residual_trial, "share", "symmetric", kept, g)
            yield Scenario("Residual of a share", f"{g} clusters, K = {kept}", draw, slow=True)
    for kept in (0.9, 0.5, 0.1):
        draw = partial(residual_trial, "share, own K", "symmetric", kept, 200)
        yield Scenario("Residual of a share", f"K from the signal with intercept, K = {kept}", draw, slow=True)
    for kept in (0.9, 0.5, 0.1):
        for g in (8, 25):
            draw = partial(residual_effect_trial, g, kept)
            yield Scenario("Residual of an effect size", f"two sets of {g} words, K = {kept}", draw, slow=True)
    for m in (3, 5):
        for between in (0.0, 0.1, 0.3):
            yield Scenario("Splits", f"{m} splits, sd between {between}", partial(splits_trial, m, between))
    for m, n in ((1, 10), (3, 10), (3, 20)):
        yield Scenario("Control seeds", f"{m} splits against {n} seeds", partial(controls_trial, m, n))
    for rho in (0.0, 0.5, 0.9):
        for n in (8, 9, 10, 20, 50):
            yield Scenario("Spearman", f"true {rho}, n = {n}", partial(spearman_trial, rho, n))
    for g in (8, 20, 100):
        yield Scenario("Power", f"{g} clusters, a change as large as the MDE", partial(power_trial, g))


def covers(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


_COUNTS: dict[tuple[int, int], np.ndarray] = {}


def counts(g: int, resamples: int = RESAMPLES) -> np.ndarray:
    """The same resamples for all replicates: they do not depend on the data."""
    if (g, resamples) not in _COUNTS:
        _COUNTS[g, resamples] = st.bootstrap_counts(g, resamples, seed=g).astype(np.float64)
    return _COUNTS[g, resamples]


def bootstrap(estimate: st.Estimate, codes: np.ndarray) -> tuple[float, float]:
    return st.interval(st.resample([estimate], codes, counts(int(codes.max()) + 1))[0])


def skewed(rng: Rng, size: int) -> np.ndarray:
    """Mean 0, variance 1, skewness 2."""
    return rng.exponential(size=size) - 1


def clustered(rng: Rng, g: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of items in ``g`` clusters of 2 to 6, and values of mean 0; a third of the variance is between clusters."""
    codes = np.repeat(np.arange(g), rng.integers(2, 7, size=g))
    return codes, math.sqrt(1 / 3) * rng.normal(size=g)[codes] + math.sqrt(2 / 3) * skewed(rng, len(codes))


def mean_trial(g: int, rng: Rng) -> Trial:
    codes, values = clustered(rng, g)
    estimate = st.weighted_mean(values)
    return {
        "jackknife": covers(jackknife(estimate, codes).interval(), 0),
        "percentile bootstrap": covers(bootstrap(estimate, codes), 0),
        "items as independent": covers(jackknife(estimate, np.arange(len(codes))).interval(), 0),
    }


def share_trial(p: float, g: int, rng: Rng) -> Trial:
    """Each cluster has its own share, beta distributed with intra-cluster correlation 0.1."""
    codes = np.repeat(np.arange(g), 4)
    own = rng.beta(9 * p, 9 * (1 - p), size=g)
    estimate = st.weighted_mean(rng.random(len(codes)) < own[codes])
    found = jackknife(estimate, codes)
    return {
        "Wilson type": covers(intervals.share_interval(found, len(codes), g), p),
        "jackknife": covers(found.interval(), p),
        "percentile bootstrap": covers(bootstrap(estimate, codes), p),
    }


GAPS = {
    "different items of common clusters": ((0.6, 0.4), (0.95, 0.8), (0.99, 0.97), (0.995, 0.9), (0.995, 0.98)),
    "the same items, right and wrong": ((0.6, 0.4), (0.95, 0.8), (0.99, 0.97), (0.995, 0.9), (0.995, 0.98)),
    "the same items, one or the other": ((0.5, 0.3), (0.1, 0.05), (0.05, 0.01), (0.98, 0.02), (0.995, 0.005)),
}
"""By what two sides have in common: their true shares."""


def gap_trial(sides: str, p: float, q: float, g: int, rng: Rng) -> Trial:
    """Each cluster has its own shares, beta distributed with intra-cluster correlation 0.1, high or low on both sides.

    Items that are right and wrong: the same normal noise decides on both sides, with correlation 0.5.
    """
    codes = np.repeat(np.arange(g), 4)
    if sides == "the same items, one or the other":
        own = rng.dirichlet(9 * np.maximum([p, q, 1 - p - q], 1e-9), size=g)[codes]
        drawn = rng.random(len(codes))
        one, other = drawn < own[:, 0], drawn > 1 - own[:, 1]
    else:
        level = rng.random(g)
        own = np.column_stack([special.betaincinv(9 * each, 9 * (1 - each), level) for each in (p, q)])[codes]
        common = 0.5 if sides == "the same items, right and wrong" else 0.0
        noise = math.sqrt(common) * rng.normal(size=(len(codes), 1)) + math.sqrt(1 - common) * rng.normal(
            size=(len(codes), 2)
        )
        one, other = (special.ndtr(noise) < own).T
    shared: st.Sides = "exclusive" if sides == "the same items, one or the other" else "shared"
    masks = [np.ones(len(codes), dtype=bool)] * 2
    if sides == "different items of common clusters":
        codes, masks = np.tile(codes, 2), [np.repeat(each, len(codes)) for each in ([True, False], [False, True])]
        one = other = np.concatenate([one, other])
    shares = st.Shares(st.weighted_mean(one, masks[0]), st.weighted_mean(other, masks[1]), shared)
    gap = st.Statistic("gap", st.difference(shares.first, shares.second), n_items=len(codes), shares=shares)
    table = pd.DataFrame({"item": [f"{at:04d}" for at in range(len(codes))], "cluster": codes})
    joint = join([table], ("cluster",))
    rows = {
        "by both shares": numbers(joint, gap, None, 0.95, len(codes)),
        "jackknife": numbers(joint, replace(gap, shares=None), None, 0.95, len(codes)),
    }
    return {name: covers((row["ci_low"], row["ci_high"]), p - q) for name, row in rows.items()}


def effect_trial(g: int, rng: Rng) -> Trial:
    """True d: 0.8 standard deviations inside sets, over that of the union, as in WEAT."""
    first = np.arange(2 * g) < g
    values = rng.normal(size=2 * g) + 0.8 * first
    # The standard deviation in the union, with ddof 1, tends to this.
    truth = 0.8 / math.sqrt(1 + 0.16)
    estimate = st.standardized_difference(values, first, ~first)
    weights = np.concatenate([counts(g), counts(g)[::-1]], axis=1)
    inside = reflection.as_estimate(reflection.effect_size_within(first, ~first), values)
    found = jackknife(inside, np.arange(2 * g), strata=first)
    return {
        "jackknife inside sets": covers(intervals.effect_size_interval(found, g, g)[1:], truth),
        "jackknife of d": covers(jackknife(estimate, np.arange(2 * g), strata=first).interval(), truth),
        "percentile bootstrap": covers(st.interval(estimate(weights)), truth),
    }


def paired_trial(g: int, rng: Rng) -> Trial:
    """A checkpoint whose items go with the baseline's (correlation about 0.8), both skewed."""
    codes, base = clustered(rng, g)
    change = 0.5 * rng.normal(size=g)[codes] + 0.4 * skewed(rng, len(codes))
    estimate = st.difference(st.weighted_mean(base + change), st.weighted_mean(base))
    return {
        "jackknife": covers(jackknife(estimate, codes).interval(), 0),
        "percentile bootstrap": covers(bootstrap(estimate, codes), 0),
    }


def crossed_trial(one: int, other: int, rng: Rng) -> Trial:
    """Most of the variance between pairs of persons, as found in the sentiment gap."""
    template, person = np.repeat(np.arange(one), other), np.tile(np.arange(other), one)
    values = 0.4 * rng.normal(size=one)[template] + skewed(rng, other)[person] + rng.normal(size=one * other)
    estimate = st.weighted_mean(values)
    return {
        "jackknife, both columns": covers(jackknife(estimate, template, person).interval(), 0),
        "jackknife, templates": covers(jackknife(estimate, template).interval(), 0),
        "percentile bootstrap, templates": covers(bootstrap(estimate, template), 0),
    }


KEPT = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1)
NOISES = ("symmetric", "K varies by item", "skewed members", "skewed signal")
"""Of the last two, the first has skewed noise on each member of a pair, whose difference is the signal."""


def lost(kind: str, kept: float, values: np.ndarray, rng: Rng) -> np.ndarray:
    """A checkpoint's values that are the baseline's with signal lost, and nothing else."""
    n, sd = len(values), max(0.2, math.sqrt(1 - kept**2))
    if kind == "K varies by item":
        own = np.clip(kept * (1 + 0.4 * rng.normal(size=n)), -0.2 * kept, 2.2 * kept)
        return own * values + sd * rng.normal(size=n)
    if kind == "skewed members":
        return kept * values + sd * (skewed(rng, n) - skewed(rng, n)) / math.sqrt(2)
    return kept * values + sd * (skewed(rng, n) if kind == "skewed signal" else rng.normal(size=n))


def residual_trial(what: str, kind: str, kept: float, g: int, rng: Rng) -> Trial:
    """A biased baseline (mean 0.3 standard deviations) that loses signal only: any *changed* is false.

    What takes long is measured in a fifth of the replicates.
    """
    codes = np.repeat(np.arange(g), 2)
    base = 0.3 + math.sqrt(0.3) * rng.normal(size=g)[codes] + math.sqrt(0.7) * rng.normal(size=2 * g)
    neutral = 1.5 * rng.normal(size=2 * g)
    after, neutral_after = lost(kind, kept, base, rng), lost(kind, kept, neutral, rng)
    everything = np.ones(2 * g, dtype=bool)
    functional = reflection.mean(everything) if what == "mean" else reflection.share_above(everything)
    own = what == "share, own K"
    x, y = (base, after) if own else (neutral, neutral_after)
    line = reflection.line(x, y, intercept=own)
    found = reflection.decompose(functional, base, after, line, codes)
    answers = {"R significant": found.residual.p_value() <= 0.05}
    if rng.random() < 0.2 or (what != "mean" and kind != "symmetric"):
        if what != "mean":
            shuffled = reflection.decompose(functional, base, after, line, codes, null="shuffled")
            answers["R significant, null by shuffled errors"] = shuffled.residual.p_value() <= 0.05
        resampled = reflection.parts(functional, base, after, line)(counts(g, FEW_RESAMPLES)[:, codes])
        answers["R significant, percentile bootstrap"] = not covers(st.interval(resampled[6]), 0)
        # Detected by the bootstrap, and at least half of the signal kept.
        changed = st.paired_p(resampled[1], resampled[0]) <= 0.05
        answers["real change by the old rule"] = changed and found.kept.value >= 0.5
    return answers


def residual_effect_trial(g: int, kept: float, rng: Rng) -> Trial:
    """WEAT without neutral items: K is the slope inside sets; words are independent."""
    first = np.arange(2 * g) < g
    base = rng.normal(size=2 * g) + 0.8 * first
    after = lost("symmetric", kept, base, rng)
    line = reflection.line_within(base, after, first)
    answers = {}
    for name, size in (("inside sets", reflection.effect_size_within), ("of d", reflection.effect_size)):
        found = reflection.decompose(
            size(first, ~first), base, after, line, np.arange(2 * g), groups=None, strata=first
        )
        answers[f"R {name} significant"] = found.residual.p_value() <= 0.05
    return answers


def splits_trial(m: int, between: float, rng: Rng) -> Trial:
    """Checkpoints of ``m`` splits on the same 100 items; the truth is that of training in general."""
    items = 0.5 * rng.normal(size=100)
    tables = [items + 0.5 * rng.normal(size=100) + between * rng.normal() for _ in range(m)]
    (found,) = over_splits([st.weighted_mean(each) for each in tables], np.arange(100))
    own = np.array([each.value for each in found.splits])
    return {
        "split-random t": covers(found.training.interval(), 0),
        "with Satterthwaite's degrees": covers(satterthwaite(found).interval(), 0),
        "items alone": covers(found.checkpoints.interval(), 0),
        "± sd of splits": abs(own.mean()) <= own.std(ddof=1),
    }


def satterthwaite(found: OverSplits) -> Inference:
    m, items = len(found.splits), found.checkpoints.df
    between = float(np.var([each.value for each in found.splits], ddof=1)) / m
    shared = found.training.standard_error**2 - between
    df = (between + shared) ** 2 / (between**2 / (m - 1) + shared**2 / items)
    return Inference(found.training.value, found.training.standard_error, df)


def controls_trial(m: int, n: int, rng: Rng) -> Trial:
    seeds = rng.normal(size=n)
    cell = float(rng.normal(size=m).mean())
    low, high = seeds.mean() - 1.96 * seeds.std(ddof=1), seeds.mean() + 1.96 * seeds.std(ddof=1)
    return {"prediction interval": covers(prediction_interval(seeds, m), cell), "mean ± 1.96 sd": low <= cell <= high}


def spearman_trial(rho: float, n: int, rng: Rng) -> Trial:
    """Normal pairs; Spearman's true value is 6/pi asin(r/2)."""
    r = 2 * math.sin(math.pi * rho / 6)
    x = rng.normal(size=n)
    y = r * x + math.sqrt(1 - r**2) * rng.normal(size=n)
    estimate = st.spearman(x, y)
    value = float(estimate(np.ones((1, n)))[0])
    return {
        "Bonett–Wright": covers(intervals.spearman_interval(value, n), rho),
        "percentile bootstrap": covers(st.interval(estimate(counts(n, FEW_RESAMPLES))), rho),
    }


def power_trial(g: int, rng: Rng) -> Trial:
    change = power.detectable(1 / math.sqrt(g), g - 1.0)
    values = rng.normal(size=g) + change
    return {"found (80 is right)": jackknife(st.weighted_mean(values), np.arange(g)).p_value() <= 0.05}


if __name__ == "__main__":
    main()
