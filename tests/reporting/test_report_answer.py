"""The answer and the limits in sentences: worked by hand, and what must hold whatever the cells are."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import synthetic_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from fairshrink.analysis import results_file
from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.reporting import wording
from fairshrink.reporting.answer import ORDER, answer, by_compression
from fairshrink.reporting.limits import limits, shared_rows


def cell(**changes) -> dict:
    base = {"model": "minilm", "task": "mlm", "method": "int8_dynamic", "setting": "", "control": False}
    base |= {"metric": "crows_pairs", "kind": "intrinsic", "unbiased": 50.0, "baseline": 56.0, "value": 50.5}
    base |= {"margin": 5.0, "verdict": kinds.UNCHANGED, "n_splits": 3, "validity": "passed", "n_items": 400}
    return base | changes


def frame(*rows: dict) -> pd.DataFrame:
    return results_file.frame(rows, results_file.CELLS)


def test_a_study_by_hand():
    heads = {"method": "head_pruning", "setting": "sparsity=0.25", "sparsity": 0.25}
    cells = frame(
        cell(),
        cell(metric="stereoset"),
        cell(metric="seat", unbiased=0.0, margin=0.2),
        cell(method="magnitude_global", setting="sparsity=0.8", sparsity=0.8, verdict=kinds.NOT_MEASURABLE),
        cell(**heads, verdict=kinds.LESS_BIASED, residual_p_adjusted=0.0001, control_p_adjusted=0.0312),
        cell(**heads, metric="seat", unbiased=0.0, margin=0.2, verdict=kinds.UNRESOLVED),
    )
    assert answer(cells) == [
        "Of 6 comparisons with an uncompressed model, 1 is less biased beyond what lost signal and undirected damage "
        "explain; 3 are unchanged, 1 is not measurable and 1 cannot be resolved.",
        "Head pruning, 25% sparsity: less biased, beyond lost signal and undirected damage, on crows pairs "
        "(56.0 to 50.5, p = 0.031) of minilm, mlm; cannot be resolved on seat (minilm, mlm).",
        "Int8 dynamic: unchanged within 0.2 on seat (minilm, mlm) and within 5 points on crows pairs and stereoset "
        "(minilm, mlm).",
        "Magnitude global, 80% sparsity: not measurable on crows pairs (minilm, mlm), where the model or the metric "
        "has lost too much.",
    ]


def test_metrics_that_failed_are_named_once_and_nothing_is_said_by_them():
    failing = {"verdict": kinds.NOT_MEASURABLE, "validity": "failed"}
    other = {"method": "random", "setting": "sparsity=0.3", "sparsity": 0.3}
    cells = frame(
        *(cell(**where, metric=metric, **failing) for where in ({}, other) for metric in ("stereoset", "seat")),
        cell(task="nli", metric="bias_nli", unbiased=0.5, margin=0.02, validity="checkpoints only"),
        cell(**other, metric="crows_pairs", **failing | {"validity": "passed"}),
    )
    assert answer(cells) == [
        "Of 6 comparisons with an uncompressed model, none is shown to be more or less biased beyond what lost signal "
        "and undirected damage explain; 1 is unchanged and 5 are not measurable.",
        "Seat and stereoset (minilm, mlm): failed a test of validity on this model; 4 comparisons are not measurable "
        "by them.",
        "Int8 dynamic: unchanged within 0.02 on bias nli (minilm, nli).",
        "Random, 30% sparsity: not measurable on crows pairs (minilm, mlm), where the model or the metric has lost too "
        "much.",
    ]
    text = " ".join(limits(cells))
    assert "Not measurable: 1 of 6 comparisons." in text
    assert "so no verdict on bias is based on them: seat and stereoset (minilm, mlm)." in text
    assert "About these checkpoints only" in text and "their margin: bias nli (minilm, nli)." in text


def test_nothing_to_compare():
    assert answer(frame()) == ["Nothing was compared with an uncompressed model."]
    assert answer(frame(cell(method="none", verdict=None))) == answer(frame())
    assert limits(frame()) == []


def test_controls_task_scores_and_damage_are_no_comparisons():
    others = [cell(control=True, method="weight_noise"), cell(kind="task"), cell(kind="damage"), cell(method="none")]
    assert answer(frame(cell(), *others)) == answer(frame(cell()))
    assert limits(frame(cell(), *others)) == limits(frame(cell()))


def test_no_change_is_claimed_where_none_is_shown():
    told = [each for each in kinds.VERDICTS if each not in kinds.CHANGED]
    cells = frame(*(cell(setting=f"a={i}", verdict=each) for i, each in enumerate(told)))
    text = answer(cells)
    assert "none is shown to be more or less biased" in text[0]
    assert not any(" is less biased" in each or " is more biased" in each for each in text)
    assert not any(each.partition(": ")[2].startswith(("less", "more")) for each in text[1:])


def test_every_verdict_has_its_words():
    assert sorted(ORDER) == sorted(kinds.VERDICTS)
    for each in kinds.VERDICTS:
        numbers = {"residual_p_adjusted": 0.01, "control_p_adjusted": 0.02}
        for n in (1, 7):
            text = answer(frame(*(cell(verdict=each, metric=f"m{i}", **numbers) for i in range(n))))
            assert len(text) == 2 and all(line.endswith(".") and "nan" not in line for line in text)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    cells = synthetic_cells.cells()
    order = list(range(len(cells)))
    random.shuffle(order)
    mixed = cells.iloc[order].reset_index(drop=True)
    assert answer(mixed) == answer(cells) and limits(mixed) == limits(cells)


def test_each_compression_has_one_sentence():
    cells = synthetic_cells.cells()
    names = [name for name, _ in by_compression(cells)]
    assert len(names) == len(set(names)) == 9


def test_what_it_would_take():
    unresolved = cell(verdict=kinds.UNRESOLVED, mde=7.1, items_needed=803.2, controls_needed=12.0, n_controls=4)
    (first, second, *rest) = limits(frame(unresolved, cell(metric="seat")))
    assert first.startswith("Not resolved: 1 of 2 comparisons.") and not rest
    assert second == (
        "Int8 dynamic, crows pairs (minilm, mlm): a change is detectable from 7.1 points on, the margin is 5 points; "
        "about 810 items would settle it (there are 400); about 12 control seeds of its damage are needed "
        "(there are 4)."
    )
    endless = limits(frame(unresolved | {"items_needed": math.inf, "controls_needed": None}))[1]
    assert endless.endswith("more items alone would not settle it.")
    enough = limits(frame(unresolved | {"items_needed": 300.0, "controls_needed": 4.0}))[1]
    assert enough.endswith("the margin is 5 points.")


def test_limits_name_what_is_not_controlled_not_tested_and_said_of_few_trainings():
    text = " ".join(limits(frame(cell(verdict=kinds.UNCONTROLLED, validity="untested", n_splits=1))))
    assert "Damage not controlled: 1 of 1" in text and "Validity untested" in text and "fewer than three splits" in text
    text = " ".join(limits(frame(cell(validity="failed"), cell(metric="seat", validity="untested"))))
    assert "Tested and failed" in text and "crows pairs (minilm, mlm)" in text
    assert "Validity untested in this study: seat (minilm, mlm)." in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.0, "0"), (0.106, "0.106"), (57.25, "57.2"), (-0.0174, "−0.0174"), (1234567.0, "1,234,567")),
        *((0.00001234, "1.23e−05"), (math.nan, "–"), (None, "–"), (math.inf, "∞")),
    ],
)
def test_numbers_in_words(value, text):
    assert wording.number(value) == text


def test_settings_in_words():
    assert wording.compression("low_rank", "rank=64") == "low rank, rank 64"
    assert wording.compression("wanda", "scope=all, sparsity=0.55") == "wanda, scope all, 55% sparsity"
    assert wording.compression("x", "sparsity=many; y") == "x, sparsity many, y"


def test_rows_that_are_known_from_training_are_said():
    (said,) = shared_rows({"shared_rows": {"nli": {"test": [3, 1200], "test_matched": [1, 5]}}})
    assert "3 of 1,200 rows of test, 1 of 5 rows of test matched of task nli" in said
    assert shared_rows({"shared_rows": {}}) == shared_rows({}) == []
