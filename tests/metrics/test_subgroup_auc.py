"""Subgroup AUC: areas against counting pairs, a table worked by hand, scores against one text at a time."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import SENTENCES, tiny_bert

import fairshrink
from fairshrink.analysis.joint import join, measure
from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.subgroup_auc import metric as subgroup_auc
from fairshrink.metrics.subgroup_auc.areas import area
from fairshrink.models import checkpoint as checkpoints

SETTINGS = subgroup_auc.Settings(identities=("men", "women"), least=1)


def pairs(values, positive, negative, weights):
    """The share of pairs in which the positive item has the larger value, one pair after the other."""
    won = total = 0.0
    for i, j in itertools.product(np.flatnonzero(positive), np.flatnonzero(negative)):
        total += weights[i] * weights[j]
        won += weights[i] * weights[j] * (1.0 if values[i] > values[j] else 0.5 if values[i] == values[j] else 0.0)
    return won / total if total else np.nan


@pytest.mark.parametrize("seed", range(4))
def test_areas_equal_counting_pairs(seed):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 12, size=(3, 40)).astype(float)
    weights = generator.integers(0, 3, size=(3, 40)).astype(float)
    kind = generator.integers(0, 3, size=40)
    positive, negative = kind == 0, kind == 1
    each = [pairs(v, positive, negative, w) for v, w in zip(values, weights, strict=True)]
    np.testing.assert_allclose(area(values, weights, positive, negative), each)
    shared = [pairs(values[0], positive, negative, w) for w in weights]
    np.testing.assert_allclose(area(values[:1], weights, positive, negative), shared)


def test_areas_without_one_side_or_with_nan_are_unknown():
    values, ones = np.array([[1.0, 2.0, np.nan]]), np.ones((1, 3))
    first, second, third = np.eye(3, dtype=bool)
    assert area(values, ones, second, first)[0] == 1 and area(values, ones, first, second)[0] == 0
    assert np.isnan(area(values, ones, first, third)[0])
    assert np.isnan(area(values, ones * [0, 1, 1], first, second)[0])


def table(generator, n=120):
    rows = pd.DataFrame(
        {
            "item": [f"i{at:03d}" for at in range(n)],
            "positive": generator.random(n) < 0.4,
            "mentions_men": generator.random(n) < 0.3,
            "mentions_women": generator.random(n) < 0.3,
            "logit": np.round(generator.normal(size=n), 1),
        }
    )
    both = [m + w for m, w in zip(rows["mentions_men"].map({True: "m", False: ""}),
                                   rows["mentions_women"].map({True: "w", False: ""}), strict=True)]  # fmt: skip
    return rows.assign(cluster=rows["item"], group=[each or "background" for each in both])


def values_of(rows):
    return {(s.name, s.group): s.value(len(rows)) for s in subgroup_auc.summarize(rows, SETTINGS)}


def test_statistics_equal_counting_pairs():
    rows = table(np.random.default_rng(2))
    found, logit = values_of(rows), rows["logit"].to_numpy()
    positive, ones = rows["positive"].to_numpy(), np.ones(len(rows))
    areas = {"subgroup_auc": [], "bpsn_auc": [], "bnsp_auc": []}
    for name in ("men", "women"):
        member = rows[f"mentions_{name}"].to_numpy()
        sides = {
            "subgroup_auc": (member & positive, member & ~positive),
            "bpsn_auc": (~member & positive, member & ~positive),
            "bnsp_auc": (member & positive, ~member & ~positive),
        }
        for kind, (above, below) in sides.items():
            areas[kind].append(pairs(logit, above, below, ones))
            assert found[kind, name] == pytest.approx(areas[kind][-1])
        assert found["shift", name] == pytest.approx(areas["bnsp_auc"][-1] - areas["bpsn_auc"][-1])
    overall = pairs(logit, positive, ~positive, ones)
    means = {kind: np.mean(np.array(each) ** -5.0) ** (-1 / 5) for kind, each in areas.items()}
    for kind, mean in means.items():
        assert found[f"generalized_{kind}", "all"] == pytest.approx(mean)
    assert found["auc", "all"] == pytest.approx(overall)
    assert found["final_score", "all"] == pytest.approx(0.25 * (overall + sum(means.values())))
    shifts = np.subtract(areas["bnsp_auc"], areas["bpsn_auc"])
    assert found["mean_shift", "all"] == pytest.approx(shifts.mean())
    counts = rows["logit"].value_counts()
    assert found["tied", "all"] == counts[counts > 1].sum()


def test_a_table_worked_by_hand():
    """Texts about men score one higher than others of their label: harmless ones tie with harmful ones of others."""
    rows = pd.DataFrame(
        {
            "item": list("abcd"), "cluster": list("abcd"), "group": ["men", "men", "background", "background"],
            "positive": [True, False, True, False], "mentions_men": [True, True, False, False],
            "mentions_women": [False] * 4, "logit": [2.0, 1.0, 1.0, 0.0],
        }
    )  # fmt: skip
    found = values_of(rows)
    assert (found["subgroup_auc", "men"], found["bpsn_auc", "men"], found["bnsp_auc", "men"]) == (1, 0.5, 1)
    assert found["shift", "men"] == found["mean_shift", "all"] == 0.5
    assert found["auc", "all"] == (1 + 1 + 0.5 + 1) / 4
    assert found["left_out", "all"] == 1 and ("shift", "women") not in found


def test_intervals_of_few_items_stay_where_areas_can_be():
    rows = table(np.random.default_rng(3), 60)
    rows["logit"] += 2.0 * rows["positive"]
    found = fairshrink.summarize(rows, "subgroup_auc", settings={"least": 1}).query(
        "statistic.str.contains('auc|shift|final')"
    )
    areas = found[~found["statistic"].str.contains("shift")]
    assert len(areas) > 8 and areas["ci_low"].notna().sum() > 5
    assert (areas["ci_low"].dropna() >= 0).all() and (found["ci_low"].dropna() >= -1).all()
    assert (found["ci_high"].dropna() <= 1).all()
    plain = [each for each in subgroup_auc.summarize(rows, SETTINGS) if each.within]
    reach = [measure(join([rows], ["cluster"]), [each.resampled], smooth=False)[0].checkpoints for each in plain]
    assert any(each.interval(0.95)[1] > 1 for each in reach), "value ± t × error leaves what areas can be"


def test_an_identity_of_few_texts_is_left_out_and_the_headline_keeps_its_interval():
    rows = table(np.random.default_rng(5))
    alone = values_of(rows.drop(columns="mentions_women"))["mean_shift", "all"]
    few = rows["positive"].to_numpy() & (np.cumsum(rows["positive"]) == 3)
    rows["mentions_women"] = few | (~rows["positive"].to_numpy() & rows["mentions_women"].to_numpy())
    for least, left_out in ((1, 0), (2, 1), (5, 1)):
        found = fairshrink.summarize(rows, "subgroup_auc", settings={"least": least}).set_index(["statistic", "group"])
        assert found.loc[("left_out", "all"), "value"] == left_out
        assert (("shift", "women") in found.index) == (not left_out)
        headline = found.loc[("mean_shift", "all")]
        assert np.isnan(headline["ci_low"]) == (not left_out), "without its one positive text there is no area"
        assert (headline["value"] == pytest.approx(alone)) == bool(left_out)


def test_a_constant_classifier_has_the_random_values():
    rows = table(np.random.default_rng(3)).assign(logit=0.3)
    for each in subgroup_auc.summarize(rows, SETTINGS):
        if each.higher_is != "count":
            assert each.value(len(rows)) == pytest.approx(each.random)


@pytest.fixture(scope="module")
def cp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return checkpoints.load(tiny_bert("classification", folder, labels=("harmless", "Toxic", "unclear")))


def comments(folder, suffix="csv", **other):
    frame = pd.DataFrame(
        {
            "comment_text": SENTENCES, "toxicity": [0.5, 0.2, 1, 0, 0.7, 0.1, 0.9, 0, 0.6, 0.4],
            "men": [1, 0, 1, np.nan, 0, 0, 0.6, 0.4, 0, np.nan], "women": [0, 1, 0.8, np.nan, 1, 0, 0, 0, 0, 0],
            "article": list("aabbccddee"),
        }
    ).assign(**other)  # fmt: skip
    path = folder / f"comments.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    return {"items": [path]}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_scores_equal_one_text_at_a_time(cp, tmp_path, suffix):
    settings = SETTINGS.model_copy(update={"cluster": "article"})
    rows = subgroup_auc.score(Scoring(cp, comments(tmp_path, suffix)), settings)
    assert list(rows["group"]) == ["men", "women", "men+women", *["background"] * 1, "women", "background", "men",
                                   "background", "background", "background"]  # fmt: skip
    assert list(rows["positive"]) == [True, False, True, False, True, False, True, False, True, False]
    assert list(rows["cluster"]) == list("aabbccddee")
    for row, text in zip(rows.itertuples(), SENTENCES, strict=True):
        with torch.no_grad():
            logits = cp.model(**cp.tokenizer(text, return_tensors="pt")).logits[0].double()
        p = float(logits.softmax(-1)[1])
        assert row.logit == pytest.approx(np.log(p / (1 - p)), abs=1e-4)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"comment_text": "a", "toxicity": 1, "toxicity": 0}', "line 2: the key 'toxicity' is there twice"),
        ('{"comment_text": "a"', "line 2: no JSON"),
        ("[1]", "line 2: no object"),
    ],
)
def test_a_line_that_says_two_things_or_nothing_is_named(cp, tmp_path, line, said):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"comment_text": "b", "toxicity": 0, "men": 1, "women": 0}) + "\n" + line)
    with pytest.raises(UserError, match=f"a.jsonl, {said}"):
        subgroup_auc.score(Scoring(cp, {"items": [path]}), SETTINGS)


def test_a_sample_keeps_the_shares(cp, tmp_path):
    settings = SETTINGS.model_copy(update={"sample": 6})
    rows = subgroup_auc.score(Scoring(cp, comments(tmp_path)), settings)
    assert len(rows) == 6 and set(rows["positive"]) == {True, False}


@pytest.mark.parametrize(
    ("other", "changed", "said"),
    [
        ({}, {"label": "toxic"}, "has no column toxic, but comment_text"),
        ({"toxicity": [None] + [1] * 9}, {}, "comments.csv, line 2: no number in the column 'toxicity'"),
        ({"article": [1, None] * 5}, {"cluster": "article"}, "comments.csv, line 3: nothing in the column 'article'"),
        ({"men": ["some"] * 10}, {}, "comments.csv, line 2: 'some' in the column 'men' is no number"),
        ({"comment_text": ["kind", ""] * 5}, {}, "comments.csv, line 3: no text"),
        ({}, {"positive": "hateful"}, "exactly one has to be 'hateful'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(cp, tmp_path, other, changed, said):
    with pytest.raises(UserError, match=said):
        subgroup_auc.score(Scoring(cp, comments(tmp_path, **other)), SETTINGS.model_copy(update=changed))


def test_tables_are_read_as_they_are_written(cp, tmp_path):
    """A text may say NA; a comma too many moves no column."""
    header = "comment_text,toxicity,men,women,article"
    path = tmp_path / "comments.csv"
    path.write_text(f"{header}\nNA,1,1,,a\nnull,0,,1,007\n", encoding="utf-8")
    settings = SETTINGS.model_copy(update={"cluster": "article"})
    rows = subgroup_auc.score(Scoring(cp, {"items": [path]}), settings)
    assert list(rows["cluster"]) == ["a", "007"] and list(rows["group"]) == ["men", "women"]
    for row, text in zip(rows.itertuples(), ("NA", "null"), strict=True):
        with torch.no_grad():
            p = float(cp.model(**cp.tokenizer(text, return_tensors="pt")).logits[0].double().softmax(-1)[1])
        assert row.logit == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    path.write_text(f"{header}\nkind,1,1,0,a,\nrude,0,0,1,b,\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"comments\.csv, lines 2, 3: more or fewer fields than the 5 of line 1"):
        subgroup_auc.score(Scoring(cp, {"items": [path]}), settings)
    path.write_text(f"{header},men\nkind,1,1,0,a,0\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1: more than one column men"):
        subgroup_auc.score(Scoring(cp, {"items": [path]}), settings)
