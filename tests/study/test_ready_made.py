"""Models that are used as they are: what a study may ask of them, said before any job."""

import copy
import json

import pytest
import yaml
from tiny_study import study, write_data

from fairshrink.planning import grid
from fairshrink.planning.studies import load
from fairshrink.study.mistakes import StudyError

LABELS = ["negative", "neutral", "positive"]
OWN = {
    "model_type": "bert",
    "id2label": {"0": "POSITIVE", "1": "Negative", "2": "neutral"},
    "architectures": ["BertForSequenceClassification"],
}


def table(file="feelings.csv", **more):
    columns = {"text": "sentence", "label": "feeling"}
    return {"download": "feelings", "file": file, "format": "csv", "columns": columns, "labels": LABELS} | more


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "local", models=())
    (tmp_path / "local" / "bert" / "config.json").write_text(json.dumps(OWN))
    (tmp_path / "local" / "feelings").mkdir()
    for name in ("feelings", "more"):
        lines = [f"It is {label}.,{label}\n" for label in LABELS]
        (tmp_path / f"local/feelings/{name}.csv").write_text("sentence,feeling\n" + "".join(lines))
    return tmp_path


def content():
    """A classifier on a test table, nothing else."""
    made = study()
    made["downloads"] = {name: {"source": "local", "path": f"local/{name}"} for name in ("bert", "feelings")}
    made["models"] = {"bert": {"download": "bert", "family": "encoder", "tasks": ["feelings"]}}
    made["tasks"] = {"feelings": {"kind": "classification", "finetune": False, "test": {"own": table()}}}
    made["compressions"] = [{"method": "int8_dynamic"}]
    made["metrics"] = [{"metric": "task_score"}, {"metric": "sentiment_gap"}]
    return made


def planned(folder, change=lambda made: None):
    made = copy.deepcopy(content())
    change(made)
    (folder / "config.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    return load(folder / "config.yaml")


def mistakes(folder, change):
    with pytest.raises(StudyError) as caught:
        planned(folder, change)
    return {each.key: (each.reason, each.remedy) for each in caught.value.mistakes}


def test_a_test_table_is_enough(folder):
    artifacts = list(grid.expand(planned(folder)).values())
    (baseline,) = [each for each in artifacts if each.stage == "finetune"]
    assert baseline.name == "bert-feelings"
    assert baseline.job.model.labels == tuple(LABELS) and not baseline.job.model.trained
    assert set(baseline.inputs) == {"model"}, "what is tested on changes no checkpoint"
    assert {each.name for each in artifacts if each.stage == "evaluate"} == {"task_score", "sentiment_gap"}
    assert len([each for each in artifacts if each.stage == "compress"]) == 1


def test_two_tasks_of_one_model_are_two_checkpoints(folder):
    def twice(made):
        made["models"]["bert"]["tasks"].append("more")
        made["tasks"]["more"] = copy.deepcopy(made["tasks"]["feelings"])
        made["tasks"]["more"]["test"]["own"]["file"] = "more.csv"

    artifacts = list(grid.expand(planned(folder, twice)).values())
    keys = [each.key for each in artifacts]
    assert len(set(keys)) == len(keys)
    assert len([each for each in artifacts if each.stage == "finetune"]) == 2


def task(**keys):
    return lambda made: made["tasks"]["feelings"].update(keys)


def own(**keys):
    return lambda made: made["tasks"]["feelings"]["test"]["own"].update(keys)


def method(**keys):
    return lambda made: made["compressions"].append(keys)


def control(**keys):
    return lambda made: made.update(controls=[keys])


def with_examples(**keys):
    def change(made):
        made["tasks"]["feelings"]["train"] = table()
        made["compressions"].append(keys)

    return change


WRONG = {
    "no table": (task(test=None), "tasks.feelings.test", "needs a table to test on", "`test:"),
    "fine-tuning": (task(finetune=True), "tasks.feelings.train", "needs examples", "`finetune: false`"),
    "splits": (task(splits=[0, 1]), "tasks.feelings.splits", "all splits are the same", "leave `splits` out"),
    "training": (task(epochs=3), "tasks.feelings.epochs", "about training", "leave `epochs`"),
    "division": (task(dev_share=0.1), "tasks.feelings.dev_share", "about training", "leave `dev_share`"),
    "no labels": (own(labels=None), "tasks.feelings.test.own.labels", "label names are missing", "`labels:"),
    "other labels": (
        own(labels=["bad", "neutral", "positive"], drop_labels=["negative"]),
        "tasks.feelings.test.own.labels",
        "the labels of model 'bert' are POSITIVE, Negative, neutral, those of the task bad, neutral, positive",
        "`labels: {POSITIVE: bad, Negative: neutral, neutral: positive}`",
    ),
    "fewer labels": (
        own(labels=["negative", "positive"], drop_labels=["neutral"]),
        "tasks.feelings.test.own.labels",
        "those of the task negative, positive",
        "say which is which",
    ),
    "a method that looks at examples": (
        method(method="head_pruning", sparsity=0.25),
        "compressions.head_pruning.tasks",
        "needs examples, and there are none in feelings",
        "leave it out; or tasks.feelings.train",
    ),
    "a method that trains": (
        with_examples(method="iterative_magnitude", sparsity=0.5),
        "compressions.iterative_magnitude.tasks",
        "trains as baselines are trained, and those of feelings are not",
        "leave it out",
    ),
    "a control that trains": (
        control(method="other_seed"),
        "controls.other_seed.tasks",
        "trains as baselines are trained",
        "leave it out",
    ),
    "a dose": (
        lambda made: made.update(doses=[{"name": "d", "task": "feelings", "table": table(), "amounts": [1]}]),
        "doses.d.task",
        "are not trained",
        "one of",
    ),
    "polarity of some": (
        task(polarity={"negative": -1, "positive": 1, "god": 2}),
        "tasks.feelings.polarity",
        "none for neutral; god: no label",
        "`polarity: {negative: -1, neutral: 0, positive: 1}`",
    ),
    "polarity of pairs": (
        lambda made: (
            task(polarity={"negative": -1, "neutral": 0, "positive": 1})(made),
            own(columns={"text": "sentence", "text_pair": "feeling", "label": "feeling"})(made),
        ),
        "tasks.feelings.polarity",
        "sentiment of pairs",
        "leave `polarity` out",
    ),
    "one polarity": (
        task(polarity={"negative": 1, "neutral": 1, "positive": 1}),
        "tasks.feelings.polarity",
        "at least two different numbers",
        "a negative one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes(folder, name):
    change, key, reason, remedy = WRONG[name]
    found = mistakes(folder, change)
    assert key in found, found
    assert reason in found[key][0] and remedy in found[key][1], found[key]


@pytest.mark.parametrize(
    ("config", "key", "reason"),
    [
        ({"architectures": ["BertForMaskedLM"]}, "models.bert.tasks", "it is a BertForMaskedLM, without such a head"),
        ({"id2label": None, "architectures": None}, "tasks.feelings.test.own.labels", "are LABEL_0, LABEL_1, those of"),
    ],
)
def test_what_a_local_config_says(folder, config, key, reason):
    (folder / "local/bert/config.json").write_text(json.dumps(OWN | config))
    assert reason in mistakes(folder, lambda made: None)[key][0]


def test_a_regression_has_one_output(folder):
    def numbers(made):
        task(kind="regression")(made)
        del made["tasks"]["feelings"]["test"]["own"]["labels"]
        made["metrics"].pop()

    lines = "".join(f"It is {number}.,{number}\n" for number in range(3))
    (folder / "local/feelings/feelings.csv").write_text("sentence,feeling\n" + lines)
    assert "has 3 outputs, POSITIVE, Negative, neutral" in mistakes(folder, numbers)["models.bert.tasks"][0]
    (folder / "local/bert/config.json").write_text(json.dumps(OWN | {"id2label": {"0": "score"}}))
    assert planned(folder, numbers).tasks["feelings"].provides >= {"sentence_regression", "scored"}


def test_generic_names_are_said_by_the_table(folder):
    (folder / "local/bert/config.json").write_text(
        json.dumps(OWN | {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}})
    )
    named = {"LABEL_0": "neutral", "LABEL_1": "positive", "LABEL_2": "negative"} | {each: each for each in LABELS}
    (baseline, *_) = [
        each for each in grid.expand(planned(folder, own(labels=named))).values() if each.stage == "finetune"
    ]
    assert baseline.job.model.labels == ("neutral", "positive", "negative")
    assert dict(baseline.job.model.names) == named


def test_polarity_gives_sentiment_and_reaches_only_what_measures_it(folder):
    def stars(made):
        for name, config in {"feelings": {}}.items():
            made["tasks"][name]["polarity"] = {"negative": -1, "neutral": 0.5, "positive": 1} | config

    plain, polar = ({each.path.rsplit("-", 1)[0]: each for each in grid.expand(one).values()} for one in (
        planned(folder), planned(folder, stars)
    ))  # fmt: skip
    differing = {each.stage for path, each in polar.items() if plain[path].key != each.key}
    assert differing == {"evaluate", "aggregate"}
    jobs = [each.job for each in polar.values() if each.stage == "evaluate"]
    assert {each.metric: dict(each.polarity) for each in jobs} == {
        "task_score": {},
        "sentiment_gap": {"negative": -1, "neutral": 0.5, "positive": 1},
    }


@pytest.mark.parametrize("tables", [True, False])
def test_a_masked_language_model_as_it_is(folder, tables):
    def language(made):
        made["tasks"] = {"feelings": {"kind": "masked_lm", "finetune": False}}
        if tables:
            made["tasks"]["feelings"]["test"] = {"own": table(columns={"text": "sentence"}, labels=None)}
        made["metrics"] = [{"metric": "seat", "tests": ["seat6"]}] + [{"metric": "task_score"}] * tables

    (folder / "local/bert/config.json").write_text(json.dumps({"model_type": "bert"}))
    found = planned(folder, language).tasks["feelings"].provides
    assert found == {"embedding", "masked_lm"} | ({"scored"} if tables else set())
