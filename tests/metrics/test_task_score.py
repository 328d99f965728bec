from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import tiny
from task_case import task_of

from fairshrink.contracts import Scoring
from fairshrink.data import examples
from fairshrink.errors import UserError
from fairshrink.metrics.task_score import metric as task_score
from fairshrink.models import checkpoint as checkpoints

SETTINGS = task_score.Settings()


def values(items):
    statistics = task_score.summarize(items, SETTINGS)
    assert len({(each.name, each.group) for each in statistics}) == len(statistics)
    return {(each.name, each.group): each.value(len(items)) for each in statistics}


def numbers(kind="regression", n=60, shift=0.0):
    generator = np.random.default_rng(1)
    label = np.round(generator.normal(size=n) * 2, 1) + shift
    return pd.DataFrame(
        {
            "item": [f"test/{i}" for i in range(n)],
            "cluster": [f"test/{i}" for i in range(n)],
            "group": "test",
            "kind": kind,
            "prediction": label + generator.normal(size=n),
            "label": label,
        }
    )


def classes(n=80, n_labels=4):
    generator = np.random.default_rng(2)
    names = np.array(["a", "b", "c", "d"][:n_labels])
    label = names[generator.integers(3, size=n)]  # the last label never occurs
    predicted = np.where(generator.random(n) < 0.5, label, names[generator.integers(n_labels, size=n)])
    return pd.DataFrame(
        {
            "item": [f"{i:03d}" for i in range(n)], "cluster": "c", "kind": "classification", "label": label,
            "group": np.where(np.arange(n) % 3, "matched", "mismatched"), "predicted": predicted,
            "p_label": generator.random(n), "n_labels": n_labels,
        }
    )  # fmt: skip


def test_numbers_against_scipy():
    items = numbers()
    found = values(items)
    x, y = items["prediction"], items["label"]
    assert found["pearson", "all"] == pytest.approx(scipy.stats.pearsonr(x, y)[0])
    assert found["spearman", "all"] == pytest.approx(scipy.stats.spearmanr(x, y)[0])
    assert found["mse", "all"] == pytest.approx(np.mean((x - y) ** 2))
    assert found["mse_skill", "all"] == pytest.approx(1 - np.mean((x - y) ** 2) / np.var(y))
    assert found["score", "all"] == found["mse_skill", "all"]
    agree = [(p > 0) == (q > 0) for p, q in zip(x, y, strict=True) if q != 0]
    assert (y == 0).any()
    assert found["sign_accuracy", "all"] == pytest.approx(np.mean(agree))


def test_labels_of_one_sign_have_no_sign_accuracy():
    assert ("sign_accuracy", "all") not in values(numbers(shift=20.0))


def test_similarity_is_scored_by_ranks():
    items = numbers("similarity")
    found = values(items)
    assert found["score", "all"] == pytest.approx(scipy.stats.spearmanr(items["prediction"], items["label"])[0])
    assert ("mse", "all") not in found


def test_a_constant_prediction_has_no_correlation_and_no_skill():
    found = values(numbers().assign(prediction=1.5))
    assert np.isnan(found["pearson", "all"])
    assert found["score", "all"] <= 0
    mean = numbers()["label"].mean()
    assert values(numbers().assign(prediction=mean))["score", "all"] == pytest.approx(0)


def test_a_collapsed_regression_is_not_skilled_whatever_its_correlation():
    items = numbers(n=400)
    label, generator = items["label"], np.random.default_rng(4)
    shrunk = values(items.assign(prediction=0.3 + 0.01 * label))
    assert shrunk["pearson", "all"] == pytest.approx(1)
    assert shrunk["score", "all"] < 0.03
    noise = values(items.assign(prediction=0.3 + generator.normal(size=400)))
    assert noise["score", "all"] < 0


def test_labels_that_are_one_constant_have_no_skill():
    assert np.isnan(values(numbers().assign(label=3.0))["score", "all"])


def test_random_values_of_numbers_are_those_of_constants():
    items = numbers().assign(label=np.r_[np.full(45, 1.0), np.full(12, -2.0), np.zeros(3)])
    references = {each.name: each.random for each in task_score.summarize(items, SETTINGS)}
    assert references["mse"] == pytest.approx(np.var(items["label"]))
    assert references["sign_accuracy"] == pytest.approx(45 / 57)
    assert {references[name] for name in ("score", "pearson", "spearman", "mse_skill")} == {0.0}
    constant = values(items.assign(prediction=items["label"].mean()))
    assert constant["mse", "all"] == pytest.approx(references["mse"])
    assert values(items.assign(prediction=1.0))["sign_accuracy", "all"] == pytest.approx(references["sign_accuracy"])


def slow_f1(items, label):
    hits = ((items["label"] == label) & (items["predicted"] == label)).sum()
    if not hits:
        return 0.0
    precision, recall = hits / (items["predicted"] == label).sum(), hits / (items["label"] == label).sum()
    return 2 * precision * recall / (precision + recall)


def slow_mcc(items, names):
    """The correlation of one-hot vectors, summed over labels (Gorodkin 2004, equation 8)."""
    one = np.array([[value == name for name in names] for value in items["label"]], dtype=float)
    other = np.array([[value == name for name in names] for value in items["predicted"]], dtype=float)
    one, other = one - one.mean(0), other - other.mean(0)
    return (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())


@pytest.mark.parametrize("group", ["all", "matched", "mismatched"])
def test_classes_against_slow_definitions(group):
    items = classes()
    found = values(items)
    part = items if group == "all" else items[items["group"] == group]
    assert found["accuracy", group] == pytest.approx((part["label"] == part["predicted"]).mean())
    assert found["macro_f1", group] == pytest.approx(np.mean([slow_f1(part, name) for name in "abcd"]))
    assert found["mcc", group] == pytest.approx(slow_mcc(part, "abcd"))
    assert found["p_label", group] == pytest.approx(part["p_label"].mean())
    assert (("score", group) in found) == (group == "all")


def test_a_constant_class_has_no_mcc_and_little_f1():
    items = classes().assign(predicted="a")
    found = values(items)
    assert found["mcc", "all"] == 0
    share = (items["label"] == "a").mean()
    assert found["macro_f1", "all"] == pytest.approx(2 * share / (1 + share) / 4)


def texts(kind):
    return pd.DataFrame(
        {
            "item": ["a", "b"], "cluster": ["a", "b"], "group": "test", "kind": kind,
            "nll": [np.log(8.0), 3 * np.log(2.0)], "tokens": [1, 5], "vocabulary": 100,
            "unigram_nll": [np.log(500.0), 5 * np.log(10.0)],
        }
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), [("masked_lm", "pseudo_perplexity"), ("causal_lm", "perplexity")])
def test_perplexity_pools_tokens_not_texts(kind, name):
    """Together 6 tokens and log 64: 2 to the 6, so 2 a token."""
    found = values(texts(kind))
    assert set(found) == {(each, "all") for each in ("score", name, "skipped", "tied")}
    assert found[name, "all"] == pytest.approx(2.0)
    assert found["score", "all"] == pytest.approx(-np.log(2.0))
    references = {each.name: each.random for each in task_score.summarize(texts(kind), SETTINGS)}
    unigram = (np.log(500.0) + 5 * np.log(10.0)) / 6
    counts = {"skipped": None, "tied": None}
    assert references == {"score": pytest.approx(-unigram), name: pytest.approx(np.exp(unigram))} | counts
    rare = texts(kind).assign(unigram_nll=[6.0, 30.0])  # worse than a uniform model
    references = {each.name: each.random for each in task_score.summarize(rare, SETTINGS)}
    assert references == {"score": pytest.approx(-np.log(100)), name: pytest.approx(100)} | counts


@pytest.mark.parametrize("items", [numbers(), numbers("similarity"), classes(), texts("masked_lm")])
def test_weights_count_as_repeated_rows(items):
    generator = np.random.default_rng(3)
    weights = generator.integers(1, 4, size=(3, len(items)))
    for each in task_score.summarize(items, SETTINGS):
        if each.higher_is == "count":
            assert not each.sampled
            continue
        expected = [values(items.loc[items.index.repeat(row)])[each.name, each.group] for row in weights]
        np.testing.assert_allclose(each.estimate(weights.astype(float)), expected, rtol=1e-9)


def test_random_values_are_the_better_of_guessing_and_always_the_commonest_label():
    items = classes()
    even = items.assign(label=np.resize(["a", "b", "c", "d"], 80), group="test")
    references = {each.name: each.random for each in task_score.summarize(even, SETTINGS)}
    chance = {"score": 0.25, "accuracy": 0.25, "macro_f1": None, "mcc": 0.0, "p_label": 0.25}
    assert references == chance | {"skipped": None, "tied": None}
    skewed = items.assign(label=np.where(np.arange(80) < 68, "b", "a"))
    found = {(each.name, each.group): each.random for each in task_score.summarize(skewed, SETTINGS)}
    assert found["score", "all"] == found["accuracy", "all"] == found["p_label", "all"] == pytest.approx(0.85)
    always = values(skewed.assign(predicted="b"))
    for group in ("all", "matched", "mismatched"):
        assert always["accuracy", group] == pytest.approx(found["accuracy", group])


@pytest.mark.parametrize(("kind", "make"), [("masked_lm", tiny.tiny_bert), ("causal_lm", tiny.tiny_llama)])
def test_unigrams_are_counted_in_the_training_text(kind, make, tmp_path):
    cp = checkpoints.load(make(kind, tmp_path / "model"))
    about = described(tmp_path, kind, test_share=0.5)
    items = task_score.score(Scoring(cp, {}, about), SETTINGS).set_index("item")
    parts = examples.frames(about)
    kept = {"add_special_tokens": False}
    training = [token for text in parts["train"]["text"] for token in cp.tokenizer(text, **kept)["input_ids"]]
    size = cp.model.config.vocab_size
    for _, row in parts["test"].iterrows():
        ids = cp.tokenizer(row["text"], **kept)["input_ids"]
        expected = -sum(np.log((training.count(token) + 1) / (len(training) + size)) for token in ids)
        assert items.loc[f"test/{row['row']:07d}", "unigram_nll"] == pytest.approx(expected)
        assert items.loc[f"test/{row['row']:07d}", "tokens"] == len(ids)


def test_without_training_text_the_reference_is_the_uniform_model(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "model"))
    about = described(tmp_path, "causal_lm", tests=("own",))
    only_test = task_of("causal_lm", {}, None, {"own": table_of(tmp_path)})
    assert about.train is not None and only_test.train is None
    items = task_score.score(Scoring(cp, {}, only_test), SETTINGS)
    expected = items["tokens"] * np.log(cp.model.config.vocab_size)
    assert items["unigram_nll"].to_numpy() == pytest.approx(expected.to_numpy())


def table_of(folder):
    return {"path": str(folder), "file": "table.csv", "format": "csv", "columns": {"text": "s"}}


def test_shares_of_items_are_marked():
    marked = {each.name for each in task_score.summarize(classes(), SETTINGS) if each.share_of == 1}
    assert marked == {"score", "accuracy"}
    assert {each.name for each in task_score.summarize(numbers(), SETTINGS) if each.share_of} == {"sign_accuracy"}


def described(folder, kind, tests=("",), **settings):
    table = pd.DataFrame({"s": list(tiny.SENTENCES) * 2, "y": [tiny.LABELS[i % 3] for i in range(20)]})
    if kind != "classification":
        table["y"] = np.linspace(-1, 1, 20)
    table.to_csv(folder / "table.csv", index=False)
    labels = list(tiny.LABELS) if kind == "classification" else None
    ref = {"path": str(folder), "file": "table.csv", "format": "csv", "columns": {"text": "s", "label": "y"}}
    named = {name: {**ref, "labels": labels} for name in tests} if tests != ("",) else {}
    return task_of(kind, settings, {**ref, "labels": labels}, named, seed=5)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("regression", tiny.tiny_bert),
        ("classification", tiny.tiny_roberta),
        ("masked_lm", tiny.tiny_bert),
        ("causal_lm", tiny.tiny_llama),
    ],
)
def test_items_are_those_of_the_held_out_rows(kind, make, tmp_path):
    cp = checkpoints.load(make(kind, tmp_path / "model"))
    about = described(tmp_path, kind, test_share=0.5)
    items = task_score.score(Scoring(cp, {}, about), SETTINGS)
    rows = examples.frames(about)["test"]["row"]
    assert list(items["item"]) == sorted(f"test/{row:07d}" for row in rows)
    assert list(items["item"]) == list(items["cluster"])
    assert (items["kind"] == kind).all()
    if kind == "regression":
        assert list(items["label"]) == [np.linspace(-1, 1, 20)[int(each[5:])] for each in items["item"]]
    assert items.equals(task_score.score(Scoring(cp, {}, about), SETTINGS))
    assert all(np.isfinite(list(values(items).values())))


def test_samples_are_nested_and_drawn_from_each_table(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path / "model"))
    about = described(tmp_path, "classification", tests=("matched", "mismatched"))
    few, more = (task_score.score(Scoring(cp, {}, about), task_score.Settings(sample=size)) for size in (4, 9))
    assert few["group"].value_counts().to_dict() == {"matched": 4, "mismatched": 4}
    assert set(few["item"]) < set(more["item"])
    whole = task_score.score(Scoring(cp, {}, about), SETTINGS)
    assert len(whole) == 40
    merged = few.merge(whole, on="item", suffixes=("", "_whole"))
    np.testing.assert_allclose(merged["p_label"], merged["p_label_whole"], atol=1e-5)


def test_language_models_score_this_many_texts(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "model"))
    about = described(tmp_path, "causal_lm", test_share=0.5)
    assert len(task_score.score(Scoring(cp, {}, about), task_score.Settings(texts=3, sample=5))) == 3


def test_nothing_to_score_is_a_user_error(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "model"))
    empty = task_of("similarity", name="sim")
    with pytest.raises(UserError, match=r"tasks\.sim: no `train` or `test` table"):
        task_score.score(Scoring(cp, {}, empty), SETTINGS)
