"""What a study names inside its local sources is there, or is a mistake before any job."""

import copy
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tiny_study import stub_model, study, write_data

from fairshrink.data.splits import INDEX
from fairshrink.data.table import Table
from fairshrink.planning import grid
from fairshrink.planning.studies import load
from fairshrink.study import uses
from fairshrink.study.mistakes import StudyError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234567\n"


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "local", models=())
    return tmp_path


def mistakes(folder, change=lambda content: None) -> dict[str, tuple[str, str]]:
    content = copy.deepcopy(study())
    change(content)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(StudyError) as caught:
        load(file)
    return {each.key: (each.reason, each.remedy) for each in caught.value.mistakes}


def test_a_folder_that_is_not_in_the_source(folder):
    shutil.rmtree(folder / "local/bert")
    stub_model(folder / "local/bert/final")
    found = mistakes(folder, lambda c: c["models"]["bert"].update(folder="fnal"))
    assert found["models.bert.folder"] == (
        "there is no folder 'fnal' in the download",
        "did you mean 'final'? there is final",
    )
    assert "`folder: final`" in mistakes(folder)["models.bert"][1]
    found = mistakes(folder, lambda c: c["models"]["bert"].update(folder="../llama"))
    assert "leads out of" in found["models.bert.folder"][0]


def test_a_model_is_read_for_all_tasks_at_once(folder):
    stub_model(folder / "local/bert", "gpt2")
    found = mistakes(folder)
    assert list(found) == ["models.bert"]
    assert "GPT-2" in found["models.bert"][0]


def test_a_model_that_is_one_file(folder):
    found = mistakes(folder, lambda c: c["models"]["bert"].update(download="reviews"))
    assert "one file reviews.csv" in found["models.bert.download"][0]
    (folder / "local/m.gguf").write_text("no")
    found = mistakes(
        folder,
        lambda c: (
            c["downloads"]["llama"].update(path="local/m.gguf"),
            c["models"]["llama"].update(gguf_file="m.gguf"),
        ),
    )
    assert "m.gguf is not a GGUF file" in found["models.llama.gguf_file"][0]


def test_pointers_in_place_of_tables_and_of_a_metrics_data(folder):
    (folder / "local/reviews.csv").write_text(POINTER)
    (folder / "local/benchmarks/word_lists/nouns/objects/food").write_text(POINTER)
    found = mistakes(folder)
    assert {"tasks.sentiment.train.file", "tasks.lm.train.file", "metrics.bias_nli.data.words.file"} <= found.keys()
    assert "word_lists/nouns/objects/food: a git-lfs pointer" in found["metrics.bias_nli.data.words.file"][0]
    assert all("git lfs pull" in remedy for _, remedy in found.values())


def test_files_of_a_metric_that_are_not_there(folder):
    found = mistakes(folder, lambda c: c["metrics"][2]["data"]["items"].update(file="stereo_set.json"))
    assert found["metrics.stereoset.data.items.file"][1] == "did you mean 'stereoset.json'?"


def test_what_an_architecture_cannot_lose(folder):
    stub_model(folder / "local/llama", "olmo2")
    found = mistakes(folder, lambda c: c["compressions"][1].update(tasks=["lm"]))
    reason, remedy = found["compressions.head_pruning.models"]
    assert "models.llama: attention heads of the architecture 'olmo2' cannot be removed" in reason
    assert remedy == "use another method"


def test_more_heads_than_can_go(folder):
    config = {"model_type": "bert", "num_attention_heads": 2}
    (folder / "local/bert/config.json").write_text(json.dumps(config))
    found = mistakes(folder, lambda c: c["compressions"][1].update(sparsity=0.75))
    assert found["compressions.head_pruning.sparsity"][0].startswith("models.bert can lose 50% of its heads")


def test_a_study_is_not_called_like_a_folder_of_results(folder):
    assert "`scores_study`" in mistakes(folder, lambda c: c.update(study="scores"))["study"][1]


def test_spellings_of_one_place_are_one(folder):
    def keys(change):
        content = copy.deepcopy(study())
        change(content)
        (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return list(grid.expand(load(folder / "config.yaml")))

    def other(content):
        content["models"]["bert"]["folder"] = "./"
        content["tasks"]["lm"]["train"]["file"] = ["reviews.csv"]
        content["tasks"]["mlm"]["train"]["file"] = ".//reviews.csv"
        content["metrics"][4]["data"]["words"]["file"] = ["word_lists/"]

    assert keys(other) == keys(lambda content: None)


def test_settings_that_do_not_fit_the_sizes_of_a_model(folder):
    config = {"model_type": "bert", "num_attention_heads": 2, "hidden_size": 96, "intermediate_size": 384}
    (folder / "local/bert/config.json").write_text(json.dumps(config))
    entry = {"method": "int4_weight_only", "group": 64, "models": ["bert"]}
    found = mistakes(folder, lambda c: c["compressions"].append(entry))
    assert found["compressions.int4_weight_only.group"] == (
        "models.bert: groups of 64 weights do not divide rows of 96",
        "16, 32, or other `models`",
    )
    found = mistakes(folder, lambda c: c["compressions"].append({"method": "linear_quantization", "bits": 0}))
    assert any("bits" in key for key in found)


@pytest.mark.parametrize(
    ("rows", "reason", "remedy"),
    [
        ([0], "split train has no rows", "name a split that contains examples"),
        ([0, 0], "split train has no rows", "name a split that contains examples"),
        ([], "split train has no rows", "name a split that contains examples"),
        ([2, 0], "split train: 1.parquet: no rows, so that", "name the other files, with `source: hub`"),
        ([2, 1], "", ""),
    ],
)
def test_a_split_without_rows_is_not_called_damaged(tmp_path, rows, reason, remedy):
    folder = tmp_path / "set-0123456789ab"
    folder.mkdir()
    names = [f"{number}.parquet" for number in range(len(rows))]
    for name, number in zip(names, rows, strict=True):
        table = pa.table({"text": pa.array(["kind"] * number, pa.string())})
        pq.write_table(table, folder / name)
    (folder / INDEX).write_text(json.dumps({"splits": {"train": names}, "classes": {}}))
    use = uses.TableUse("tasks.mlm.train", Table(download="set", split="train", columns={"text": "text"}), False)
    wrong = []
    found = uses.read_table(use, folder, wrong)
    assert [each.key for each in wrong] == ["tasks.mlm.train.split"] * bool(reason)
    assert all(reason in each.reason and remedy in each.remedy for each in wrong)
    assert (found and found.rows) == (None if reason else 3)
