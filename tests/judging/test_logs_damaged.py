"""Files that `judge` reads, damaged at random: read as what they say, or refused by name."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from pathlib import Path

import pytest
from log_case import crows_line, preferences, write_crows
from log_damage import damage, decoded, once

from fairshrink.errors import UserError
from fairshrink.judging import writing
from fairshrink.judging.records import OWN
from fairshrink.judging.tables import Options, read, read_all
from fairshrink.metrics.stereoset.metric import SCORES

DAMAGES = 60
LABELS = ("stereotype", "anti-stereotype", "unrelated")
PARTS = ("intrasentence", "intersentence")
FORMS = {"csv": ".csv", "lm-eval": ".jsonl", "inspect": ".json", "every-eval-ever": ".jsonl"}


def gold() -> dict:
    def context(part: str, number: int) -> dict:
        ids = [(f"{part}{number}{label}", label) for label in LABELS]
        sentences = [{"id": name, "sentence": f"A {label}.", "gold_label": label} for name, label in ids]
        about = {"id": f"{part}{number}", "target": "nurse", "bias_type": "gender", "context": "A BLANK."}
        return about | {"sentences": sentences}

    return {"data": {part: [context(part, number) for number in range(2)] for part in PARTS}}


def sentence_ids(part: str) -> list[list[str]]:
    return [[each["id"] for each in context["sentences"]] for context in gold()["data"][part]]


def same(found: object, said: object) -> bool:
    """Whether a cell is what a file says; null is NaN, and numbers may be written as text."""
    if said is None:
        return found is None or (isinstance(found, float) and math.isnan(found))
    if isinstance(said, str) and not isinstance(found, str):
        found, said = float(found), float(said.replace("True", "1").replace("False", "0"))
        return found == said or (math.isnan(found) and math.isnan(said))
    return bool(found == said)


def test_damaged_predictions_are_read_as_they_are_or_refused_by_name(tmp_path):
    (tmp_path / "dev.json").write_text(json.dumps(gold()))
    options = Options(data={"items": [tmp_path / "dev.json"]})
    outcomes = {"read": 0, "refused": 0}
    for seed in range(2 * DAMAGES):
        draw = random.Random(seed)
        path = tmp_path / f"predictions{seed}.json"
        scores = {
            part: [{"id": each, "score": draw.randint(1, 9) / 10} for context in sentence_ids(part) for each in context]
            for part in PARTS
        }
        path.write_text(json.dumps(scores, indent=1))
        damage(draw, path)
        try:
            tables = {table.settings["part"]: table.items for table in read_all(path, options)}
        except UserError as error:
            assert str(path) in str(error), (seed, error)
            outcomes["refused"] += 1
            continue
        said = decoded(path)
        assert list(tables) == [part for part in PARTS if said.get(part)], seed
        for part, table in tables.items():
            values = {each["id"]: float(each["score"]) for each in said[part]}
            assert len(values) == len(said[part]) == 6, seed
            wanted = [[values[each] for each in context] for context in sentence_ids(part)]
            assert table.sort_values("item")[list(SCORES)].to_numpy().tolist() == (wanted), seed
        outcomes["read"] += 1
    assert min(outcomes.values()) >= 5, outcomes


def rows_said(form: str, path: Path) -> list[dict]:
    """The rows of a metric's table that a file written here says it has, in its order."""
    if form == "csv":
        lines = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        header = next(lines)
        return [dict(zip(header, line, strict=True)) for line in lines if line]
    said = decoded(path)
    if form == "inspect":
        return [each["metadata"][OWN] for each in said["samples"]]
    if form == "lm-eval":
        return [each["doc"][OWN] for each in said]
    written = [each["metadata"][OWN] for each in said]
    return [json.loads(each, object_pairs_hook=once) if isinstance(each, str) else each for each in written]


def read_or_refused(path):
    """The table of items, or None where the file is refused by its name."""
    try:
        return read(path, Options("crows_pairs")).items
    except UserError as error:
        assert str(path) in str(error), error
        return None


@pytest.mark.parametrize("form", FORMS)
def test_damaged_files_of_whole_rows_are_read_as_they_are_or_refused_by_name(tmp_path, form):
    items = read(write_crows(tmp_path / "log.jsonl", preferences(4)), Options()).items
    outcomes = {"read": 0, "refused": 0}
    for seed in range(DAMAGES):
        draw = random.Random(seed)
        path = tmp_path / f"rows{seed}{FORMS[form]}"
        writing.write(items, "crows_pairs", {}, "model", path, form)
        damage(draw, path)
        table = read_or_refused(path)
        if table is None:
            outcomes["refused"] += 1
            continue
        said = rows_said(form, path)
        assert len(table) == len(said), seed
        found = {row["item"]: row for row in table.to_dict("records")}
        for row in said:
            if type(row.get("cluster")) in (int, float):  # a name, which may be a number
                row = row | {"cluster": str(row["cluster"])}
            assert all(same(found[str(row["item"])][name], value) for name, value in row.items()), (seed, row)
        outcomes["read"] += 1
    assert min(outcomes.values()) >= 5, outcomes


def pair_said(line: dict) -> tuple:
    """Item, group, direction and the two likelihoods of a line of lm-evaluation-harness."""
    scores = [float(each[0]) for each in line.get("filtered_resps", line.get("resps"))]
    texts = [each["arg_1"].strip() for each in (line.get("arguments") or {}).values()]
    if texts and texts[0] == line["doc"]["sent_less"].strip():
        scores.reverse()
    return str(line["doc_id"]), line["doc"]["bias_type"], line["doc"]["stereo_antistereo"], *scores


def test_damaged_logs_of_lm_evaluation_harness_are_read_as_they_are_or_refused_by_name(tmp_path):
    outcomes = {"read": 0, "refused": 0}
    for seed in range(2 * DAMAGES):
        draw = random.Random(seed)
        path = tmp_path / f"samples{seed}.jsonl"
        lines = [crows_line(item, value) for item, value in enumerate(preferences(3))]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        damage(draw, path)
        table = read_or_refused(path)
        if table is None:
            outcomes["refused"] += 1
            continue
        wanted = sorted(pair_said(line) for line in decoded(path))
        found = table[["item", "group", "direction", "more", "less"]]
        assert sorted(found.itertuples(index=False, name=None)) == wanted, seed
        outcomes["read"] += 1
    assert min(outcomes.values()) >= 5, outcomes
