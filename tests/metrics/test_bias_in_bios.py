"""Bias in Bios: scores against one text at a time, statistics against counting, the data set through a local hub."""

import numpy as np
import pandas as pd
import pytest
import torch
from hub_server import fetched, hub_server
from tiny import SENTENCES, tiny_bert

from fairshrink.analysis.joint import join
from fairshrink.analysis.measured import numbers
from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import bias_in_bios
from fairshrink.models import checkpoint as checkpoints
from fairshrink.stats.intervals import share_interval
from fairshrink.stats.jackknife import jackknife

LABELS = ("Nurse", "surgeon", "poet")
REVISION = "c" * 40
CHILD = """
import json, sys
from pathlib import Path
from fairshrink.sources import hub_dataset
(settings,) = json.loads(sys.argv[1])
target = Path(sys.argv[2]) / "set"
target.mkdir()
print(json.dumps([hub_dataset.fetch(hub_dataset.Settings(**settings), target, target)["kind"]]))
"""


@pytest.fixture(scope="module")
def cp(tmp_path_factory):
    return checkpoints.load(tiny_bert("classification", tmp_path_factory.mktemp("model"), labels=LABELS))


def bios(n=30):
    """Numbers as the data set has them: 13 nurse, 25 surgeon, 20 poet, 0 accountant."""
    return pd.DataFrame(
        {
            "hard_text": [SENTENCES[at % 10] for at in range(n)],
            "profession": [(13, 25, 20, 0)[at % 4] for at in range(n)],
            "gender": [at // 3 % 2 for at in range(n)],
        }
    )


def scores(cp, frame, folder, **settings):
    path = folder / "test-00000-of-00001.parquet"
    frame.to_parquet(path)
    return bias_in_bios.score(Scoring(cp, {"items": [path]}), bias_in_bios.Settings(**settings))


def test_scores_equal_one_text_at_a_time(cp, tmp_path):
    frame = bios()
    rows = scores(cp, frame, tmp_path)
    own = {13: 0, 25: 1, 20: 2}
    share = frame.groupby("profession")["gender"].mean()
    for row, given in zip(rows.itertuples(), frame.itertuples(), strict=True):
        assert row.gender == ("male", "female")[given.gender] and row.women == share[given.profession]
        if given.profession == 0:
            assert (row.group, row.skipped) == ("accountant", bias_in_bios.NO_LABEL) and np.isnan(row.margin)
            continue
        with torch.no_grad():
            logits = cp.model(**cp.tokenizer(given.hard_text, return_tensors="pt")).logits[0].double()
        log_p = logits.log_softmax(-1).tolist()
        mine = log_p.pop(own[given.profession])
        assert row.log_p == pytest.approx(mine, abs=1e-4) and row.margin == pytest.approx(mine - max(log_p), abs=1e-4)
    assert set(rows["group"]) == {"nurse", "surgeon", "poet", "accountant"}


def test_statistics_equal_counting(tmp_path):
    generator = np.random.default_rng(4)
    n = 240
    names = [("nurse", "surgeon", "poet", "dj")[at % 4] for at in range(n)]
    share = [(0.8, 0.2, 0.5, 0.4)[at % 4] for at in range(n)]
    rows = pd.DataFrame(
        {
            "item": [f"i{at:03d}" for at in range(n)], "group": names,
            "gender": np.where(generator.random(n) < share, "female", "male"),
            "skipped": "", "margin": np.round(generator.normal(size=n), 1) + 0.2,
        }
    )  # fmt: skip
    rows["women"] = (rows["gender"] == "female").groupby(rows["group"]).transform("mean")
    rows = rows.assign(cluster=rows["item"])
    found = {(s.name, s.group): s.value(n) for s in bias_in_bios.summarize(rows, bias_in_bios.Settings())}
    gaps, women, towards = [], [], []
    for name, part in rows.groupby("group"):
        rates = {who: np.mean([margin > 0 for margin in mine["margin"]]) for who, mine in part.groupby("gender")}
        gap = rates["female"] - rates["male"]
        assert found["tpr_gap", name] == pytest.approx(gap)
        gaps.append(gap)
        women.append(np.mean(part["gender"] == "female"))
        towards.append(gap if women[-1] > 0.5 else -gap)
    assert found["stereotype_gap", "all"] == pytest.approx(np.mean(towards))
    assert found["rms_gap", "all"] == pytest.approx(np.sqrt(np.mean(np.square(gaps))))
    assert found["gap_correlation", "all"] == pytest.approx(np.corrcoef(gaps, women)[0, 1])
    assert found["accuracy", "female"] == pytest.approx(np.mean(rows["margin"][rows["gender"] == "female"] > 0))
    assert found["tied", "all"] == (rows["margin"] == 0).sum() > 0


def test_a_table_worked_by_hand():
    """Nurses, three of four women: 2 of 3 women and no man; surgeons, one of four: 1 of 1 woman, 3 of 3 men; a dj."""
    rows = pd.DataFrame(
        {
            "group": ["nurse"] * 4 + ["surgeon"] * 4 + ["dj"], "women": [0.75] * 4 + [0.25] * 4 + [0.0],
            "gender": ["female"] * 3 + ["male"] + ["female"] + ["male"] * 4, "skipped": "",
            "margin": [1.0, 0.5, -1.0, -2.0, 3.0, 1.0, 1.0, 0.1, 1.0],
        }
    )  # fmt: skip
    rows = rows.assign(item=[f"i{at}" for at in range(9)])
    found = {(s.name, s.group): s.value(9) for s in bias_in_bios.summarize(rows, bias_in_bios.Settings(least=1))}
    assert found["tpr_gap", "nurse"] == pytest.approx(2 / 3) and found["tpr_gap", "surgeon"] == 0
    assert found["stereotype_gap", "all"] == pytest.approx(1 / 3)
    assert found["gap_correlation", "all"] == pytest.approx(1) and found["left_out", "all"] == 1
    assert ("tpr_gap", "dj") not in found


def test_a_constant_classifier_recognizes_one_profession_of_either_gender(cp, tmp_path):
    import copy

    constant = copy.deepcopy(cp)
    with torch.no_grad():
        constant.model.classifier.weight.zero_()
        constant.model.classifier.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    rows = scores(constant, bios(60), tmp_path)
    for each in bias_in_bios.summarize(rows, bias_in_bios.Settings()):
        if each.name in ("stereotype_gap", "tpr_gap", "rms_gap"):
            assert each.value(len(rows)) == 0


def test_the_data_set_comes_through_the_hub(cp, tmp_path):
    repository = tmp_path / "repository"
    (repository / "data").mkdir(parents=True)
    (repository / "README.md").write_text("# Biographies\n")
    for split, n in (("train", 8), ("test", 30)):
        bios(n).to_parquet(repository / "data" / f"{split}-00000-of-00001.parquet")
    settings = {"repo": "LabHC/bias_in_bios", "revision": REVISION, "splits": ["test"]}
    with hub_server({("dataset", "LabHC/bias_in_bios", REVISION): repository}) as endpoint:
        assert fetched(CHILD, endpoint, [settings], tmp_path) == ["hub_dataset"]
    file = tmp_path / "set" / "data" / "test-00000-of-00001.parquet"
    assert not (file.parent / "train-00000-of-00001.parquet").exists()
    rows = bias_in_bios.score(Scoring(cp, {"items": [file]}), bias_in_bios.Settings())
    direct = scores(cp, bios(), tmp_path)
    pd.testing.assert_frame_equal(rows, direct)


def test_labels_may_be_the_numbers_of_the_data_set(tmp_path):
    numbered = checkpoints.load(tiny_bert("classification", tmp_path / "model", labels=("13", "25", "20")))
    rows = scores(numbered, bios(), tmp_path)
    assert set(rows["group"][rows["skipped"] == ""]) == {"nurse", "surgeon", "poet"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gender": [2] * 30}, "test-00000-of-00001.parquet, row 0: '2' in the column 'gender' is neither '0' nor '1'"),
        ({"profession": [28] * 30}, "there is no profession 28"),
        ({"profession": ["baker"] * 30}, "none of them is one of the professions baker"),
        (
            {"profession": ["nurse", None, *["poet"] * 28]},
            "test-00000-of-00001.parquet, row 1: nothing in .* 'profession'",
        ),
        (
            {"profession": [13, float("nan"), *[20] * 28]},
            "test-00000-of-00001.parquet, row 1: nothing in .* 'profession'",
        ),
        (
            {"profession": ["nurse", "  ", *["poet"] * 28]},
            "test-00000-of-00001.parquet, row 1: nothing in .* 'profession'",
        ),
        ({"hard_text": [""] * 30}, "no text in the column 'hard_text'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(cp, tmp_path, changed, said):
    with pytest.raises(UserError, match=said):
        scores(cp, bios().assign(**changed), tmp_path)


def test_a_gap_of_few_biographies_that_are_all_right_or_wrong_is_no_certainty():
    """Nurses: 8 of 8 women and 1 of 4 men; without the error of the women's share the interval would be too narrow."""
    margins = [1.0] * 8 + [1.0, -1.0, -1.0, -1.0]
    rows = pd.DataFrame({"group": "nurse", "gender": ["female"] * 8 + ["male"] * 4, "margin": margins})
    rows = rows.assign(women=2 / 3, skipped="", item=[f"i{at:02d}" for at in range(12)])
    rows = rows.assign(cluster=rows["item"])
    (gap,) = (s for s in bias_in_bios.summarize(rows, bias_in_bios.Settings(least=1)) if s.name == "tpr_gap")
    found = numbers(join([rows], ("cluster",)), gap, None, 0.95, len(rows))
    women, men = (jackknife(share, range(12)) for share in (gap.shares.first, gap.shares.second))
    (_, above), (below, _) = share_interval(women, 12, 8), share_interval(men, 12, 4)
    (low, _), (_, high) = share_interval(women, 12, 8), share_interval(men, 12, 4)
    assert found["value"] == pytest.approx(0.75)
    assert found["ci_high"] == pytest.approx(0.75 + np.hypot(above - 1, 0.25 - below))
    assert found["ci_low"] == pytest.approx(0.75 - np.hypot(1 - low, high - 0.25)) and found["ci_low"] < 0.3
    assert found["ci_high"] <= 1
