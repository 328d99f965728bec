"""Fidelity against numpy, one item and one token at a time, on tiny models; its statistics by their definitions."""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from scipy import stats
from task_case import task_of

from fairshrink.contracts import Scoring
from fairshrink.data import examples
from fairshrink.errors import UserError
from fairshrink.metrics.fidelity import metric as fidelity
from fairshrink.metrics.task_score import metric as task_score
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference.batching import causal_ids

SETTINGS = fidelity.Settings()
MAKERS = [
    ("classification", tiny.tiny_bert),
    ("classification", tiny.tiny_roberta),
    ("regression", tiny.tiny_bert),
    ("masked_lm", tiny.tiny_bert),
    ("masked_lm", tiny.tiny_roberta),
    ("causal_lm", tiny.tiny_llama),
]
LANGUAGE = [each for each in MAKERS if each[0].endswith("_lm")]


def damaged(cp, scale=0.1, seed=0):
    """The same model with noise on every weight."""
    other = copy.deepcopy(cp)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return other


def described(folder, kind, tests=("",), columns=("text", "text_pair", "label"), **settings):
    sentences = list(tiny.SENTENCES)
    label = [tiny.LABELS[i % 3] for i in range(20)] if kind == "classification" else np.linspace(-1, 1, 20)
    pd.DataFrame({"s": sentences * 2, "t": (sentences[3:] + sentences[:3]) * 2, "y": label}).to_csv(
        folder / "table.csv", index=False
    )
    names = {"text": "s", "text_pair": "t", "label": "y"}
    if kind.endswith("_lm"):
        columns = ("text",)
    labels = list(tiny.LABELS) if kind == "classification" else None
    ref = {"path": str(folder), "file": "table.csv", "format": "csv", "labels": labels}
    ref["columns"] = {each: names[each] for each in columns}
    train = None if kind == "similarity" else ref
    return task_of(kind, settings, train, dict.fromkeys(tests, ref) if tests != ("",) else {}, seed=5)


def both(kind, make, folder):
    cp = checkpoints.load(make("encoder" if kind == "similarity" else kind, folder / "model"))
    return damaged(cp), cp


def values(items):
    statistics = fidelity.summarize(items, SETTINGS)
    assert len({(each.name, each.group) for each in statistics}) == len(statistics)
    return {(each.name, each.group): each.value(len(items)) for each in statistics}


def softmax(logits):
    shifted = np.exp(np.asarray(logits, dtype=np.float64) - np.max(logits))
    return shifted / shifted.sum()


def kl(p, q):
    return sum(one * np.log(one / other) for one, other in zip(p, q, strict=True) if one > 0)


def outputs(cp, *texts):
    types = getattr(cp.model.config, "type_vocab_size", 1) > 1
    encoded = cp.tokenizer(*texts, return_tensors="pt", return_token_type_ids=types)
    with torch.no_grad():
        return cp.model(**encoded).logits[0].double().numpy()


def test_percentiles_are_not_smooth_and_shares_of_items_are_marked(tmp_path):
    now, before = both("classification", tiny.tiny_bert, tmp_path)
    about = described(tmp_path, "classification", test_share=0.5)
    found = fidelity.summarize(fidelity.score(Scoring(now, {}, about, before), SETTINGS), SETTINGS)
    assert {each.name for each in found if not each.smooth} == {"kl_p99", "kl_p99.9"}
    assert {each.name: each.share_of for each in found if each.share_of} == {"same_top": 1.0}


@pytest.mark.parametrize(("kind", "make"), [each for each in MAKERS if each[0] == "classification"])
def test_classes_one_item_at_a_time(kind, make, tmp_path):
    now, before = both(kind, make, tmp_path)
    about = described(tmp_path, kind, test_share=0.5)
    items = fidelity.score(Scoring(now, {}, about, before), SETTINGS).set_index("item")
    frame = examples.frames(about)["test"]
    assert len(items) == len(frame) == 10
    for _, row in frame.iterrows():
        p, q = (softmax(outputs(each, row["text"], row["text_pair"])) for each in (before, now))
        found = items.loc[f"test/{row['row']:07d}"]
        assert found["kl"] == pytest.approx(kl(p, q), abs=1e-5)
        assert found["delta_p"] == pytest.approx(q[p.argmax()] - p[p.argmax()], abs=1e-5)
        assert found["same_top"] == (p.argmax() == q.argmax())
    assert items["kl"].min() > 0.01 and items["delta_p"].abs().max() > 0.05 and items["same_top"].mean() > 0


def token_probabilities(cp, text, kind):
    """For each token its id and the probabilities of all tokens at its place, by one forward pass for each."""
    mask, found = cp.tokenizer.mask_token_id, []
    with torch.no_grad():
        if kind == "causal_lm":
            ids = causal_ids(cp, text)
            for t in range(1, len(ids)):
                found.append((ids[t], softmax(cp.model(torch.tensor([ids[:t]])).logits[0, -1].double().numpy())))
            return found
        ids = cp.tokenizer(text)["input_ids"]
        for t in range(1, len(ids) - 1):
            masked = [*ids[:t], mask, *ids[t + 1 :]]
            found.append((ids[t], softmax(cp.model(torch.tensor([masked])).logits[0, t].double().numpy())))
    return found


@pytest.mark.parametrize(("kind", "make"), LANGUAGE)
def test_language_models_one_token_at_a_time(kind, make, tmp_path, monkeypatch):
    monkeypatch.setattr("fairshrink.models.inference.log_probs.COMPARED_ROWS", 7)  # several blocks in a batch
    now, before = both(kind, make, tmp_path)
    about = described(tmp_path, kind, test_share=0.2)
    items = fidelity.score(Scoring(now, {}, about, before), SETTINGS).set_index("item")
    every, deltas, same = [], [], []
    for _, row in examples.frames(about)["test"].iterrows():
        pairs = list(zip(*(token_probabilities(each, row["text"], kind) for each in (before, now)), strict=True))
        divergence = [kl(p, q) for (_, p), (_, q) in pairs]
        delta = [q[token] - p[token] for (token, p), (_, q) in pairs]
        top = [p.argmax() == q.argmax() for (_, p), (_, q) in pairs]
        found = items.loc[f"test/{row['row']:07d}"]
        assert found["tokens"] == len(pairs) > 5
        np.testing.assert_allclose(found["token_kl"], divergence, atol=1e-5)
        assert found["kl"] == pytest.approx(sum(divergence), abs=1e-4)
        assert found["squared_delta_p"] == pytest.approx(np.square(delta).sum(), abs=1e-5)
        assert found["same_top"] == sum(top)
        every, deltas, same = every + divergence, deltas + delta, same + top
    summary = values(items.reset_index())
    assert summary["mean_kl", "all"] == pytest.approx(np.mean(every), abs=1e-5)
    assert summary["damage", "all"] == summary["mean_kl", "all"] > 0.1
    assert summary["rms_delta_p", "all"] == pytest.approx(np.sqrt(np.mean(np.square(deltas))), abs=1e-5)
    assert summary["same_top", "all"] == pytest.approx(np.mean(same))


def test_regression_one_item_at_a_time(tmp_path):
    now, before = both("regression", tiny.tiny_bert, tmp_path)
    about = described(tmp_path, "regression", test_share=0.5)
    items = fidelity.score(Scoring(now, {}, about, before), SETTINGS).set_index("item")
    first, second = [], []
    for _, row in examples.frames(about)["test"].iterrows():
        first.append(outputs(before, row["text"], row["text_pair"])[0])
        second.append(outputs(now, row["text"], row["text_pair"])[0])
        found = items.loc[f"test/{row['row']:07d}"]
        np.testing.assert_allclose(found[["baseline_prediction", "prediction"]].astype(float), [first[-1], second[-1]],
                                   atol=1e-5)  # fmt: skip
    summary, difference = values(items.reset_index()), np.subtract(second, first)
    spread = np.std(first, ddof=1)
    assert summary["rms_difference", "all"] == pytest.approx(np.sqrt(np.mean(difference**2)) / spread, rel=1e-4)
    assert summary["mean_difference", "all"] == pytest.approx(np.mean(difference) / spread, rel=1e-4, abs=1e-5)
    assert summary["damage", "all"] == summary["rms_difference", "all"] > 0.1


def vector(cp, text):
    with torch.no_grad():
        encoded = cp.tokenizer(text, return_tensors="pt")
        return cp.model(encoded["input_ids"], encoded["attention_mask"]).last_hidden_state[0].double().mean(0).numpy()


def cosine(x, y):
    return x @ y / np.sqrt((x @ x) * (y @ y))


def test_pairs_of_an_encoder_by_their_cosines(tmp_path):
    now, before = both("similarity", tiny.tiny_bert, tmp_path)
    about = described(tmp_path, "similarity", tests=("dev",))
    items = fidelity.score(Scoring(now, {}, about, before), SETTINGS)
    frame = examples.frames(about)["test_dev"]
    slow = [[cosine(vector(cp, a), vector(cp, b)) for a, b in zip(frame["text"], frame["text_pair"], strict=True)]
            for cp in (now, before)]  # fmt: skip
    np.testing.assert_allclose(items[["cosine", "baseline_cosine"]].to_numpy().T, slow, atol=1e-5)
    summary = values(items)
    rho = stats.spearmanr(items["cosine"], items["baseline_cosine"])[0]
    assert summary["rank_distance", "all"] == summary["damage", "all"] == pytest.approx(1 - rho)
    assert summary["damage", "all"] > 0.01
    assert summary["mean_abs_difference", "all"] == pytest.approx(np.abs(np.subtract(*slow)).mean(), abs=1e-5)


def test_single_texts_of_an_encoder_by_their_vectors(tmp_path):
    now, before = both("similarity", tiny.tiny_bert, tmp_path)
    about = described(tmp_path, "similarity", tests=("dev",), columns=("text",))
    items = fidelity.score(Scoring(now, {}, about, before), SETTINGS)
    frame = examples.frames(about)["test_dev"]
    slow = [1 - cosine(vector(now, text), vector(before, text)) for text in frame["text"]]
    np.testing.assert_allclose(items["cosine_distance"], slow, atol=1e-5)
    summary = values(items)
    assert set(summary) == {(each, "all") for each in ("damage", "cosine_distance", "skipped", "tied")}
    assert summary["damage", "all"] == pytest.approx(np.mean(slow), abs=1e-5)
    assert np.mean(slow) > 1e-3


@pytest.mark.parametrize(("kind", "make"), [*MAKERS, ("similarity", tiny.tiny_bert)])
@pytest.mark.parametrize("again", [False, True], ids=["the same object", "loaded twice"])
def test_a_baseline_is_at_no_distance_from_itself(kind, make, again, tmp_path):
    _, cp = both(kind, make, tmp_path)
    other = checkpoints.load(tmp_path / "model") if again else dataclasses.replace(cp)
    about = described(tmp_path, kind, tests=("dev",) if kind == "similarity" else ("",))
    items = fidelity.score(Scoring(cp, {}, about, other), SETTINGS)
    found = values(items)
    assert found.pop(("tied", "all")) == len(items)
    same = found.pop(("same_top", "all"), None)
    assert same == (None if kind in ("regression", "similarity") else 1.0)
    exact = {name: value for name, value in found.items() if not name[0].startswith("kl_p")}
    assert set(exact.values()) == {0.0}


def test_a_model_that_is_its_own_baseline_runs_once(tmp_path):
    _, cp = both("causal_lm", tiny.tiny_llama, tmp_path)
    other, about, runs = checkpoints.load(tmp_path / "model"), described(tmp_path, "causal_lm"), []
    cp.model.get_input_embeddings().register_forward_pre_hook(lambda *_: runs.append(1))
    fidelity.score(Scoring(cp, {}, about, other), SETTINGS)
    beside_another = len(runs)
    fidelity.score(Scoring(cp, {}, about, dataclasses.replace(cp)), SETTINGS)
    assert len(runs) == 2 * beside_another > 0


@pytest.mark.parametrize(("kind", "make"), MAKERS)
def test_more_noise_is_more_damage(kind, make, tmp_path):
    _, cp = both(kind, make, tmp_path)
    about = described(tmp_path, kind, test_share=0.5)
    found = [values(fidelity.score(Scoring(damaged(cp, s), {}, about, cp), SETTINGS)) for s in (0.01, 0.05, 0.3)]
    damage = [each["damage", "all"] for each in found]
    assert damage == sorted(damage) and damage[0] > 0
    if kind != "regression":
        kept = [each["same_top", "all"] for each in found]
        assert kept[0] > kept[-1]


@pytest.mark.parametrize(("kind", "make"), [MAKERS[0], MAKERS[3]])
def test_items_are_those_of_the_task_score(kind, make, tmp_path):
    now, before = both(kind, make, tmp_path)
    about = described(tmp_path, kind, tests=("matched", "mismatched"))
    chosen = {"sample": 6, "texts": 3, "seed": 4}
    items = fidelity.score(Scoring(now, {}, about, before), fidelity.Settings(**chosen))
    scored = task_score.score(Scoring(now, {}, about), task_score.Settings(**chosen))
    names = ["item", "cluster", "group", "kind"]
    pd.testing.assert_frame_equal(items[names], scored[names])
    assert set(items["group"]) == {"matched", "mismatched"}
    found = values(items)
    assert ("damage", "matched") not in found and ("mean_kl", "matched") in found
    if "tokens" in items:
        assert list(items["tokens"]) == list(scored["tokens"])


def tokens(lengths, seed=0):
    generator = np.random.default_rng(seed)
    lists = [np.round(generator.gamma(0.5, 0.1, n), 4) for n in lengths]
    return pd.DataFrame(
        {
            "item": [f"{i:03d}" for i in range(len(lists))], "cluster": [f"{i:03d}" for i in range(len(lists))],
            "group": "test", "kind": "causal_lm", "kl": [each.sum() for each in lists], "tokens": lengths,
            "squared_delta_p": [generator.random() * n for n in lengths],
            "same_top": [int(generator.integers(n + 1)) for n in lengths], "token_kl": lists,
        }
    )  # fmt: skip


def test_percentiles_are_of_tokens_and_only_where_there_are_enough():
    few, some, many = (values(tokens([n] * 20)) for n in (19, 20, 200))
    assert np.isnan([few["kl_p99", "all"], few["kl_p99.9", "all"], some["kl_p99.9", "all"]]).all()
    every = [np.sort(np.concatenate(tokens([n] * 20)["token_kl"].to_list())) for n in (20, 200)]
    assert some["kl_p99", "all"] == every[0][395]  # the 396th of 400: 4 lie above
    assert many["kl_p99", "all"] == every[1][3959]
    assert many["kl_p99.9", "all"] == every[1][3995]


def test_summaries_are_per_token():
    """Texts of 1 and 3 tokens: mean KL (0.4 + 0.8) / 4, not the mean of 0.4 and 0.8 / 3."""
    items = tokens([1, 3]).assign(kl=[0.4, 0.8], squared_delta_p=[0.04, 0.12], same_top=[1, 2])
    found = values(items)
    assert found["mean_kl", "all"] == pytest.approx(0.3)
    assert found["rms_delta_p", "all"] == pytest.approx(0.2)
    assert found["same_top", "all"] == 0.75


def numbers(n=30):
    generator = np.random.default_rng(3)
    before = generator.normal(size=n)
    names = {"item": [f"{i:03d}" for i in range(n)], "cluster": "c", "group": "test", "kind": "regression"}
    return pd.DataFrame(names | {"baseline_prediction": before, "prediction": before + generator.normal(size=n)})


@pytest.mark.parametrize("items", [tokens([40, 30, 200, 5, 170]), numbers()], ids=["tokens", "numbers"])
def test_weights_count_as_repeated_rows(items):
    generator = np.random.default_rng(3)
    weights = generator.integers(1, 4, size=(5, len(items)))
    for each in fidelity.summarize(items, SETTINGS):
        if each.sampled:
            expected = [values(items.loc[items.index.repeat(row)])[each.name, each.group] for row in weights]
            np.testing.assert_allclose(each.estimate(weights.astype(float)), expected, rtol=1e-9)


def test_a_baseline_that_predicts_a_constant_has_no_scale():
    found = values(numbers().assign(baseline_prediction=1.0))
    assert np.isnan(found["rms_difference", "all"]) and np.isnan(found["damage", "all"])


def test_a_text_without_tokens_counts_for_nothing(tmp_path):
    now, before = both("masked_lm", tiny.tiny_bert, tmp_path)
    from fairshrink.metrics.fidelity.comparing import compare

    about = described(tmp_path, "masked_lm")
    frame = pd.DataFrame({"text": ["", "A man is playing a guitar.", ""]})
    found = compare(now, before, frame, about.settings)
    alone = compare(now, before, frame.iloc[[1]], about.settings)
    assert list(found["tokens"]) == [0, alone["tokens"].iloc[0], 0]
    np.testing.assert_allclose(found["token_kl"].iloc[1], alone["token_kl"].iloc[0], atol=1e-9)
    assert len(found["token_kl"].iloc[0]) == len(found["token_kl"].iloc[2]) == 0


def test_mistakes_are_reported(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path / "model"))
    about = described(tmp_path, "masked_lm")
    with pytest.raises(UserError, match="needs the task of the checkpoint and its baseline"):
        fidelity.score(Scoring(cp, {}, about), SETTINGS)
    with pytest.raises(UserError, match=r"tasks\.t: no `train` or `test` table"):
        encoder = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "encoder"))
        fidelity.score(Scoring(encoder, {}, task_of("similarity"), encoder), SETTINGS)
    larger = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path / "larger", vocab_size=200))
    with pytest.raises(UserError, match="vocabularies"):
        fidelity.score(Scoring(larger, {}, about, cp), SETTINGS)
    encoder = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "encoder"))
    wider = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "wider", hidden_size=64))
    with pytest.raises(UserError, match="width"):
        sentences = described(tmp_path, "similarity", tests=("dev",))
        fidelity.score(Scoring(wider, {}, sentences, encoder), SETTINGS)
