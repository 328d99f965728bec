"""Data sets of the hub by configuration and split, from a local server; `datasets` itself is the oracle."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import fetched, hub_server
from pydantic import ValidationError

from fairshrink.data.table import TableReference
from fairshrink.data.tables import read
from fairshrink.planning import studies
from fairshrink.sources import hub_dataset
from fairshrink.study.mistakes import StudyError

REVISION = "b" * 40
CHILD = """
import json, sys
from pathlib import Path
from fairshrink.errors import UserError
from fairshrink.sources import hub_dataset
answers = []
for number, settings in enumerate(json.loads(sys.argv[1])):
    target = Path(sys.argv[2]) / f"set-{number:016d}"
    target.mkdir()
    try:
        answers.append(hub_dataset.fetch(hub_dataset.Settings(**settings), target, target))
    except UserError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""
CARD = """---
dataset_info:
- config_name: sst2
  features: [{name: sentence, dtype: string}, {name: label, dtype: {class_label: {names: {'0': bad, '1': good}}}}]
- config_name: nli
  features:
  - {name: premise, dtype: string}
  - {name: hypothesis, dtype: string}
  - {name: label, dtype: {class_label: {names: {'0': entailment, '1': neutral, '2': contradiction}}}}
configs:
- config_name: sst2
  data_files: [{split: train, path: sst2/train-*}]
- config_name: nli
  data_files: [{split: train, path: nli/train-*}, {split: test, path: nli/test-*}]
---
# A data set
"""


def rows(n: int, start: int = 0) -> dict[str, list]:
    numbers = range(start, start + n)
    return {
        "premise": [f"Premise {i}." for i in numbers],
        "hypothesis": [f"Hypothesis {i}." for i in numbers],
        "label": [i % 4 - 1 for i in numbers],
    }


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    files = {
        "nli/train-00000-of-00002.parquet": rows(20),
        "nli/train-00001-of-00002.parquet": rows(15, 20),
        "nli/test-00000-of-00001.parquet": rows(7, 35),
        "sst2/train-00000-of-00001.parquet": {"sentence": ["It is.", "It was."], "label": [1, 0]},
    }
    for name, columns in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / name)
    (folder / "README.md").write_text(CARD)
    (folder / "glue.py").write_text("1/0")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Without a card: splits by file names, classes as `datasets` writes them into the file."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "data").mkdir()
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    table = pa.table({"text": ["One.", "Two."], "label": [0, 1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, folder / "data/train-00000-of-00001.parquet")
    pq.write_table(table, folder / "data/validation-00000-of-00001.parquet")
    return folder


def fetch(endpoint: str, settings: list[dict], folder: Path) -> list:
    folder.mkdir(exist_ok=True)
    return fetched(CHILD, endpoint, settings, folder, HOME=str(folder / "home"))


def nli(**changed) -> dict:
    return {"repo": "own/set", "configuration": "nli", "revision": REVISION} | changed


def test_splits_hold_what_datasets_reads(repository, plain, tmp_path):
    import datasets

    requests: list[str] = []
    served = {("dataset", "own/set", REVISION): repository, ("dataset", "own/plain", REVISION): plain}
    wanted = [nli(), nli(splits=["test"]), {"repo": "own/plain", "revision": REVISION}, nli()]
    with hub_server(served, log=requests) as endpoint:
        answers = fetch(endpoint, wanted, tmp_path)
    assert answers[0]["files"] == answers[3]["files"], "the same bytes at every fetch"
    assert not any("glue.py" in each or "sst2" in each for each in requests if "resolve" in each)
    folder = tmp_path / "set-0000000000000000"
    columns = {"text": "premise", "text_pair": "hypothesis", "label": "label"}
    for split in ("train", "test"):
        oracle = datasets.load_dataset(str(repository), "nli", split=split, cache_dir=str(tmp_path / "cache"))
        ref = TableReference(path=str(folder), split=split, columns=columns, named=True, drop_labels=[-1])
        found = read(ref)
        names = oracle.features["label"].names
        kept = [row for row in oracle if row["label"] != -1]
        assert found["text"].tolist() == [row["premise"] for row in kept]
        assert found["text_pair"].tolist() == [row["hypothesis"] for row in kept]
        assert found["label"].tolist() == [names[row["label"]] for row in kept]
        assert len(oracle) == {"train": 35, "test": 7}[split]
    assert list(answers[1]["files"]) == ["dataset.json", "nli/test-00000-of-00001.parquet"]
    by_file = tmp_path / "set-0000000000000001/nli/test-00000-of-00001.parquet"
    original = repository / "nli/test-00000-of-00001.parquet"
    assert hashlib.sha256(by_file.read_bytes()).digest() == hashlib.sha256(original.read_bytes()).digest()
    index = json.loads((tmp_path / "set-0000000000000002/dataset.json").read_text())
    assert index["classes"] == {"label": ["no", "yes"]} and sorted(index["splits"]) == ["train", "validation"]


def test_mistakes_are_reported(repository, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.csv").write_text("text,label\na,1\n")
    served = {("dataset", "own/set", REVISION): repository, ("dataset", "own/csv", REVISION): other}
    damaged = {"card": ("---\nconfigs: [\n---\n", ""), "pointer": ("", "version https://git-lfs"), "empty": ("", "")}
    for name, (card, content) in damaged.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "README.md").write_text(card)
        (folder / "train.parquet").write_text(content)
        served["dataset", f"own/{name}", REVISION] = folder
    wrong = [
        ({"repo": "own/card", "revision": REVISION}, r"its card is damaged \(README.md: .*line 1.*`source: hub`"),
        ({"repo": "own/pointer", "revision": REVISION}, r"own/pointer@b+: train.parquet is no Parquet file"),
        ({"repo": "own/empty", "revision": REVISION}, r"own/empty@b+: train.parquet is no Parquet file"),
        (nli(configuration=None), r"configuration: .*available configs: .*sst2.*write `configuration: NAME`"),
        (nli(configuration="mnli"), r"configuration 'mnli': .*'mnli' not found. Available: .*sst2"),
        (nli(splits=["train", "tset"]), r"splits: there is no split 'tset'; there is test, train"),
        (nli(repo="own/none"), "has no dataset 'own/none'"),
        (nli(revision="c" * 40), "has no commit c"),
        ({"repo": "own/csv", "revision": REVISION}, r"has no Parquet files, but .csv; .*`source: hub`"),
    ]
    with hub_server(served) as endpoint:
        answers = fetch(endpoint, [settings for settings, _ in wrong], tmp_path)
    for answer, (_, message) in zip(answers, wrong, strict=True):
        assert isinstance(answer, str) and re.search(message, answer, re.S), answer
        assert str(tmp_path) not in answer


def test_the_pin_is_all_that_identifies_the_contents():
    one = hub_dataset.pin(hub_dataset.Settings(**nli(splits=["b", "a"])))
    assert one == hub_dataset.pin(hub_dataset.Settings(**nli(splits=["a", "b"])))
    for other in (nli(), nli(splits=["a"]), nli(configuration="x"), nli(revision="c" * 40)):
        assert hub_dataset.pin(hub_dataset.Settings(**other)) != one
    for wrong in ({"revision": "main"}, {"repo": "set"}, {"repo": "../set/x"}):
        with pytest.raises(ValidationError):
            hub_dataset.Settings(**nli(**wrong))


def study(**table) -> dict:
    table = {"download": "set", "split": "train", "columns": {"text": "premise", "text_pair": "hypothesis"}} | table
    table["columns"] = table["columns"] | {"label": "label"}
    return {
        "study": "split",
        "downloads": {
            "set": {"source": "hub_dataset", **nli(splits=["train", "test"])},
            "model": {"source": "hub", "repo": "a/b", "revision": REVISION, "files": ["*"]},
        },
        "models": {"bert": {"download": "model", "family": "encoder", "tasks": ["nli"]}},
        "tasks": {"nli": {"kind": "classification", "train": table}},
        "metrics": [{"metric": "task_score"}],
    }


def planned(folder, content):
    (folder / "config.yaml").write_text(json.dumps(content))
    return studies.load(folder / "config.yaml")


@pytest.mark.parametrize(
    ("table", "key", "reason"),
    [
        ({"split": "trian"}, "split", "does not list 'trian'"),
        ({"download": "model"}, "split", "has files, not splits"),
        ({"file": "x.parquet"}, "", "`split` stands instead of `file` and `format`"),
        ({"split": None}, "", "`file` is missing"),
        ({"columns": {"text": 0}}, "", "columns of a `split` have names"),
        ({"header": False}, "", "`header` is for csv and tsv"),
    ],
)
def test_splits_are_checked_at_planning_without_the_hub(tmp_path, table, key, reason):
    assert planned(tmp_path, study()).tasks["nli"].trained
    assert planned(tmp_path, study(labels=["neutral", "entailment", "contradiction"])).tasks["nli"].provides >= {"nli"}
    with pytest.raises(StudyError) as caught:
        planned(tmp_path, study(**table))
    places = {each.key: each.reason for each in caught.value.mistakes}
    assert reason in places[f"tasks.nli.train{'.' if key else ''}{key}"]


def test_a_ready_made_models_labels_are_listed(tmp_path):
    content = study()
    content["tasks"]["nli"] |= {"finetune": False, "test": {"own": content["tasks"]["nli"].pop("train")}}
    with pytest.raises(StudyError, match="label names are missing"):
        planned(tmp_path, content)
