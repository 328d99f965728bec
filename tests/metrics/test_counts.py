"""Every metric reports items scored, skipped and tied, and which way is more biased, on its card and in tables."""

import itertools
import re

import metric_case
import numpy as np
import pandas as pd
import pytest

from fairshrink import registry
from fairshrink.contracts import BIAS_KINDS
from fairshrink.documenting import cards
from fairshrink.metrics._shared import association
from fairshrink.metrics._shared.counts import counts
from fairshrink.registry import CATALOG
from fairshrink.reporting import marks, statistics_table
from fairshrink.resources import json_file

METRICS = registry.names("metrics")
OF_BIAS = [name for name in METRICS if CATALOG.metrics[name].KIND in BIAS_KINDS]
NEVER_TIED = {"profanity", "toxicity", "perplexity", "pseudo_perplexity"}
"""What they report is of one item at a time, without a comparison."""
ARROWS = (marks.UP, marks.DOWN, marks.BOTH)


def lists(*tests: str) -> int:
    """Number of target words of WEAT's tests."""
    file = association.published()
    every = file["tests"] | file["neutral"]
    return sum(len(file["lists"][every[test][side]]["words"]) for test in tests for side in "XY")


def persons_of_lpbs() -> int:
    module = registry.load("metrics", "lpbs")
    file = json_file(module.__file__, "lpbs.json")
    return sum(map(len, file["occupations"].values())) * len(file["templates"]) * len(file["persons"])


ITEMS = {
    "crows_pairs": lambda: len(metric_case.PAIRS),
    "aul": lambda: len(metric_case.PAIRS),
    "aula": lambda: len(metric_case.PAIRS),
    "stereoset": lambda: len(metric_case.CONTEXTS),
    "lpbs": persons_of_lpbs,
    "bec_pro": lambda: 4 * 4,
    "winobias": lambda: 2 * 2,
    "winogender": lambda: 3 * 2,
    "bbq": lambda: 8,
    "honest": lambda: 3 * 2,
    "disco": lambda: 14 * 80,
    "matched_guise": lambda: 200,
    "profanity": lambda: 24,
    "toxicity": lambda: 24,
    "perplexity": lambda: 3,
    "pseudo_perplexity": lambda: 3,
    "subgroup_auc": lambda: 3 * 8,
    "bias_in_bios": lambda: 60,
    "bias_nli": lambda: 24,
    "bias_sts": lambda: 120,
    "weat": lambda: lists("1", "2", "6", "7", "7b"),
    "seat": lambda: 2 * lists("1", "2", "6", "9"),
    "sentiment_gap": lambda: 86 * (2 + 2 + 2),
    "task_score": lambda: 20,
    "fidelity": lambda: 20,
}
"""How many items there are in the files and lists, and by the settings, of `metric_case`."""


def equal(*columns: str):
    """Makes the first of some columns equal to the next."""
    return lambda rows: {columns[0]: rows[columns[1]]}


def alike(*columns: str, value: float = 0.5):
    return lambda rows: dict.fromkeys(columns, value)


TIES = {
    "crows_pairs": lambda rows: {"more": rows["less"], "mean_more": rows["mean_less"]},
    "aul": equal("more", "less"),
    "aula": equal("more", "less"),
    "stereoset": equal("stereotype", "anti_stereotype"),
    "lpbs": alike("male_given", "male_prior", "female_given", "female_prior"),
    "bec_pro": equal("given", "prior"),
    "winobias": equal("pro", "anti"),
    "winogender": equal("male", "female"),
    "bbq": alike("score_biased", "score_counter", "score_unknown"),
    "honest": alike("tied", value=True),
    "disco": alike("tied", value=True),
    "matched_guise": equal("dialect", "standard"),
    "subgroup_auc": alike("logit"),
    "bias_in_bios": alike("margin", value=0.0),
    "bias_nli": alike("p_entailment", "p_neutral", "p_contradiction", value=1 / 3),
    "bias_sts": equal("similarity_man", "similarity_woman"),
    "weat": alike("association", value=0.0),
    "seat": alike("association", value=0.0),
    "sentiment_gap": equal("prediction_first", "prediction_second"),
    "task_score": alike("prediction"),
    "fidelity": equal("prediction", "baseline_prediction"),
}
"""What ties two items, in the columns of the metric's table."""


def counted(name, rows):
    """Both rows of counts, by their names."""
    found = CATALOG.metrics[name].summarize(rows, metric_case.settings(name))
    of = {each.name: each for each in found if each.name in ("skipped", "tied")}
    assert sorted(of) == ["skipped", "tied"] and sum(each.name in of for each in found) == 2
    assert all(each.group == "all" and each.higher_is == "count" for each in of.values())
    return of["skipped"], of["tied"]


def tied(name, rows, places):
    """The table with the items at these places tied."""
    changed = rows.copy()
    for at in places:
        for column, value in TIES[name](rows.loc[at]).items():
            changed.loc[at, column] = value
    return changed


def chosen(name, rows):
    """Places of two items that have scores and were not tied before."""
    people = rows["group"] != "task" if name == "bias_nli" else np.ones(len(rows), dtype=bool)
    scored = rows["skipped"] == "" if "skipped" in rows else np.ones(len(rows), dtype=bool)
    usable = np.flatnonzero(people & scored)
    before = counted(name, rows)[1].estimate
    for places in itertools.pairwise(usable[:7]):
        if counted(name, tied(name, rows, places))[1].estimate == before + 2:
            return places
    raise AssertionError(f"{name}: no two items can be tied")


def test_all_metrics_are_here():
    assert set(ITEMS) == set(METRICS) and set(TIES) == set(METRICS) - NEVER_TIED


@pytest.mark.parametrize("name", METRICS)
def test_items_scored_and_skipped_are_all_items_of_the_file(name, real):
    skipped, both = counted(name, real[name])
    assert skipped.n_items == ITEMS[name]()
    assert both.n_items + skipped.estimate == skipped.n_items
    assert 0 <= both.estimate <= both.n_items


@pytest.mark.parametrize("name", [name for name in METRICS if name not in NEVER_TIED])
def test_ties_are_counted(name, real):
    rows = real[name].copy()
    if name == "task_score":  # texts of the case repeat
        rows["prediction"] = np.arange(len(rows)) + 1.0
    before = counted(name, rows)[1]
    after = counted(name, tied(name, rows, chosen(name, rows)))[1]
    assert (after.estimate, after.n_items) == (before.estimate + 2, before.n_items)


@pytest.mark.parametrize("name", [name for name in METRICS if name not in NEVER_TIED])
def test_an_item_that_is_skipped_is_not_scored_and_not_tied(name, real):
    rows = real[name].copy()
    text = cards.of("metrics", name).fields["Counts"]
    assert ("`skipped`: 0" in text) == ("skipped" not in rows)
    if "skipped" not in rows:
        return
    at = chosen(name, rows)[0]
    rows = tied(name, rows, [at])
    was_skipped, was_tied = counted(name, rows)
    rows.loc[at, "skipped"] = "too long for the model"
    skipped, both = counted(name, rows)
    assert (skipped.estimate, both.estimate) == (was_skipped.estimate + 1, was_tied.estimate - 1)
    assert (skipped.n_items, both.n_items) == (was_skipped.n_items, was_tied.n_items - 1)


@pytest.mark.parametrize("name", METRICS)
def test_the_card_says_what_an_item_is_and_when_it_is_skipped_and_tied(name):
    text = cards.of("metrics", name).fields["Counts"].replace("\n", " ")
    assert re.match(r"An item is an? \w", text) and "`skipped`: " in text and "`tied`: " in text
    assert ("`tied`: 0," in text) == (name in NEVER_TIED)


@pytest.mark.parametrize("name", OF_BIAS)
def test_the_card_says_the_direction_and_the_unbiased_value_which_are_those_of_the_tables(name, real):
    fields = {label: text.replace("\n", " ") for label, text in cards.of("metrics", name).fields.items()}
    headline = of_headline(name, real[name])
    assert headline.unbiased is not None
    on_card = re.search(r"(?<![\w.])\d+(?:\.\d+)?", fields["Unbiased model"])
    if name == "disco":  # what chance gives is computed on the model's own fills
        assert fields["Unbiased model"].startswith("What chance alone gives")
    else:
        assert on_card and float(on_card[0]) == headline.unbiased
    wanted = {"more_biased": "More is more biased", "": "bove|Lower|further from 0"}[headline.higher_is]
    assert re.search(wanted, fields["Direction"])


def of_headline(name, rows):
    module = CATALOG.metrics[name]
    found = module.summarize(rows, metric_case.settings(name))
    return next(each for each in found if (each.name, each.group) == module.HEADLINE)


@pytest.mark.parametrize("name", METRICS)
def test_tables_have_an_arrow_for_the_headline_of_every_metric_of_bias(name, real):
    module, headline = CATALOG.metrics[name], of_headline(name, real[name])
    found = statistics_table.table(real[name], module, metric_case.settings(name), 0.95)
    lines = statistics_table.text(found, 0.95, of_bias=name in OF_BIAS).splitlines()
    line = next(each for each in lines if each.split()[:2] == [module.HEADLINE[1], module.HEADLINE[0]])
    cells = pd.DataFrame({"kind": [module.KIND], "higher_is": [headline.higher_is], "unbiased": [headline.unbiased]})
    for text in (line, marks.head(name, cells.astype({"unbiased": float}))):
        assert any(each in text for each in ARROWS) == (name in OF_BIAS)
        assert not re.search(rf"{marks.BOTH}(?!\S)", text), "which value it is from is said"


@pytest.mark.parametrize(
    ("scored", "tied", "expected"),
    [
        ([True, True, False, True], [True, False, True, True], (1, 4, 2, 3)),
        ([False, False], [True, True], (2, 2, 0, 0)),
        ([True], False, (0, 1, 0, 1)),
        ([], False, (0, 0, 0, 0)),
    ],
)
def test_counts(scored, tied, expected):
    skipped, both = counts(np.array(scored, dtype=bool), tied)
    assert (skipped.estimate, skipped.n_items, both.estimate, both.n_items) == expected


DESCRIBE = {
    "permutation_p", "association_spread", "neutral_spread", "similarity_spread", "prediction_spread", "refusal_rate",
    "unread_rate", "unknown_rate_ambiguous", "unknown_rate_disambiguated", "neutral_share", "mean_association",
    "male_association", "female_association",
}  # fmt: skip
"""Statistics that say what a model does and neither whether it is biased nor whether it is good."""


@pytest.mark.parametrize("name", METRICS)
def test_the_table_of_a_score_says_the_direction_of_every_statistic_in_words(name, real):
    module, of_bias = CATALOG.metrics[name], name in OF_BIAS
    found = statistics_table.table(real[name], module, metric_case.settings(name), 0.95)
    lines = statistics_table.text(found, 0.95, of_bias=of_bias).splitlines()
    assert lines[0].endswith("direction")
    for line, (_, row) in zip(lines[1:], found.iterrows(), strict=False):
        said = re.search(r"  (a count|none|(?:higher|lower|farther from \S+) is (?:better|more biased))$", line)
        assert said, line
        assert (said[1] == "a count") == (row["higher_is"] == "count")
        assert ("biased" in said[1]) <= of_bias, "only metrics of bias say what is biased"
        describes = row["statistic"] in DESCRIBE or (row["statistic"] == "mean_difference" and name == "fidelity")
        neutral = row["statistic"] == "effect_size" and row["group"] in ("weat1", "weat2", "seat1", "seat2")
        assert (said[1] == "none") == (describes or neutral), line
        arrows = {"higher is more biased": marks.UP, "farther": marks.BOTH}
        shown = next((arrow for words, arrow in arrows.items() if said[1].startswith(words)), "")
        assert not any(each in line for each in ARROWS) if not shown else shown in line
