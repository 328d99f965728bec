"""Models that people bring, used as they are: what the stages score is what plain transformers computes."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from scipy.stats import spearmanr
from tiny import SENTENCES, tiny_bert
from tiny_study import write_study

from fairshrink.planning import grid, studies
from fairshrink.planning.plan import Order
from fairshrink.stages import aggregate, download, evaluate, finetune

OWN = ["POSITIVE", "Negative", "neutral"]
POLARITY = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
LABELS = list(POLARITY)


def content() -> dict:
    columns = {"text": "text", "label": "label"}
    table = {"download": "tables", "format": "csv", "columns": columns}
    first = {"file": "first.csv", "labels": LABELS, "drop_labels": ["-"], **table}
    second = {"file": "second.csv", "labels": {"pos": "positive", "neg": "negative", "0": "neutral"}, **table}
    pairs = {"file": "pairs.csv", **table, "columns": {"text": "one", "text_pair": "other", "label": "label"}}
    return {
        "study": "brought",
        "downloads": {name: {"source": "local", "path": f"local/{name}"} for name in ("mine", "bert", "tables")},
        "models": {
            "mine": {"download": "mine", "family": "encoder", "tasks": ["first", "second"]},
            "bert": {"download": "bert", "family": "encoder", "tasks": ["similarity", "mlm"]},
        },
        "tasks": {
            "first": {"kind": "classification", "finetune": False, "polarity": POLARITY, "test": {"own": first}},
            "second": {"kind": "classification", "finetune": False, "polarity": POLARITY, "test": {"own": second}},
            "similarity": {"kind": "similarity", "test": {"own": pairs}},
            "mlm": {"kind": "masked_lm", "finetune": False},
        },
        "metrics": [
            {"metric": "task_score"},
            {"metric": "sentiment_gap", "noun_phrases": 1, "names": 1},
            {"metric": "bias_sts", "sample": 12, "tasks": ["similarity"]},
            {"metric": "seat", "tests": ["seat6"], "sentences_per_word": 1, "tasks": ["mlm"]},
        ],
    }


def bring(folder) -> None:
    """A classifier as plain transformers writes it, with labels in an order of its own, and tables."""
    tiny_bert("masked_lm", folder / "bert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")
    config = transformers.AutoConfig.from_pretrained(folder / "bert")
    config.id2label = dict(enumerate(OWN))
    config.label2id = {name: number for number, name in enumerate(OWN)}
    torch.manual_seed(5)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder / "mine")
    tokenizer.save_pretrained(folder / "mine")
    (folder / "tables").mkdir()
    labels = [LABELS[number % 3] for number in range(len(SENTENCES))]
    short = {"positive": "pos", "negative": "neg", "neutral": "0"}
    frames = {
        "first": {"text": [*SENTENCES, "No one knows."], "label": [*labels, "-"]},
        "second": {"text": SENTENCES[::-1], "label": [short[each] for each in labels]},
        "pairs": {"one": SENTENCES, "other": SENTENCES[3:] + SENTENCES[:3], "label": [n / 10 for n in range(10)]},
    }
    for name, columns in frames.items():
        pd.DataFrame(columns).to_csv(folder / "tables" / f"{name}.csv", index=False)


def probabilities(folder, texts) -> list[dict[str, float]]:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = []
    for text in texts:
        with torch.no_grad():
            shares = model(**tokenizer(text, return_tensors="pt")).logits.double().softmax(-1)[0].tolist()
        found.append({model.config.id2label[number].lower(): share for number, share in enumerate(shares)})
    return found


def cosines(folder, pairs) -> list[float]:
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        vectors = [
            [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in pair]
            for pair in pairs
        ]
    return [torch.nn.functional.cosine_similarity(*pair, dim=0).item() for pair in vectors]


def items(folder, checkpoint, metric) -> pd.DataFrame:
    (found,) = (folder / "results/scores").glob(f"{checkpoint}-*/{metric}-*/items.parquet")
    return pd.read_parquet(found)


def test_ready_made_models(tmp_path, monkeypatch):
    folder, local = tmp_path, tmp_path / "local"
    bring(local)
    write_study(folder, content())
    monkeypatch.chdir(folder)
    made = grid.expand(studies.load("config.yaml"))
    for stage, module in (("download", download), ("finetune", finetune), ("evaluate", evaluate)):
        module.run([Order(each.recipe, each.job) for each in made.values() if each.stage == stage])
    aggregate.run([Order(made.tables.recipe, made.tables.job)])
    frame = pd.read_parquet(folder / made.tables.path / "tables/results.parquet")
    assert sorted(frame["task"].unique()) == ["first", "mlm", "second", "similarity"]

    for task, texts, labels in (
        ("first", SENTENCES, [LABELS[number % 3] for number in range(10)]),
        ("second", SENTENCES[::-1], [LABELS[number % 3] for number in range(10)]),
    ):
        shares = probabilities(local / "mine", texts)
        right = np.mean([max(each, key=each.get) == label for each, label in zip(shares, labels, strict=True)])
        found = frame.query("task == @task and metric == 'task_score' and statistic == 'accuracy' and group == 'all'")
        assert found["value"].item() == pytest.approx(right) and found["n_items"].item() == 10
        scored = items(folder, f"mine-{task}", "task_score").sort_values("item")
        wanted = [share[label] for share, label in zip(shares, labels, strict=True)]
        assert scored["p_label"].tolist() == pytest.approx(wanted, abs=1e-5)

    gaps = items(folder, "mine-first", "sentiment_gap").iloc[::60]
    expected = [
        sum(share * POLARITY[label] for label, share in each.items())
        for each in probabilities(local / "mine", gaps["first"])
    ]
    assert gaps["prediction_first"].tolist() == pytest.approx(expected, abs=1e-5)

    pairs = list(zip(SENTENCES, SENTENCES[3:] + SENTENCES[:3], strict=True))
    wanted = cosines(local / "bert", pairs)
    scored = items(folder, "bert-similarity", "task_score").sort_values("item")
    assert scored["prediction"].tolist() == pytest.approx(wanted, abs=1e-5)
    found = frame.query("task == 'similarity' and statistic == 'spearman'")["value"].item()
    assert found == pytest.approx(spearmanr(wanted, range(10)).statistic)

    record = json.loads(next((folder / "results/baselines").glob("mine-first-*/checkpoint.json")).read_text())
    assert record["labels"] == LABELS
