"""A study with mistakes ends before any job, with all of them: file, key, reason, remedy."""

import copy

import pytest
import yaml
from tiny_study import ROOT, study, write_data

from fairshrink import registry
from fairshrink.planning.studies import load
from fairshrink.study.mistakes import StudyError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    write_data(path / "local", models=())
    return path


def mistakes(folder, content) -> dict[str, tuple[str, str]]:
    """Mistakes by key: reason and remedy."""
    file = folder / "config.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(StudyError) as caught:
        load(file)
    text = str(caught.value)
    for each in caught.value.mistakes:
        assert each.key in text
        assert each.reason in text
        assert each.remedy in text
    assert text.startswith(f"{file}: {len(caught.value.mistakes)} mistake")
    return {each.key: (each.reason, each.remedy) for each in caught.value.mistakes}


def changed(change) -> dict:
    content = copy.deepcopy(study())
    change(content)
    return content


def pypi(content):
    content["downloads"]["bert"] = {
        "source": "pypi",
        "project": "p",
        "version": "1",
        "file": "p-1-py3-none-any.whl",
        "members": ["*"],
    }


CASES = {
    "unknown top-level key": (
        lambda c: c.update(metric=[]),
        "metric",
        "no key 'metric'",
        "did you mean 'metrics'?",
    ),
    "unknown key of a task": (
        lambda c: c["tasks"]["sentiment"].update(epoch=2),
        "tasks.sentiment.epoch",
        "no key 'epoch'",
        "did you mean 'epochs'?",
    ),
    "misspelled method": (
        lambda c: c["compressions"].append({"method": "magnitude_globl", "sparsity": 0.1}),
        "compressions[3].method",
        "no method 'magnitude_globl'",
        "did you mean 'magnitude_global'?",
    ),
    "sparsity out of bounds": (
        lambda c: c["compressions"].append({"method": "random", "sparsity": 1.5}),
        "compressions[3].sparsity",
        "less than 1",
        "share of the weights",
    ),
    "missing setting": (
        lambda c: c["compressions"].append({"method": "random"}),
        "compressions[3].sparsity",
        "missing",
        "add `sparsity: …`",
    ),
    "metric that no task supports": (
        lambda c: c["metrics"].append({"metric": "sentiment_gap", "tasks": ["lm"]}),
        "metrics.sentiment_gap.tasks",
        "'lm' does not",
        "sentiment",
    ),
    "missing pin": (pypi, "downloads.bert.sha256", "missing", "64 hex digits"),
    "missing column name": (
        lambda c: c["tasks"]["sentiment"]["train"]["columns"].pop("label"),
        "tasks.sentiment.train.columns.label",
        "not named",
        "`label: NAME`",
    ),
    "shares that leave nothing to train on": (
        lambda c: c["tasks"]["sentiment"].update(test_share=0.6, dev_share=0.4),
        "tasks.sentiment.test_share",
        "leave nothing to train on",
        "below 1",
    ),
    "wrong column name": (
        lambda c: c["tasks"]["sentiment"]["train"]["columns"].update(text="sentense"),
        "tasks.sentiment.train.columns.text",
        "has no column 'sentense'",
        "did you mean 'sentence'?",
    ),
    "wrong column of a jsonl file": (
        lambda c: c["tasks"]["nli"]["train"]["columns"].update(label="golden"),
        "tasks.nli.train.columns.label",
        "has no column 'golden'",
        "did you mean 'gold'?",
    ),
    "file that the local source does not hold": (
        lambda c: c["tasks"]["nli"]["train"].update(file="pair.jsonl"),
        "tasks.nli.train.file",
        "no file 'pair.jsonl'",
        "did you mean 'pairs.jsonl'?",
    ),
    "file in another encoding": (
        lambda c: c["tasks"]["mlm"]["train"].update(encoding="utf-16"),
        "tasks.mlm.train",
        "cannot be read in the encoding utf-16",
        "the right `encoding`",
    ),
    "two equal entries": (
        lambda c: c["compressions"].append({"method": "magnitude_global", "sparsity": 0.9}),
        "compressions[3]",
        "is in compressions[0] already",
        "leave one",
    ),
    "two metrics of one name": (
        lambda c: c["metrics"].append({"metric": "bias_sts"}),
        "metrics.bias_sts",
        "two metrics of this name apply to bert on similarity",
        "`name: …`",
    ),
    "unknown download": (
        lambda c: c["models"]["bert"].update(download="brt"),
        "models.bert.download",
        "no download 'brt'",
        "did you mean 'bert'?",
    ),
    "task that the model cannot do": (
        lambda c: c["models"]["llama"]["tasks"].append("mlm"),
        "models.llama.tasks",
        "a causal model cannot do task 'mlm'",
        "causal_lm",
    ),
    "method that needs examples": (
        lambda c: c["compressions"].append({"method": "head_pruning", "sparsity": 0.5, "models": ["bert"]}),
        "compressions.head_pruning.tasks",
        "none in similarity",
        "mlm, nli, sentiment",
    ),
    "metric without its data": (
        lambda c: c["metrics"][2].pop("data"),
        "metrics.stereoset.data.items",
        "not named",
        "`download:`",
    ),
    "local file that is not there": (
        lambda c: c["downloads"]["reviews"].update(path="local/review.csv"),
        "downloads.reviews",
        "does not exist",
        "relative to the study's file",
    ),
    "task that no model has": (
        lambda c: c["models"]["bert"]["tasks"].remove("nli"),
        "tasks.nli",
        "no model has this task",
        "leave it out",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_is_found_and_its_remedy_named(folder, name):
    change, key, reason, remedy = CASES[name]
    found = mistakes(folder, changed(change))
    assert key in found, found
    assert reason in found[key][0]
    assert remedy in found[key][1]


def test_all_mistakes_come_in_one_message(folder):
    chosen = ["unknown top-level key", "misspelled method", "sparsity out of bounds", "missing pin", "unknown download"]

    def all_of_them(content):
        for name in chosen:
            CASES[name][0](content)

    found = mistakes(folder, changed(all_of_them))
    assert {"metric", "compressions[3].method", "compressions[4].sparsity"} <= set(found)
    assert {"downloads.bert.sha256", "models.bert.download"} <= set(found)


def test_merged_keys(folder):
    """`<<: *anchor` brings keys that may be written anew; a key that is written twice is a mistake there too."""
    text = yaml.safe_dump(study(), sort_keys=False)
    merging = "- &first {method: random, sparsity: 0.1}\n- {<<: *first, sparsity: 0.2}\n"
    (folder / "config.yaml").write_text(text.replace("compressions:\n", f"compressions:\n{merging}"))
    assert [each.settings.sparsity for each in load(folder / "config.yaml").compressions[:2]] == [0.1, 0.2]
    twice = merging.replace("{<<: *first,", "{<<: *first, sparsity: 0.3,")
    (folder / "config.yaml").write_text(text.replace("compressions:\n", f"compressions:\n{twice}"))
    with pytest.raises(StudyError, match="written twice"):
        load(folder / "config.yaml")


def test_duplicate_key(folder):
    text = yaml.safe_dump(study(), sort_keys=False) + "seed: 4\n"
    assert any(key.startswith("seed (line") for key in mistakes(folder, text))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "study: [\n"])
def test_files_that_are_not_studies(folder, text):
    assert mistakes(folder, text)


def test_missing_file(tmp_path):
    with pytest.raises(StudyError, match="does not exist"):
        load(tmp_path / "none.yaml")
    with pytest.raises(StudyError, match="it is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["config.yaml", "configs/paper.yaml"])
def test_studies_that_ship_are_valid(file):
    found = load(ROOT / file)
    assert found.metrics


def test_no_study_needs_bfloat16_but_that_for_a_gpu():
    files = [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
    used = {}
    for file in files:
        read = load(file)
        trained = [getattr(task.settings, "precision", "fp32") for task in read.tasks.values()]
        used[file.name] = {*trained, *(metric.keys.precision for metric in read.metrics)}
    assert used.pop("llm.yaml") == {"fp32", "bf16"}
    assert set(map(frozenset, used.values())) == {frozenset({"fp32"})} and len(used) > 3


def test_good_study_expands_lists_to_a_grid(folder):
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(study()))
    found = load(file)
    assert [(e.method, getattr(e.settings, "sparsity", None)) for e in found.compressions] == [
        ("magnitude_global", 0.5),
        ("magnitude_global", 0.9),
        ("head_pruning", 0.25),
        ("int8_dynamic", None),
    ]


@pytest.mark.parametrize("kind", registry.KINDS)
def test_modules_found_by_name_keep_to_their_interface(kind):
    wanted = {
        "sources": ["Settings", "pin", "fetch"],
        "tasks": ["Settings", "HEAD", "TRAINED", "provides", "score"],
        "compression": ["Settings", "NEEDS_TASK", "compress"],
        "metrics": ["Settings", "NEEDS", "KIND", "ROLES", "HEADLINE", "score", "summarize"],
    }[kind]
    for name in registry.names(kind):
        module = registry.load(kind, name)
        assert module.__doc__ and len(module.__doc__) > 80, name
        missing = [each for each in wanted if not hasattr(module, each)]
        assert not missing, (name, missing)
        for field, about in module.Settings.model_fields.items():
            assert about.description, (name, field)


def test_planning_imports_nothing_heavy():
    import subprocess
    import sys

    program = (
        "import sys; from fairshrink import registry\n"
        "from fairshrink.planning import studies; from fairshrink.planning import grid, plan, workflow\n"
        "for kind in registry.KINDS:\n    for name in registry.names(kind): registry.load(kind, name)\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'pyarrow', 'scipy', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
