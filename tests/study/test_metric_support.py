"""Which metrics a model can take is decided when the study is read, or right after its download: never by a job."""

import copy
import json

import pytest
import yaml
import zoo
from tiny_study import stub_model, study, write_data

from fairshrink.models.support import ARCHITECTURES
from fairshrink.planning.studies import load
from fairshrink.registry import CATALOG
from fairshrink.study.abilities import WAYS, heads_of, takes, within_reach
from fairshrink.study.mistakes import StudyError
from fairshrink.study.uses import ModelUse, mistakes_in, uses

PAIRS = {"items": {"download": "benchmarks", "file": "pairs.csv"}}
BBQ = PAIRS | {"metadata": {"download": "benchmarks", "file": "pairs.csv"}}
GENERIC = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "local", models=())
    return tmp_path


def read(folder, change=lambda content: None):
    content = copy.deepcopy(study())
    change(content)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return load(file)


def mistakes(folder, change=lambda content: None) -> dict[str, tuple[str, str]]:
    with pytest.raises(StudyError) as caught:
        read(folder, change)
    assert len({each.key for each in caught.value.mistakes}) == len(caught.value.mistakes)
    return {each.key: (each.reason, each.remedy) for each in caught.value.mistakes}


def with_metric(**entry):
    return lambda content: content["metrics"].append({"name": "x", **entry})


def tokenizer_of(folder, model, content):
    (folder / "local" / model / "tokenizer_config.json").write_text(json.dumps(content))


def test_a_model_without_a_task_that_gives_what_the_metric_needs(folder):
    reason, remedy = mistakes(folder, with_metric(metric="aul", models=["llama"], data=PAIRS))["metrics.x.models"]
    assert reason == "aul needs a task that gives masked_lm; model 'llama' has lm (causal_lm)"
    able = {name for name in CATALOG.metrics.names() if {"causal_lm", "embedding"} & CATALOG.metrics[name].NEEDS}
    listed = remedy.removeprefix("other models: 'llama' can take ").split(", ")
    assert able <= set(listed) and "aul" not in listed and "bias_nli" not in listed


def test_a_model_that_could_be_given_such_a_task(folder):
    def change(content):
        content["models"]["bert"]["tasks"].remove("mlm")
        content["models"]["other"] = {"download": "bert", "family": "encoder", "tasks": ["mlm"]}
        content["metrics"].append({"metric": "aul", "name": "x", "models": ["bert"], "data": PAIRS})

    _, remedy = mistakes(folder, change)["metrics.x.models"]
    assert remedy.startswith("other models: 'bert' can take ") and remedy.endswith(
        "or a task for it: `kind: masked_lm`"
    )


def test_named_models_and_tasks_that_do_not_meet(folder):
    found = mistakes(folder, with_metric(metric="crows_pairs", models=["llama"], tasks=["mlm"], data=PAIRS))
    assert found == {"metrics.x.models": ("model 'llama' has none of the tasks mlm", "`tasks: [lm]`, or other models")}
    found = mistakes(folder, with_metric(metric="crows_pairs", models=["bert"], tasks=["mlm", "lm"], data=PAIRS))
    assert found == {"metrics.x.tasks": ("none of its models has task 'lm'", "leave it out, or `models: [llama]`")}


def test_polarity_and_the_labels_of_inference_are_asked_for(folder):
    def without_polarity(content):
        feelings = {"download": "reviews", "file": "reviews.csv", "format": "csv", "labels": ["bad", "good"]}
        feelings["columns"] = {"text": "sentence", "label": "stars"}
        content["tasks"]["feelings"] = {"kind": "classification", "train": feelings}
        content["models"]["bert"]["tasks"].append("feelings")
        content["metrics"].append({"metric": "sentiment_gap", "name": "x", "tasks": ["feelings"]})

    reason, remedy = mistakes(folder, without_polarity)["metrics.x.tasks"]
    assert reason.endswith("'feelings' does not")
    assert "tasks.feelings.polarity, `polarity: {bad: …, good: …}`" in remedy and "'feelings' can take" in remedy

    def other_labels(content):
        lines = [{"premise": "He is kind.", "hypothesis": "He is.", "gold": "e"}]
        (folder / "local/pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        content["tasks"]["nli"]["train"]["labels"] = ["e", "n", "c"]
        content["metrics"][4]["tasks"] = ["nli"]

    _, remedy = mistakes(folder, other_labels)["metrics.bias_nli.tasks"]
    assert "`labels: {e: entailment, n: neutral, c: contradiction}`" in remedy


@pytest.mark.parametrize("metric", ["subgroup_auc", "bias_in_bios"])
def test_metrics_of_single_texts_are_refused_for_tasks_with_pairs(folder, metric):
    """Text alone would be scored by a classifier that was trained on pairs."""
    found = mistakes(folder, with_metric(metric=metric, tasks=["nli"], data=PAIRS))
    reason, remedy = found["metrics.x.tasks"]
    assert reason == f"{metric} needs a task that gives sentence_classification; 'nli' does not"
    assert "leave the metric out" in remedy and "('nli' can take " in remedy and metric not in remedy
    assert found["metrics.x"][1].startswith("add `kind: classification` of single texts")


def test_nothing_to_compare_with_a_baseline(folder):
    def change(content):
        content.update(compressions=[], controls=[])
        content["metrics"].append({"metric": "fidelity"})

    assert "nothing is made of one" in mistakes(folder, change)["metrics.fidelity"][0]

    def of_another_task(content):
        content.update(compressions=[{"method": "random", "sparsity": 0.1, "tasks": ["lm"]}], controls=[])
        content["metrics"].append({"metric": "fidelity", "tasks": ["mlm"]})

    assert "metrics.fidelity" in mistakes(folder, of_another_task)
    read(folder, lambda c: c["metrics"].append({"metric": "fidelity"}))


def test_settings_that_do_not_suit_the_kind_of_model_whatever_its_files_say(folder):
    for metric in ("weat", "seat"):
        change = with_metric(metric=metric, pooling="cls", tasks=["lm"])
        reason, remedy = mistakes(folder, change)["metrics.x.pooling"]
        assert reason.startswith("models.llama: cls does not fit a causal model")
        assert remedy == "`pooling: last`, or other `models`"
        read(folder, with_metric(metric=metric, pooling="cls", tasks=["mlm"]))


def test_a_chat_template_that_the_tokenizer_does_not_have(folder):
    change = with_metric(metric="bbq", tasks=["lm"], chat_template=True, data=BBQ)
    reason, _ = mistakes(folder, change)["metrics.x.chat_template"]
    assert reason == "models.llama: its tokenizer has no chat template"
    tokenizer_of(folder, "llama", {"chat_template": "{{ messages }}"})
    read(folder, change)
    tokenizer_of(folder, "llama", {})
    (folder / "local/llama/chat_template.jinja").write_text("{{ messages }}")
    read(folder, change)
    read(folder, with_metric(metric="bbq", tasks=["nli"], chat_template=True, data=BBQ))


def test_answers_longer_than_the_model_has_positions(folder):
    change = with_metric(metric="bbq", tasks=["lm"], form="generative", tokens=64, data=BBQ)
    read(folder, change)
    (folder / "local/llama/config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 64}))
    assert "it has 64 positions" in mistakes(folder, change)["metrics.x.tokens"][0]


def test_a_tokenizer_without_the_tokens_of_a_language_model(folder):
    tokenizer_of(folder, "bert", GENERIC)
    assert "no mask token" in mistakes(folder)["models.bert"][0]
    (folder / "local/bert/special_tokens_map.json").write_text(json.dumps({"mask_token": "[MASK]"}))
    read(folder)
    tokenizer_of(folder, "bert", {"tokenizer_class": "BertTokenizer"})  # a class that has one by itself
    (folder / "local/bert/special_tokens_map.json").unlink()
    read(folder)
    tokenizer_of(folder, "llama", {"tokenizer_class": "PreTrainedTokenizerFast"})
    assert "no token that begins or ends a text" in mistakes(folder)["models.llama"][0]
    tokenizer_of(folder, "llama", GENERIC)
    read(folder)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_takes_the_metrics_of_the_heads_that_transformers_has_of_it(kind):
    """The oracle: classes of transformers for a head, and what each metric says in its card's module that it needs."""
    family = ARCHITECTURES[kind].family
    by_head = {
        "encoder": {"embedding", "similarity", "scored", "texts"},
        "masked_lm": {"embedding", "masked_lm", "scored"},
        "causal_lm": {"embedding", "causal_lm", "scored"},
        "regression": {"embedding", "regression", "sentence_regression", "similarity", "scored"},
        "classification": {"embedding", "sentence_classification", "sentiment", "nli", "multiple_choice", "scored"},
    }
    heads = [head for head in by_head if zoo.has_class(kind, head) and (head == "causal_lm") == (family == "causal")]
    able = set().union(*(by_head[head] for head in heads))
    expected = {name for name in CATALOG.metrics.names() if able & CATALOG.metrics[name].NEEDS}
    assert set(takes(within_reach(heads_of({"model_type": kind}), CATALOG.tasks), CATALOG.metrics)) == expected
    assert able <= WAYS.keys()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_local_model_of_every_architecture_is_told_from_its_config(kind, folder):
    """A study gives every architecture all kinds of task of its family: what it lacks is a mistake with a remedy."""
    encoder = ARCHITECTURES[kind].family == "encoder"
    name, tasks = ("bert", ["sentiment", "mlm", "nli"]) if encoder else ("llama", ["lm"])
    heads = {"sentiment": "regression", "mlm": "masked_lm", "nli": "classification", "lm": "causal_lm"}
    stub_model(folder / "local" / name, kind)
    absent = [task for task in tasks if not zoo.has_class(kind, heads[task])]
    change = with_metric(metric="crows_pairs", models=[name], data=PAIRS)
    if not absent:
        read(folder, change)
        return
    with pytest.raises(StudyError) as caught:
        read(folder, change)
    found = [each for each in caught.value.mistakes if each.key == f"models.{name}"]
    assert len(found) == len(absent)
    assert all("with tasks of kind `similarity` it can take bias_sts, fidelity, seat" in each.remedy for each in found)


def test_what_is_downloaded_is_looked_at_by_the_same_rules_when_it_has_arrived(folder):
    tokenizer_of(folder, "llama", {"chat_template": "{{ messages }}"})
    loaded = read(folder, with_metric(metric="bbq", tasks=["lm"], chat_template=True, data=BBQ))
    (use,) = (use for name, use in uses(loaded) if isinstance(use, ModelUse) and name == "llama")
    fetched = stub_model(folder / "fetched", "llama")
    (mistake,) = mistakes_in(use, fetched, CATALOG)
    assert (mistake.key, mistake.remedy) == ("metrics.x.chat_template", "`chat_template: false`, or other `models`")
    (fetched / "chat_template.jinja").write_text("{{ messages }}")
    assert mistakes_in(use, fetched, CATALOG) == []
