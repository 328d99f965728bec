from __future__ import annotations

from itertools import combinations
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from scipy import stats

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import weat
from fairshrink.metrics._shared.association import (
    AssociationTest,
    Target,
    associations,
    prefix_of_single_word,
    published,
    read_tests,
)
from fairshrink.metrics._shared.association_statistics import effect_size, permutation_p
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import batching, outputs, running

# Words a side in Caliskan et al. (2017), table 1, and May et al. (2019) for the tests b: targets, attributes.
SIZES = {
    "1": (25, 25), "2": (25, 25),
    "3": (32, 25), "3b": (15, 25), "4": (16, 25), "5": (16, 8), "5b": (15, 8), "6": (8, 8), "6b": (8, 8),
    "7": (8, 8), "7b": (8, 8), "8": (8, 8), "8b": (8, 8), "9": (6, 7), "10": (8, 8),
}  # fmt: skip


def targets(*words):
    return tuple(Target(word, word) for word in words)


def cosine(u, v):
    return float(np.dot(u, v) / np.sqrt(np.dot(u, u) * np.dot(v, v)))


def slow_association(vectors, w, a, b):
    return np.mean([cosine(vectors[w], vectors[t.text]) for t in a]) - np.mean(
        [cosine(vectors[w], vectors[t.text]) for t in b]
    )


def slow_effect(x, y):
    return (np.mean(x) - np.mean(y)) / np.std([*x, *y], ddof=1)


def random_case(n_x=5, n_y=3, seed=3):
    generator = np.random.default_rng(seed)
    x, y = [f"x{i}" for i in range(n_x)], [f"y{i}" for i in range(n_y)]
    a, b = [f"a{i}" for i in range(4)], [f"b{i}" for i in range(6)]
    vectors = {word: generator.normal(size=7) * generator.uniform(0.1, 9) for word in [*x, *y, *a, *b]}
    test = AssociationTest("weat6", targets(*x), targets(*y), targets(*a), targets(*b))
    return test, vectors, associations([test], lambda texts: np.array([vectors[text] for text in texts]))


def point(items, statistic, group, settings=None):
    found = weat.summarize(items, settings or weat.Settings())
    return next(s for s in found if (s.name, s.group) == (statistic, group)).value(len(items))


def test_word_lists_have_the_published_sizes_and_no_repeats():
    for test in read_tests("", SIZES, lambda word: [word]):
        n_targets, n_attributes = SIZES[test.name]
        assert [len(part) for part in (test.x, test.y)] == [n_targets] * 2
        assert [len(part) for part in (test.a, test.b)] == [n_attributes] * 2
        words = [target.word for part in (test.x, test.y, test.a, test.b) for target in part]
        assert len(set(words)) == len(words)


def test_every_list_has_a_source_and_every_test_can_be_named():
    file = published()
    assert {entry["source"] for entry in file["lists"].values()} <= set(file["sources"])
    assert [f"weat{number}" for number in file["tests"]] == list(get_args(weat.Name))
    assert list(file["neutral"]) == ["1", "2"]


def test_neutral_tests_share_no_target_with_those_of_bias():
    """Clusters are words: one in both would tie the contrast to the signal."""
    file = published()
    sides = {
        kind: {word for each in file[kind].values() for side in "XY" for word in file["lists"][each[side]]["words"]}
        for kind in ("tests", "neutral")
    }
    assert not sides["tests"] & sides["neutral"]
    assert len(sides["neutral"]) == 100


def test_effect_size_worked_by_hand():
    # X lies on A and Y on B, at right angles: s = 1, 1, -1, -1, so d = 2 / sqrt(4/3) = sqrt(3).
    vectors = {"x": [2, 0], "xx": [5, 0], "y": [0, 1], "yy": [0, 3], "a": [1, 0], "b": [0, 7]}
    test = AssociationTest("weat6", targets("x", "xx"), targets("y", "yy"), targets("a"), targets("b"))
    items = associations([test], lambda texts: np.array([vectors[text] for text in texts]))
    assert list(items["association"]) == [1, 1, -1, -1]
    assert point(items, "effect_size", "weat6") == pytest.approx(np.sqrt(3), abs=1e-12)
    assert point(items, "permutation_p", "weat6") == pytest.approx(1 / 6)


def test_trap_sets_of_unequal_size_have_one_standard_deviation_over_all_targets():
    test, vectors, items = random_case()
    slow = {t.word: slow_association(vectors, t.text, test.a, test.b) for t in test.x + test.y}
    assert dict(zip(items["cluster"], items["association"], strict=True)) == pytest.approx(slow, abs=1e-12)
    expected = slow_effect([slow[t.word] for t in test.x], [slow[t.word] for t in test.y])
    assert point(items, "effect_size", "weat6") == pytest.approx(expected, abs=1e-12)


def test_exchanging_the_targets_or_the_attributes_changes_the_sign():
    test, vectors, items = random_case()
    embed = lambda texts: np.array([vectors[text] for text in texts])  # noqa: E731
    d = point(items, "effect_size", "weat6")
    for turned in (
        AssociationTest(test.name, test.y, test.x, test.a, test.b),
        AssociationTest(test.name, test.x, test.y, test.b, test.a),
    ):
        assert point(associations([turned], embed), "effect_size", "weat6") == pytest.approx(-d, abs=1e-12)


def test_weights_count_rows():
    _, _, items = random_case()
    generator = np.random.default_rng(1)
    weights = generator.integers(1, 4, size=(6, len(items))).astype(float)
    in_x = (items["set"] == "X").to_numpy()
    fast = effect_size(items["association"], in_x, ~in_x)(weights)
    for row, value in zip(weights.astype(int), fast, strict=True):
        s, x = np.repeat(items["association"].to_numpy(), row), np.repeat(in_x, row)
        assert value == pytest.approx(slow_effect(s[x], s[~x]), abs=1e-12)


@pytest.mark.parametrize(("n_x", "n_y"), [(4, 4), (5, 3), (2, 6)])
def test_exact_p_equals_brute_force(n_x, n_y):
    _, _, items = random_case(n_x, n_y)
    s, in_x = items["association"].to_numpy(), (items["set"] == "X").to_numpy()
    difference = lambda chosen: s[list(chosen)].mean() - np.delete(s, list(chosen)).mean()  # noqa: E731
    observed = difference(np.flatnonzero(in_x))
    splits = [difference(chosen) for chosen in combinations(range(len(s)), n_x)]
    expected = np.mean([value >= observed - 1e-12 for value in splits])
    assert permutation_p(s, in_x, items["cluster"], 10_000, 0) == pytest.approx(expected)
    scipys = stats.permutation_test(
        (s[in_x], s[~in_x]), lambda x, y: x.mean() - y.mean(), alternative="greater", n_resamples=np.inf
    )
    assert permutation_p(s, in_x, items["cluster"], 10_000, 0) == pytest.approx(scipys.pvalue)


def test_sampled_p_is_close_to_exact_never_zero_and_repeatable():
    _, _, items = random_case(9, 8)
    s, in_x = items["association"].to_numpy(), (items["set"] == "X").to_numpy()
    exact = permutation_p(s, in_x, items["cluster"], 30_000, 0)
    drawn = permutation_p(s, in_x, items["cluster"], 10_000, 0)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000))
    assert drawn == permutation_p(s, in_x, items["cluster"], 10_000, 0)
    extreme = np.where(in_x, 1.0, 0.0) + np.arange(17) / 1000
    assert permutation_p(extreme, in_x, items["cluster"], 10_000, 0) == pytest.approx(1 / 10_001)


def test_sentences_of_a_word_change_sides_together():
    # Three words a side, each with several sentences that agree: 20 splits of words, not 48,620 of sentences.
    words = np.repeat(["u", "v", "w", "x", "y", "z"], [4, 2, 3, 3, 3, 3])
    in_x = np.isin(words, ["u", "v", "w"])
    s = np.repeat([3.0, 2.5, 2.0, 1.0, 0.5, 0.0], [4, 2, 3, 3, 3, 3])
    assert permutation_p(s, in_x, words, 10_000, 0) == pytest.approx(1 / 20)


def test_p_belongs_to_the_whole_sample_only():
    _, _, items = random_case()
    p = next(s for s in weat.summarize(items, weat.Settings()) if s.name == "permutation_p")
    assert not p.sampled and 0 < p.value(len(items)) <= 1
    with pytest.raises(TypeError, match="permutation_p is a plain number"):
        p.resampled(np.ones((3, len(items))))


def test_an_encoder_that_ignores_its_input_is_not_fair():
    test, _, _ = random_case()
    generator = np.random.default_rng(0)
    dead = associations([test], lambda texts: np.ones((len(texts), 5)) + generator.normal(0, 1e-7, (len(texts), 5)))
    assert np.isnan(point(dead, "effect_size", "weat6"))
    assert np.isnan(point(dead, "mean_absolute_effect_size", "all"))
    assert np.isnan(point(dead, "permutation_p", "weat6"))
    assert 0 < point(dead, "association_spread", "weat6") < 1e-6
    assert np.isnan(point(associations([test], lambda texts: np.zeros((len(texts), 5))), "effect_size", "weat6"))


def test_trap_means_over_tests_keep_and_drop_the_sign():
    one, vectors, _ = random_case()
    embed = lambda texts: np.array([vectors[text] for text in texts])  # noqa: E731
    chosen = [one, AssociationTest("weat7", one.y, one.x, one.a, one.b[:-1]), AssociationTest("weat9", *four(one))]
    items = associations(chosen, embed)
    d = [point(items, "effect_size", test.name) for test in chosen]
    assert d[0] * d[1] < 0
    assert point(items, "mean_effect_size", "all") == pytest.approx(np.mean(d))
    assert point(items, "mean_absolute_effect_size", "all") == pytest.approx(np.mean(np.abs(d)))
    assert point(items, "mean_effect_size", "gender") == pytest.approx(np.mean(d[:2]))
    assert point(items, "mean_effect_size", "health") == pytest.approx(d[2])


def four(test):
    return test.x[1:], test.y, test.a, test.b


def test_trap_random_vectors_do_not_score_zero():
    generator = np.random.default_rng(0)
    test = read_tests("weat", ["6"], lambda word: [word])
    sizes = [
        abs(point(associations(test, lambda texts: generator.normal(size=(len(texts), 64))), "effect_size", "weat6"))
        for _ in range(40)
    ]
    # Half-normal with sd sqrt(1/8 + 1/8) = 0.5: mean 0.4.
    assert 0.25 < np.mean(sizes) < 0.55


def test_scores_of_a_model_equal_embedding_one_word_at_a_time(tmp_path, monkeypatch):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    settings = weat.Settings(tests=["weat9", "weat10"], pooling="mean_all")
    items = weat.score(Scoring(cp), settings)
    assert set(items["group"]) == {"weat1", "weat2", "weat9", "weat10"}
    assert list(items["item"]) == sorted(set(items["item"]))
    assert set(items["pooling"]) == {"mean_all"}
    for test in read_tests("weat", ["9"], lambda word: [word]):
        words = {t.word for part in (test.x, test.y, test.a, test.b) for t in part}
        vectors = {word: outputs.sentence_embeddings(cp, [word], "mean_all")[0] for word in words}
        rows = items[items["group"] == test.name]
        slow = [slow_association(vectors, word, test.a, test.b) for word in rows["cluster"]]
        assert rows["association"].to_numpy() == pytest.approx(np.array(slow), abs=1e-5)
    monkeypatch.setattr(running, "token_budget", lambda cp: 40)
    pd.testing.assert_frame_equal(weat.score(Scoring(cp), settings), items, atol=1e-5)


def test_trap_single_words_follow_a_space_in_byte_level_vocabularies(tmp_path):
    cp = checkpoints.load(tiny.tiny_roberta("encoder", tmp_path / "m"))
    assert prefix_of_single_word(cp) == " "
    items = weat.score(Scoring(cp), weat.Settings(tests=["weat6"]))
    items = items[items["group"] == "weat6"]
    (test,) = read_tests("weat", ["6"], lambda word: [word])
    words = sorted({t.word for part in (test.x, test.y, test.a, test.b) for t in part})
    after_space = dict(zip(words, outputs.sentence_embeddings(cp, [f" {w}" for w in words], "mean"), strict=True))
    slow = [slow_association(after_space, word, test.a, test.b) for word in items["cluster"]]
    assert items["association"].to_numpy() == pytest.approx(np.array(slow), abs=1e-5)
    bare = dict(zip(words, outputs.sentence_embeddings(cp, words, "mean"), strict=True))
    other = np.array([slow_association(bare, word, test.a, test.b) for word in items["cluster"]])
    assert np.abs(items["association"].to_numpy() - other).max() > 1e-3


def test_causal_models_see_the_word_after_a_first_token(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "m"))
    assert prefix_of_single_word(cp) == "<s> "
    assert batching.token_ids(cp, prefix_of_single_word(cp) + "love")[0] == cp.tokenizer.bos_token_id
    assert set(weat.score(Scoring(cp), weat.Settings(tests=["weat9"]))["pooling"]) == {"last"}
    with pytest.raises(UserError, match="pooling: last"):
        weat.score(Scoring(cp), weat.Settings(tests=["weat9"], pooling="cls"))


@pytest.mark.parametrize(("pooling", "from_position"), [("mean", 1), ("mean_all", 0)])
def test_trap_the_start_token_before_a_word_is_not_one_of_its_tokens(pooling, from_position, tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "m"))
    items = weat.score(Scoring(cp), weat.Settings(tests=["weat9"], pooling=pooling))
    (test,) = read_tests("weat", ["9"], lambda word: [word])
    vectors = {}
    for word in {t.word for part in (test.x, test.y, test.a, test.b) for t in part}:
        ids = [cp.tokenizer.bos_token_id, *batching.token_ids(cp, " " + word)]
        with torch.no_grad():
            hidden = cp.model.base_model(torch.tensor([ids])).last_hidden_state[0]
        vectors[word] = hidden[from_position:].mean(0).double().numpy()
    rows = items[items["group"] == "weat9"]
    slow = [slow_association(vectors, word, test.a, test.b) for word in rows["cluster"]]
    assert rows["association"].to_numpy() == pytest.approx(np.array(slow), abs=1e-5)


def test_settings_reject_unknown_tests_and_too_few_permutations():
    for wrong in ({"tests": ["weat1"]}, {"tests": []}, {"permutations": 99}):
        with pytest.raises(ValueError, match=r"tests|permutations"):
            weat.Settings(**wrong)
