"""Studies made so that one verdict is right, from items to the table of cells; and the rules at their boundaries."""

import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic_study
from synthetic_study import BASELINE, CONTROLS, MODULES, Cell

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.cells import cells
from fairshrink.analysis.measured import measured
from fairshrink.analysis.scores import Family, Scored
from fairshrink.analysis.verdicts import judge, judged
from fairshrink.settings import Settings
from fairshrink.stats.estimates import Statistic, weighted_mean
from fairshrink.stats.signals import Contrast, OwnSkill
from fairshrink.study.jobs import CheckpointEntry, Identity, ScoreEntry

GAP = "sentiment_gap"
MARGIN = 0.1
COMPRESSED = Cell("pruned", "unstructured", kept=0.9, noise=0.2)
SCATTERED = tuple(replace(each, shift=each.noise * (1, -1, 0.5, -0.5, 1.5)[i % 5]) for i, each in enumerate(CONTROLS))
"""Controls that move the gap to either side, in proportion to their damage."""


def unaltered(metric, cell, items):
    return items


def study(*compressions, controls=CONTROLS, n=1600, modules=MODULES, alter=unaltered, **options):
    """The cells of compressions; ``alter`` changes items, those of controls apart."""
    found = [*headlines(compressions, n, modules, alter), *of_controls(controls, n)]
    table = cells(found, 0.95, **options)
    return table[(table["metric"] == GAP) & (table["method"] != "none") & ~table["control"]].reset_index(drop=True)


@cache
def of_controls(controls, n):
    return [each for each in headlines(controls, n, MODULES, unaltered) if not each.is_baseline]


def headlines(compressed, n, modules, alter):
    """Every metric of the synthetic study on a baseline and what is made of it, without files."""
    found = []
    for metric in (GAP, "task_score", "fidelity"):
        checkpoints, scored, module = {}, {}, modules[metric]
        for cell in (BASELINE, *compressed):
            key = f"{cell.method} {cell.setting}"
            who = Identity(
                "minilm", "encoder", "sentiment", 0, 0, cell.method, cell.family, cell.setting, cell.sparsity
            )
            checkpoints[key] = CheckpointEntry(key, key, "", "", f"{BASELINE.method} ", who)
            items = alter(metric, cell, synthetic_study.drawn(cell, 0, n, 5)[metric])
            signal = module.signal(items, Settings()) if hasattr(module, "signal") else None
            scored[key] = Scored(checkpoints[key], items, module.summarize(items, Settings()), signal)
        scores = {key: ScoreEntry(key, "", "", key, metric, metric, {}, "data") for key in checkpoints}
        family = Family(metric, "data", "minilm", "sentiment", metric, {0: scores}, {0: f"{BASELINE.method} "})
        results = measured(family, checkpoints, module, 0.95, lambda score, scored=scored: scored[score.checkpoint])
        found += [headline for _, headline in results]
    return found


def verdict(*args, **options):
    (row,) = study(*args, **options).to_dict("records")
    return row["verdict"], row


def with_module(**changes):
    return {**MODULES, GAP: SimpleNamespace(**{**vars(MODULES[GAP]), **changes})}


def test_a_rounded_model_is_unchanged():
    assert verdict(replace(COMPRESSED, kept=1.0, noise=0.02))[0] == kinds.UNCHANGED


def test_lost_signal_alone_is_only_more_random():
    found, row = verdict(replace(COMPRESSED, kept=0.6, noise=0.2))
    assert found == kinds.ONLY_RANDOM
    assert row["change"] == pytest.approx(-0.4 * row["baseline"], abs=0.05) and abs(row["residual"]) < MARGIN / 2


@pytest.mark.parametrize(("shift", "expected"), [(0.3, kinds.MORE_BIASED), (-0.3, kinds.LESS_BIASED)])
def test_a_shift_beyond_lost_signal_is_a_change(shift, expected):
    found, row = verdict(replace(COMPRESSED, shift=shift))
    assert found == expected
    assert row["residual"] == pytest.approx(shift, abs=0.03)


def test_direction_is_that_from_what_lost_signal_leaves_not_from_the_baseline():
    """The gap falls from 0.38 to 0.34; lost signal alone would have left 0.19: more biased."""
    found, row = verdict(replace(COMPRESSED, kept=0.5, shift=0.15))
    assert found == kinds.MORE_BIASED and row["change_high"] < 0


def test_past_the_unbiased_value_a_bias_of_the_other_sign_counts():
    assert verdict(replace(COMPRESSED, shift=-1.1))[0] == kinds.MORE_BIASED


def test_a_shift_that_controls_have_too_is_what_damage_does():
    found, row = verdict(replace(COMPRESSED, shift=0.2), controls=SCATTERED)
    assert found == kinds.AS_DAMAGE
    assert row["control_low"] < row["residual"] < row["control_high"] and row["n_controls"] >= 10


def test_a_shift_far_beyond_scattered_controls_is_a_change():
    assert verdict(replace(COMPRESSED, shift=1.5), controls=SCATTERED)[0] == kinds.MORE_BIASED


@pytest.mark.parametrize("controls", [(), CONTROLS[:9]], ids=["none", "nine"])
def test_without_controls_enough_a_change_is_not_controlled(controls):
    found, row = verdict(replace(COMPRESSED, shift=0.3), controls=controls)
    assert found == kinds.UNCONTROLLED and row["n_controls"] == 0
    assert "fewer than 10 controls of this damage" in row["reason"]


@pytest.mark.parametrize("noise", [0.01, 1.2], ids=["less damage", "more damage"])
def test_a_ladder_that_does_not_reach_controls_nothing(noise):
    kept = 1.0 if noise < 0.05 else 0.9
    found, row = verdict(replace(COMPRESSED, kept=kept, noise=noise, shift=0.3))
    assert found == kinds.UNCONTROLLED and math.isnan(row["control_p"])


def test_few_items_resolve_nothing():
    found, row = verdict(replace(COMPRESSED, noise=1.0), n=40, controls=())
    assert found == kinds.UNRESOLVED
    assert row["mde"] > MARGIN and row["items_needed"] > 40 and "items would do" in row["reason"]


def test_a_residual_inside_and_a_change_that_is_not_detected():
    """Few items, hardly any noise: the residual is known well, the change, which has the items' spread, is not."""
    found, row = verdict(replace(COMPRESSED, kept=0.78, noise=0.03), n=40, controls=())
    assert row["change_inside_p"] > 0.05 and row["change_p_adjusted"] > 0.05
    assert found == kinds.NO_CHANGE


def test_a_metric_without_a_null_is_unchanged_or_not_resolved():
    module = vars(MODULES[GAP]).copy()
    del module["signal"]
    without = {**MODULES, GAP: SimpleNamespace(**module)}
    assert verdict(replace(COMPRESSED, kept=1.0, noise=0.02), modules=without)[0] == kinds.UNCHANGED
    found, row = verdict(replace(COMPRESSED, shift=-0.3), modules=without)
    assert found == kinds.UNRESOLVED and row["change_p"] < 1e-6 and "no null" in row["reason"]


# Not measurable, each for one reason and against a shift that would be a change.
SHIFTED = replace(COMPRESSED, shift=0.3)


def lost(metric, cell, items):
    """The task score of a compression goes to that of chance."""
    if metric == "task_score" and cell.method == "pruned":
        return items.assign(prediction=np.random.default_rng(0).permutation(items["prediction"]))
    return items


def constant(metric, cell, items):
    return items.assign(prediction=0.0) if metric == "task_score" and cell.method == "pruned" else items


def unlearned(metric, cell, items):
    """Nobody's predictions go with the labels."""
    if metric == "task_score":
        return items.assign(label=np.random.default_rng(0).permutation(items["label"]))
    return items


def undefined(metric, cell, items):
    return items.assign(gap=np.nan, neutral=np.nan) if metric == GAP and cell.method == "pruned" else items


def one_undefined(metric, cell, items):
    if metric == GAP and cell.method == "pruned":
        return items.assign(gap=items["gap"].where(items.index != 7))
    return items


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lost, "of the task performance is left"),
        (constant, "task score is undefined"),
        (unlearned, "the baseline's own task score"),
        (undefined, "the metric has no value here"),
        (one_undefined, "the metric has no value here"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_measured(alter, words):
    assert verdict(SHIFTED)[0] == kinds.MORE_BIASED
    found, row = verdict(SHIFTED, alter=alter)
    assert found == kinds.NOT_MEASURABLE
    assert words in row["reason"]


def test_no_signal_is_not_measurable():
    found, row = verdict(replace(COMPRESSED, kept=0.0, noise=0.5, shift=0.3))
    assert found == kinds.NOT_MEASURABLE
    only, row = verdict(
        replace(COMPRESSED, kept=0.11, noise=0.5, shift=0.3),
        alter=lambda metric, cell, items: (
            items.assign(prediction=0.5 * items["label"]) if metric == "task_score" else items
        ),
    )
    assert only == kinds.NOT_MEASURABLE and "signal kept" in row["reason"] and row["kept_low"] <= 0.1


def test_own_skill_that_is_lost():
    def summarize(items, settings):
        skill = Statistic("skill", weighted_mean(items["skill"]), "all", len(items))
        return [*MODULES[GAP].summarize(items, settings), skill]

    def skilled(share):
        def alter(metric, cell, items):
            return items.assign(skill=50 + (40 if cell.method != "pruned" else 40 * share)) if metric == GAP else items

        return alter

    module = with_module(summarize=summarize, OWN_SKILL=OwnSkill("skill", "all", 50.0))
    assert verdict(SHIFTED, modules=module, alter=skilled(0.51))[0] == kinds.MORE_BIASED
    found, row = verdict(SHIFTED, modules=module, alter=skilled(0.49))
    assert found == kinds.NOT_MEASURABLE and "presupposes" in row["reason"]


def test_a_metric_that_failed_its_validity_on_this_model():
    failed = {("minilm", "sentiment", GAP): "failed"}
    assert verdict(SHIFTED, validity=failed)[0] == kinds.NOT_MEASURABLE
    assert verdict(SHIFTED, validity={("minilm", "sentiment", GAP): "passed"})[0] == kinds.MORE_BIASED


def test_a_second_contrast_of_other_sign_forbids_a_change():
    """By the neutral contrast the signal is halved and bias rose; by the second all of it is kept and bias fell."""

    def twice(factor):
        def signal(items, settings):
            first = MODULES[GAP].signal(items, settings)
            other = Contrast("other", items["neutral"].to_numpy() * items.get("factor", 1.0), fits_intercept=True)
            return replace(first, contrasts=(*first.contrasts, other))

        def alter(metric, cell, items):
            return items.assign(factor=factor if cell.method == "pruned" else 1.0) if metric == GAP else items

        return {"modules": with_module(signal=signal), "alter": alter}

    cell = replace(COMPRESSED, kept=0.5, shift=0.15)
    same, row = verdict(cell, **twice(1.2))
    assert same == kinds.MORE_BIASED and row["other_residual"] > 0
    other, row = verdict(cell, **twice(2.2))
    assert other == kinds.UNRESOLVED and row["other_residual"] < 0 < row["residual"]
    assert "different sign" in row["reason"]


def test_controls_are_judged_but_lend_no_significance():
    """Controls that do differ are adjusted among their own: adding them leaves a compression's p as it is."""
    alone = study(SHIFTED, replace(COMPRESSED, setting="other"), controls=())
    among = study(SHIFTED, replace(COMPRESSED, setting="other"), controls=SCATTERED)
    assert list(alone["residual_p_adjusted"]) == list(among["residual_p_adjusted"])


GOOD = {
    "validity": "passed", "change": 0.2, "change_p_adjusted": 0.001, "change_inside_p": 0.5,
    "baseline_learned": True, "task_score": 0.7, "task_score_baseline": 0.75, "performance_kept": 0.9,
    "own_skill_kept": math.nan, "has_null": True, "kept": 0.8, "kept_low": 0.7, "null": 0.3, "unbiased": 0.0,
    "value": 0.42, "residual": 0.12, "margin": 0.1, "residual_p_adjusted": 0.01, "residual_inside_p": 0.7,
    "other_residual": 0.1, "control_p": 0.01, "control_p_adjusted": 0.02, "control_low": -0.05, "control_high": 0.05,
    "mde": 0.05, "items_needed": 100.0, "null_from": "neutral contrast",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, kinds.MORE_BIASED),
        ({"residual": 0.1}, kinds.MORE_BIASED),
        ({"residual": 0.0999}, kinds.UNRESOLVED),
        ({"residual": -0.12, "value": 0.18, "other_residual": -0.1}, kinds.LESS_BIASED),
        ({"residual_p_adjusted": 0.05}, kinds.MORE_BIASED),
        ({"residual_p_adjusted": 0.0501}, kinds.UNRESOLVED),
        ({"control_p_adjusted": 0.05}, kinds.MORE_BIASED),
        ({"control_p_adjusted": 0.0501}, kinds.AS_DAMAGE),
        ({"control_p": math.nan, "control_p_adjusted": math.nan}, kinds.UNCONTROLLED),
        ({"null_from": "undirected damage", "residual_p_adjusted": 0.9}, kinds.MORE_BIASED),
        ({"null_from": "undirected damage", "control_p_adjusted": 0.0501}, kinds.UNRESOLVED),
        ({"null_from": "undirected damage", "residual": 0.02, "residual_inside_p": 0.05}, kinds.ONLY_RANDOM),
        ({"null_from": "undirected damage", "residual": 0.02, "change_inside_p": 0.05}, kinds.UNCHANGED),
        ({"null_from": "own signal", "control_p": math.nan, "control_p_adjusted": math.nan}, kinds.UNCONTROLLED),
        ({"null_from": "own signal", "residual": 0.02, "residual_inside_p": 0.05}, kinds.UNRESOLVED),
        ({"null_from": "own signal", "residual": 0.02, "change_inside_p": 0.05}, kinds.UNCHANGED),
        ({"other_residual": -0.001}, kinds.UNRESOLVED),
        ({"other_residual": math.nan}, kinds.MORE_BIASED),
        ({"performance_kept": 0.1}, kinds.MORE_BIASED),
        ({"performance_kept": 0.0999}, kinds.NOT_MEASURABLE),
        ({"task_score": math.nan}, kinds.NOT_MEASURABLE),
        ({"task_score": math.nan, "task_score_baseline": math.nan, "performance_kept": math.nan}, kinds.MORE_BIASED),
        ({"own_skill_kept": 0.5}, kinds.MORE_BIASED),
        ({"own_skill_kept": 0.4999}, kinds.NOT_MEASURABLE),
        ({"kept_low": 0.1}, kinds.NOT_MEASURABLE),
        ({"kept_low": 0.1001}, kinds.MORE_BIASED),
        ({"kept_low": math.nan}, kinds.NOT_MEASURABLE),
        ({"validity": "failed"}, kinds.NOT_MEASURABLE),
        ({"validity": "untested"}, kinds.MORE_BIASED),
        ({"baseline_learned": False}, kinds.NOT_MEASURABLE),
        ({"baseline_learned": None}, kinds.MORE_BIASED),
        ({"residual": 0.02, "residual_inside_p": 0.05}, kinds.ONLY_RANDOM),
        ({"residual": 0.02, "residual_inside_p": 0.0501}, kinds.UNRESOLVED),
        ({"residual": 0.02, "residual_inside_p": 0.05, "change_p_adjusted": 0.0501}, kinds.NO_CHANGE),
        ({"residual": 0.02, "residual_inside_p": 0.05, "change_inside_p": 0.05}, kinds.UNCHANGED),
        ({"residual": 0.02, "residual_inside_p": 0.0501, "change_inside_p": 0.05}, kinds.UNRESOLVED),
    ],
)
def test_boundaries(changes, expected):
    assert judge({**GOOD, **changes}).verdict == expected


@pytest.mark.parametrize(
    ("change", "said"), [(-7.1e-15, "change 0 "), (0.0, "change 0 "), (-0.0123, "change −0.0123 ")]
)
def test_what_rounding_leaves_of_a_change_is_nothing(change, said):
    cell = GOOD | {"residual": 0.02, "residual_inside_p": 0.05, "change_inside_p": 0.05, "change": change}
    assert judge(cell).reason.startswith(said)


def test_p_values_are_adjusted_over_all_compressions_and_metrics():
    """Of twenty cells one has p = 0.01: among so many it is nothing."""
    table = study(SHIFTED)
    many = table.loc[[0] * 20].assign(residual_p=[0.01, *np.linspace(0.2, 0.9, 19)])
    assert judged(table)["verdict"].iloc[0] == kinds.MORE_BIASED
    assert judged(many)["residual_p_adjusted"].iloc[0] == pytest.approx(0.2)
    assert judged(many)["verdict"].iloc[0] == kinds.UNRESOLVED
