from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from task_case import task_of

from fairshrink import registry
from fairshrink.data import examples
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import batching, outputs
from fairshrink.tasks import causal_lm, classification, masked_lm, regression, similarity
from fairshrink.training.masking import choose_masked

TEXTS = list(tiny.SENTENCES)
PAIRS = TEXTS[::-1]


def spec(folder, kind="regression", n=50, test=None, labels=None, **settings):
    label = [labels[i % len(labels)] for i in range(n)] if labels else [float(i) for i in range(n)]
    pd.DataFrame({"body": [f"text {i}" for i in range(n)], "value": label}).to_csv(folder / "train.csv", index=False)
    columns = {"text": "body", "label": "value"}
    ref = {"path": str(folder), "file": "train.csv", "format": "csv", "columns": columns, "labels": labels}
    tests = {}
    if test:
        for name, (values, names) in test.items():
            pd.DataFrame({"body": [f"{name} {i}" for i in range(len(values))], "value": values}).to_csv(
                folder / f"{name}.csv", index=False
            )
            tests[name] = {**ref, "file": f"{name}.csv", "labels": names}
    return {"kind": kind, "settings": settings, "train": ref, "tests": tests, "seed": 17}


def test_parts_are_disjoint_complete_and_differ_between_splits(tmp_path):
    described = spec(tmp_path, dev_share=0.1, test=None)
    described["settings"]["test_share"] = 0.2
    parts = examples.frames(task_of(**described))
    assert {name: len(part) for name, part in parts.items()} == {"train": 35, "dev": 5, "test": 10}
    assert sorted(row for part in parts.values() for row in part["row"]) == list(range(50))
    for part in parts.values():
        assert list(part["text"]) == [f"text {row}" for row in part["row"]]
        assert list(part["label"]) == list(part["row"])
        assert list(part.index) == list(range(len(part)))
        assert list(part["row"]) != sorted(part["row"])
    again = examples.frames(task_of(**described))
    other = examples.frames(task_of(**{**described, "seed": 18}))
    assert all(part.equals(again[name]) for name, part in parts.items())
    assert set(parts["test"]["row"]) != set(other["test"]["row"])


def test_fewer_training_items_change_no_other_part(tmp_path):
    whole = examples.frames(task_of(**spec(tmp_path)))
    few = examples.frames(task_of(**spec(tmp_path, train_items=7)))
    assert list(few["train"]["row"]) == list(whole["train"]["row"][:7])
    assert few["test"].equals(whole["test"])


def test_test_tables_are_not_changed_and_keep_the_names_of_their_labels(tmp_path):
    labels = ["no", "yes"]
    test = {"same": (["yes", "no", "yes"], ["no", "yes"]), "turned": ([0, 1], {0: "yes", 1: "no"})}
    parts = examples.frames(task_of(**spec(tmp_path, "classification", labels=labels, test=test)))
    assert set(parts) == {"train", "dev", "test_same", "test_turned"}
    assert len(parts["train"]) == 50
    assert list(parts["test_same"]["label"]) == ["yes", "no", "yes"]
    assert list(parts["test_turned"]["label"]) == ["yes", "no"]
    assert list(parts["test_turned"]["row"]) == [0, 1]
    assert set(parts["train"]["label"]) == {"no", "yes"}


def test_a_single_unnamed_test_table_is_called_test(tmp_path):
    described = spec(tmp_path, test={"x": ([1.0], None)})
    described["tests"] = {"": described["tests"]["x"]}
    assert set(examples.frames(task_of(**described))) == {"train", "dev", "test"}


def test_no_tables_no_frames():
    assert examples.frames(task_of("similarity")) == {}


def test_too_few_rows_are_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"tasks\.t: 1 rows leave none to train on"):
        examples.frames(task_of(**spec(tmp_path, n=1)))


@pytest.mark.parametrize("kind", registry.names("tasks"))
def test_every_kind_has_a_card_and_a_task_head(kind):
    module = registry.load("tasks", kind)
    assert module.HEAD in checkpoints.TASK_HEADS
    assert hasattr(module, "train") == module.TRAINED
    assert module.Settings() == module.Settings(**module.Settings().model_dump())
    assert "embedding" in module.provides(module.Settings(), set(), None)


@pytest.mark.parametrize(
    ("module", "columns", "labels", "more"),
    [
        (regression, {"text", "label"}, None, {"regression", "sentence_regression", "scored"}),
        (regression, {"text", "text_pair", "label"}, None, {"regression", "similarity", "scored"}),
        (classification, {"text", "text_pair", "label"}, ["neutral", "contradiction", "entailment"],
         {"nli", "scored"}),
        (classification, {"text", "label"}, list(tiny.LABELS), {"sentence_classification", "scored"}),
        (classification, {"text", "label"}, ["positive", "negative"],
         {"sentence_classification", "sentiment", "scored"}),
        (classification, {"text", "text_pair", "label"}, ["yes", "no"], {"scored"}),
        (masked_lm, {"text"}, None, {"masked_lm", "scored"}),
        (causal_lm, {"text"}, None, {"causal_lm", "scored"}),
        (causal_lm, set(), None, {"causal_lm"}),
        (similarity, set(), None, {"similarity"}),
        (similarity, {"text", "text_pair", "label"}, None, {"similarity", "scored"}),
    ],
)  # fmt: skip
def test_capabilities(module, columns, labels, more):
    assert module.provides(module.Settings(), columns, labels) == more | {"embedding"}


def test_regression_scores_and_loss(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("regression", tmp_path))
    frame = pd.DataFrame({"text": TEXTS, "text_pair": PAIRS, "label": np.linspace(0, 5, 10)})
    settings = regression.Settings(max_length=16)
    scored = regression.score(cp, frame, settings)
    encoded = cp.tokenizer(
        TEXTS, PAIRS, truncation="longest_first", max_length=16, padding=True, return_tensors="pt",
        return_token_type_ids=True,
    )  # fmt: skip
    with torch.no_grad():
        expected = cp.model(**encoded).logits[:, 0].numpy()
    np.testing.assert_allclose(scored["prediction"], expected, atol=1e-4)
    assert list(scored["label"]) == list(frame["label"])
    loss = regression.loss(cp, frame, settings)
    assert loss.lengths == encoded["attention_mask"].sum(1).tolist()
    wanted = [7, 0, 3]
    assert loss(wanted).item() == pytest.approx(((expected - frame["label"]) ** 2)[wanted].mean(), rel=1e-4)


def test_classification_follows_the_order_of_its_labels(tmp_path):
    order = ("neutral", "contradiction", "entailment")
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path, labels=order))
    frame = pd.DataFrame({"text": TEXTS, "text_pair": PAIRS, "label": [order[i % 3] for i in range(10)]})
    settings = classification.Settings()
    scored = classification.score(cp, frame, settings)
    losses = []
    for i in range(10):
        with torch.no_grad():
            encoded = cp.tokenizer(TEXTS[i], PAIRS[i], return_tensors="pt", return_token_type_ids=True)
            logits = cp.model(**encoded).logits[0]
        p = dict(zip(order, logits.softmax(-1).tolist(), strict=True))
        assert scored["p_label"][i] == pytest.approx(p[frame["label"][i]], abs=1e-5)
        assert scored["predicted"][i] == max(p, key=p.get)
        losses.append(-np.log(p[frame["label"][i]]))
    assert len(set(scored["predicted"])) > 1
    assert (scored["n_labels"] == 3).all()
    loss = classification.loss(cp, frame, settings)
    assert loss([1, 2, 9]).item() == pytest.approx(np.mean([losses[i] for i in (1, 2, 9)]), rel=1e-4)


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta])
def test_masked_lm_scores_each_token_masked_in_turn(make, tmp_path):
    cp = checkpoints.load(make("masked_lm", tmp_path))
    frame = pd.DataFrame({"text": TEXTS[:4]})
    scored = masked_lm.score(cp, frame, masked_lm.Settings(max_length=12))
    for i, text in enumerate(frame["text"]):
        ids = cp.tokenizer(text, truncation=True, max_length=12)["input_ids"]
        total = 0.0
        for position in range(1, len(ids) - 1):
            masked = torch.tensor([[*ids[:position], cp.tokenizer.mask_token_id, *ids[position + 1 :]]])
            with torch.no_grad():
                total -= cp.model(masked).logits[0, position].log_softmax(-1)[ids[position]].item()
        assert scored["nll"][i] == pytest.approx(total, rel=1e-4)
        assert scored["tokens"][i] == len(ids) - 2
    assert (scored["vocabulary"] == len(cp.tokenizer)).all()


def test_masked_lm_loss_is_the_cross_entropy_at_the_chosen_tokens(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path))
    loss = masked_lm.loss(cp, pd.DataFrame({"text": TEXTS}), masked_lm.Settings(mask_share=0.3))
    rows = [2, 5, 6]
    inputs = cp.tokenizer([TEXTS[i] for i in rows], padding=True, return_tensors="pt")
    real = inputs["attention_mask"].bool() & (inputs["input_ids"] > 4)
    generator = torch.Generator().manual_seed(8)
    chosen, masked = choose_masked(inputs["input_ids"], real, 0.3, cp, generator)
    with torch.no_grad():
        logits = cp.model(masked, attention_mask=inputs["attention_mask"]).logits
    expected = torch.nn.functional.cross_entropy(logits[chosen], inputs["input_ids"][chosen])
    assert loss(rows, 8).item() == pytest.approx(expected.item(), rel=1e-4)
    assert loss(rows, 9).item() != loss(rows, 8).item()


def test_masking_has_the_right_shares_and_leaves_out_special_tokens(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 200, (200, 100), generator=generator)
    real = torch.rand(ids.shape, generator=generator) < 0.8
    chosen, masked = choose_masked(ids, real, 0.15, cp, generator)
    assert not (chosen & ~real).any()
    assert torch.equal(ids[~chosen], masked[~chosen])
    assert chosen[real].float().mean().item() == pytest.approx(0.15, abs=0.01)
    covered, same = masked[chosen] == cp.tokenizer.mask_token_id, masked[chosen] == ids[chosen]
    assert covered.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert same.float().mean().item() == pytest.approx(0.1, abs=0.03)
    other = masked[chosen][~covered & ~same]
    assert len(set(other.tolist())) > 50


def test_at_least_one_token_is_chosen_where_there_is_any(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path))
    for seed in range(30):
        ids = torch.tensor([[2, 50, 60, 3]])
        real = torch.tensor([[False, True, True, False]])
        chosen, _ = choose_masked(ids, real, 0.01, cp, torch.Generator().manual_seed(seed))
        assert chosen.sum() == 1
        assert chosen[real].any()


def test_causal_scores_and_loss(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path))
    frame, settings = pd.DataFrame({"text": TEXTS}), causal_lm.Settings(max_length=20)
    scored = causal_lm.score(cp, frame, settings)
    for i, text in enumerate(TEXTS):
        ids = torch.tensor([batching.causal_ids(cp, text)[:20]])
        with torch.no_grad():
            mean = cp.model(ids, labels=ids).loss.item()
        assert scored["tokens"][i] == ids.shape[1] - 1
        assert scored["nll"][i] == pytest.approx(mean * (ids.shape[1] - 1), rel=1e-4)
    chosen = scored.iloc[[1, 6, 8]]
    loss = causal_lm.loss(cp, frame, settings)([1, 6, 8])
    assert loss.item() == pytest.approx(chosen["nll"].sum() / chosen["tokens"].sum(), rel=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls", "mean_all"])
def test_similarity_is_the_cosine(pooling, tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path))
    frame = pd.DataFrame({"text": TEXTS, "text_pair": [TEXTS[0], *PAIRS[1:]], "label": range(10)})
    scored = similarity.score(cp, frame, similarity.Settings(pooling=pooling))
    assert scored["prediction"][0] == pytest.approx(1)
    for i in (3, 4):
        one, other = (outputs.sentence_embeddings(cp, [frame[c][i]], pooling)[0] for c in ("text", "text_pair"))
        cosine = torch.nn.functional.cosine_similarity(torch.tensor(one), torch.tensor(other), dim=0)
        assert scored["prediction"][i] == pytest.approx(cosine.item(), abs=1e-4)
