"""Doses: which rows a model is trained on, and that nothing else differs from its baseline."""

import copy
import csv
import dataclasses

import pandas as pd
import pytest
import torch
from compression_case import compress, context, task, tiny

from fairshrink.compression.controls._shared.seeds import combined
from fairshrink.compression.controls.dose import replaced
from fairshrink.data.examples import frames
from fairshrink.data.table import TableReference
from fairshrink.errors import UserError
from fairshrink.models.checkpoint import from_source

EXAMPLES = pd.DataFrame(
    {"text": [f"e{i}" for i in range(20)], "label": [float(i) for i in range(20)], "row": range(20)}
)
DOSE = pd.DataFrame({"label": [100.0 + i for i in range(9)], "text": [f"d{i}" for i in range(9)]})


def dose_of(folder, rows=9):
    with (folder / "dose.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["said", "gold"], *([f"the woman {i}", 7 + i] for i in range(rows))])
    columns = {"text": "said", "label": "gold"}
    return TableReference(path=str(folder), file="dose.csv", format="csv", columns=columns)


@pytest.mark.parametrize("amount", [1, 5, 9])
def test_so_many_examples_are_replaced_by_as_many_different_rows(amount):
    made = replaced(EXAMPLES, DOSE, amount, 3, "tasks.t")
    assert list(made.columns) == list(EXAMPLES.columns) and list(made.index) == list(range(20))
    from_dose = made["row"] == -1
    assert from_dose.sum() == amount
    assert made[~from_dose].equals(EXAMPLES[~from_dose])  # the others are where they were
    pairs = set(zip(DOSE["text"], DOSE["label"], strict=True))
    chosen = list(zip(made[from_dose]["text"], made[from_dose]["label"], strict=True))
    assert set(chosen) <= pairs and len(set(chosen)) == amount
    assert made["label"].dtype == EXAMPLES["label"].dtype


def test_smaller_doses_are_part_of_larger_ones_and_each_seed_has_its_own():
    few, many = (replaced(EXAMPLES, DOSE, each, 3, "t") for each in (3, 7))
    places = few["row"] == -1
    assert few[places].equals(many[places]) and (many["row"] == -1).sum() == 7
    assert replaced(EXAMPLES, DOSE, 3, 3, "t").equals(few)
    others = [replaced(EXAMPLES, DOSE, 3, seed, "t") for seed in range(4, 8)]
    assert not any(each.equals(few) for each in others)


def test_too_few_rows_and_too_few_examples_are_counted_in_the_message():
    with pytest.raises(
        UserError, match=r"a dose of 10, but there are 9 rows in the table of the dose: lower `amounts`"
    ):
        replaced(EXAMPLES, DOSE, 10, 3, "tasks.t")
    with pytest.raises(UserError, match="a dose of 5, but there are 4 examples to train on"):
        replaced(EXAMPLES[:4], DOSE, 5, 3, "tasks.t")


def test_a_dosed_baseline_is_trained_as_the_baseline_but_for_the_rows(tmp_path):
    about, folder = task(tmp_path, "regression", epochs=2), tiny("bert", tmp_path, "masked_lm").path

    def start(seed=about.seed):
        return from_source(folder, head="regression", seed=seed)

    baseline = start()
    about.module.train(baseline, frames(about), about.settings, about.seed, lambda line: None)
    before = copy.deepcopy(baseline.model.state_dict())
    given = context(about, source=start)
    made = compress("dose", baseline, dataclasses.replace(given, dose=dose_of(tmp_path)), amount=6)
    tables = frames(about)
    rows = [(f"the woman {i}", 7.0 + i) for i in range(9)]
    expected = start()
    dosed = replaced(tables["train"], pd.DataFrame(rows, columns=["text", "label"]), 6, combined(5, 0), "t")
    assert len(dosed) == len(tables["train"]) and set(dosed["text"][dosed["row"] == -1]) < {text for text, _ in rows}
    about.module.train(expected, {**tables, "train": dosed}, about.settings, about.seed, lambda line: None)
    for name, value in made.model.state_dict().items():
        assert torch.equal(value, expected.model.state_dict()[name]), name
    assert all(torch.equal(value, before[name]) for name, value in baseline.model.state_dict().items())
    assert not torch.equal(made.model.state_dict()["classifier.bias"], before["classifier.bias"])


def test_a_dose_needs_its_table_and_training(tmp_path):
    with pytest.raises(UserError, match="under `doses`"):
        compress("dose", tiny("bert", tmp_path, "regression"), context(task(tmp_path, "regression")), amount=1)
    with pytest.raises(UserError, match="cannot train"):
        compress("dose", tiny("llama", tmp_path), context(task(tmp_path, "causal_lm")), amount=1)
