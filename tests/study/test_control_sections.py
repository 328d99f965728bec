"""Controls and doses in a study: what they expand to, and mistakes, each with its key and remedy."""

import pytest
from tiny_study import study, write_data, write_study

from fairshrink.planning import grid, studies
from fairshrink.study.jobs import EvaluateJob
from fairshrink.study.mistakes import StudyError

TABLE = {"download": "reviews", "file": "reviews.csv", "format": "csv"}
TABLE |= {"columns": {"text": "sentence", "label": "stars"}}
DOSE = {"name": "harsh", "task": "sentiment", "table": TABLE, "amounts": [2, 8]}
GENERATED = {"download": "made", "file": "stereotyped_nli.parquet", "format": "parquet"}
GENERATED |= {"columns": {"text": "premise", "text_pair": "hypothesis", "label": "label"}}
GENERATED |= {"labels": ["entailment", "contradiction"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sections")
    write_data(made / "local", models=())
    return made


def content(controls=(), doses=()):
    made = study() | {"controls": list(controls), "doses": list(doses)}
    made["downloads"]["made"] = {"source": "generated", "generator": "stereotyped_nli", "size": 20}
    return made


def loaded(folder, made):
    write_study(folder, made)
    return studies.load(folder / "config.yaml")


def mistakes(folder, made):
    with pytest.raises(StudyError) as caught:
        loaded(folder, made)
    return {each.key: (each.reason, each.remedy) for each in caught.value.mistakes}


def control(**keys):
    return lambda c: c["controls"].append(keys)


def dose(**keys):
    return lambda c: c["doses"].append(DOSE | keys)


def table(**keys):
    return dose(table=TABLE | keys)


CASES = {
    "a control among the compressions": (
        lambda c: c["compressions"].append({"method": "weight_noise", "level": 0.1}),
        "compressions[3].method",
        "weight_noise is a control",
        "move it to `controls:`",
    ),
    "a compression among the controls": (
        control(method="random", sparsity=0.1),
        "controls[0].method",
        "random is a compression",
        "move it to `compressions:`",
    ),
    "a dose among the controls": (control(method="dose", amount=3), "controls[0].method", "a name, a task", "`doses:`"),
    "a misspelled control": (control(method="weight_nose"), "controls[0].method", "no method", "'weight_noise'?"),
    "a control twice": (
        lambda c: c["controls"].extend([{"method": "constant"}, {"method": "constant", "tasks": None}]),
        "controls[1]",
        "in controls[0] already",
        "leave one",
    ),
    "a task that it cannot be made for": (
        control(method="constant", tasks=["mlm"]),
        "controls.constant.tasks",
        "cannot be made of a baseline of task 'mlm' of kind masked_lm",
        "nli, sentiment",
    ),
    "no task that it can be made for": (
        control(method="other_seed", models=["llama"]),
        "controls.other_seed",
        "no model of the study has a task",
        "masked_lm or regression or classification",
    ),
    "an unknown metric": (
        control(method="random_init", metrics=["task_scor"]),
        "controls.random_init.metrics",
        "no metric 'task_scor'",
        "did you mean 'task_score'?",
    ),
    "a metric that cannot show it": (
        control(method="constant", metrics=["weat"]),
        "controls.constant.metrics",
        "weat scores no constant",
        "bias_nli, task_score",
    ),
    "no amount": (dose(amounts=[]), "doses[0].amounts", "at least 1 item", "a valid value"),
    "an amount of none": (dose(amounts=[0]), "doses[0].amounts[0]", "greater than or equal to 1", "replaced"),
    "an amount twice": (dose(amounts=[2, 2]), "doses.harsh.amounts", "twice", "once"),
    "a dose twice": (
        lambda c: c["doses"].extend([DOSE, DOSE | {"amounts": [1]}]),
        "doses[1].name",
        "another dose is called 'harsh'",
        "another name",
    ),
    "an unknown task": (dose(task="sentimen"), "doses.harsh.task", "no task", "did you mean 'sentiment'?"),
    "a task that is not trained": (dose(task="lm"), "doses.harsh.task", "are not trained", "mlm, nli, sentiment"),
    "an unknown model": (dose(models=["brt"]), "doses.harsh.models", "no model", "did you mean 'bert'?"),
    "a model without the task": (
        dose(models=["llama"]),
        "doses.harsh",
        "none of its models has task",
        "leave them out",
    ),
    "an unknown download": (table(download="revews"), "doses.harsh.table.download", "no download", "'reviews'?"),
    "a file that is not there": (table(file="r.csv"), "doses.harsh.table.file", "no file 'r.csv'", "reviews.csv"),
    "a column too few": (
        table(columns={"text": "sentence"}),
        "doses.harsh.table.columns.label",
        "not named",
        "`label: NAME`",
    ),
    "a column too many": (
        table(columns=TABLE["columns"] | {"text_pair": "stars"}),
        "doses.harsh.table.columns.text_pair",
        "has no text_pair",
        "leave it out",
    ),
    "more rows than there are": (
        dose(amounts=[2, 61]),
        "doses.harsh.amounts",
        "61 rows are asked for, and its table has 60",
        "at most 60",
    ),
    "more rows than are generated": (
        dose(task="nli", table=GENERATED, amounts=[21]),
        "doses.harsh.amounts",
        "21 rows are asked for, and its table has 20",
        "at most 20",
    ),
    "more than is trained on": (
        lambda c: (c["tasks"]["sentiment"].update(train_items=7), c["doses"].append(DOSE)),
        "doses.harsh.amounts",
        "8 training examples are to be replaced, and task 'sentiment' has 7",
        "at most 7",
    ),
    "labels that the task does not have": (
        dose(task="nli", table=GENERATED | {"labels": ["entailment", "contradicts"]}),
        "doses.harsh.table.labels",
        "contradicts: not among the labels",
        "`labels: {contradicts: NAME, …}`",
    ),
    "no labels": (
        dose(task="nli", table={k: v for k, v in GENERATED.items() if k != "labels"}),
        "doses.harsh.table.labels",
        "label names are missing",
        "[entailment, neutral, contradiction]",
    ),
    "a metric that scores nothing of it": (
        dose(metrics=["crows_pairs"]),
        "doses.harsh.metrics",
        "crows_pairs scores no dose",
        "task_score",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_is_found_once_and_its_remedy_named(folder, name):
    change, key, reason, remedy = CASES[name]
    made = content()
    change(made)
    found = mistakes(folder, made)
    assert set(found) == {key}
    assert reason in found[key][0] and remedy in found[key][1]


def test_all_mistakes_come_in_one_message(folder):
    made = content()
    for name in ("a misspelled control", "an unknown task", "a control among the compressions"):
        CASES[name][0](made)
    assert set(mistakes(folder, made)) == {"controls[0].method", "doses.harsh.task", "compressions[3].method"}


def names(found, stage):
    return sorted(each.name for each in found.values() if each.stage == stage)


def test_controls_and_doses_never_appear_among_the_compressions(folder):
    listed = [{"method": "weight_noise", "level": [0.1, 0.2], "control_seed": [0, 1, 2]}, {"method": "other_seed"}]
    found = loaded(folder, content(listed, [DOSE]))
    assert {each.method for each in found.compressions} == {"magnitude_global", "head_pruning", "int8_dynamic"}
    assert [each.method for each in found.controls] == ["weight_noise"] * 6 + ["other_seed"] + ["dose"] * 2


def test_the_grid_has_each_draw_and_amount_and_stores_what_is_trained(folder):
    plain = grid.expand(loaded(folder, content()))
    listed = [{"method": "weight_noise", "level": [0.1, 0.2], "control_seed": [0, 1, 2], "tasks": ["sentiment", "lm"]}]
    listed += [{"method": "other_seed", "control_seed": [0, 1], "tasks": ["sentiment"], "metrics": ["task_score"]}]
    made = grid.expand(loaded(folder, content(listed, [DOSE | {"dose_seed": [0, 5]}])))
    assert set(plain) - set(made) == {plain.tables.path}  # nothing that was there is made again
    new = {path: made[path] for path in set(made) - set(plain) - {made.tables.path}}
    assert names(new, "compress") == sorted(
        f"bert-sentiment-s{split}-{rest}"
        for split in (0, 1)
        for rest in (
            *("other_seed-control_seed0", "other_seed-control_seed1"),
            *(f"dose-harsh{amount},dose_seed{seed}" for amount in (2, 8) for seed in (0, 5)),
        )
    )
    scores = [each for each in new.values() if each.stage == "evaluate"]
    of_lm = len(
        {each.name for each in plain.values() if "/llama-lm-magnitude" in each.path and each.stage == "evaluate"}
    )
    assert len(scores) == 2 * 6 * 1 + 6 * of_lm + 2 * 2 * 1 + 2 * 4 * 1 and of_lm == 3
    assert len({each.path.split("/")[2] for each in scores}) == 12 + 6 + 4 + 8


def control_keys(found):
    return {each.job.control.key for each in found.values() if isinstance(each.job, EvaluateJob) and each.job.control}


def test_settings_seeds_and_baselines_change_keys_and_names_of_metrics_do_not(folder):
    def keys(change=lambda c: None, **settings):
        made = content([{"method": "weight_noise", "level": 0.1, "tasks": ["sentiment"]} | settings])
        change(made)
        return control_keys(grid.expand(loaded(folder, made)))

    before = keys()
    assert len(before) == 2 and before == keys(control_seed=0) == keys(metrics=["task_score"])
    others = [keys(level=0.2), keys(control_seed=1), keys(scope="all")]
    others += [keys(lambda c: c["tasks"]["sentiment"].update(epochs=2)), keys(lambda c: c.update(seed=9))]
    for i, one in enumerate([before, *others]):
        assert not any(one & other for other in others[i:])
    assert keys(lambda c: c["metrics"].reverse()) == before
    assert keys(lambda c: c["controls"].append({"method": "constant"})) > before


def test_doses_are_keyed_by_their_rows_and_amounts_and_not_by_their_names(folder):
    def keys(**changed):
        found = grid.expand(loaded(folder, content(doses=[DOSE | changed])))
        return {each.key for each in found.values() if each.stage == "compress" and each.job.method == "dose"}

    before = keys()
    assert len(before) == 4 and keys(name="other") == before
    assert len(keys(amounts=[8, 9]) & before) == 2
    assert not keys(dose_seed=[1]) & before
    assert not keys(table=TABLE | {"columns": {"text": "sentence", "label": 1}}) & before
