"""Chains in a study: what they expand to, what is shared, and orders that are refused."""

import pytest
from tiny_study import study, write_data, write_study

from fairshrink.planning import grid, plan, studies
from fairshrink.study.jobs import AggregateJob, CompressJob, EvaluateJob
from fairshrink.study.mistakes import StudyError
from fairshrink.study.schema import Execution

PRUNED = {"method": "magnitude_global", "sparsity": 0.5}
RECOVERY = {"method": "recovery", "epochs": 1}
INT8 = {"method": "int8_dynamic"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("chains")
    write_data(made / "local", models=())
    return made


def content(*compressions, controls=({"method": "trained_further"},)):
    """The tiny study of one model, one trained task and one split."""
    made = study() | {"compressions": list(compressions), "controls": list(controls)}
    made["models"] = {"bert": made["models"]["bert"] | {"tasks": ["sentiment"]}}
    made["tasks"] = {"sentiment": made["tasks"]["sentiment"] | {"splits": [0]}}
    made["metrics"] = [{"metric": "task_score"}]
    return made


def expanded(folder, made):
    write_study(folder, made)
    return grid.expand(studies.load(folder / "config.yaml"))


def compressed(made):
    return [each for each in made.values() if each.stage == "compress" and "trained_further" not in each.name]


def shown(made):
    job = made.tables.job
    assert isinstance(job, AggregateJob)
    return {(each.identity.method, each.identity.setting, each.identity.sparsity) for each in job.checkpoints}


def mistakes(folder, *compressions, **more):
    with pytest.raises(StudyError) as caught:
        expanded(folder, content(*compressions, **more))
    return {each.key: f"{each.reason}: {each.remedy}" for each in caught.value.mistakes}


def test_each_step_is_made_of_the_one_before_and_only_the_end_is_scored(folder):
    made = expanded(folder, content({"chain": [PRUNED, RECOVERY, INT8]}))
    first, second, third = compressed(made)
    baseline = first.job.baseline
    assert [each.job.checkpoint for each in (first, second, third)] == [baseline, first.path, second.path]
    assert {each.job.baseline for each in (first, second, third)} == {baseline}
    assert [each.job.method for each in (first, second, third)] == ["magnitude_global", "recovery", "int8_dynamic"]
    assert first.job.task is None and second.job.task is not None
    scored = {each.job.checkpoint for each in made.values() if isinstance(each.job, EvaluateJob)}
    assert third.path in scored and not {first.path, second.path} & scored
    name = "magnitude_global+recovery+int8_dynamic"
    assert (name, "sparsity=0.5,epochs=1", 0.5) in shown(made)
    assert third.name == f"bert-sentiment-s0-{name}-sparsity0.5,epochs1"
    assert {"checkpoint", "baseline"} <= set(third.inputs) and third.inputs["baseline"] == baseline


def test_a_beginning_is_computed_once(folder):
    """By two chains, and by the compression of the same settings, whatever it is called there."""
    alone = set(expanded(folder, content(PRUNED | {"scope": "encoder"})))
    made = expanded(
        folder,
        content(
            {"chain": [PRUNED, RECOVERY, INT8]},
            {"chain": [PRUNED, INT8], "name": "small"},
            {"chain": [PRUNED, RECOVERY]},
            PRUNED | {"scope": "encoder"},
        ),
    )
    found = compressed(made)
    assert len(found) == 4  # pruned, pruned + recovered, and each of these in 8 bits
    assert {each.path for each in found} & alone == {found[0].path}
    methods = {method for method, _, _ in shown(made)}
    assert {"magnitude_global", "magnitude_global+recovery", "small"} < methods
    of_recovery = [each for each in found if each.job.method == "recovery"]
    assert len(of_recovery) == 1 and of_recovery[0].name.endswith("magnitude_global+recovery-sparsity0.5,epochs1")


def test_a_list_of_settings_makes_a_chain_for_each(folder):
    twice = {"chain": [{"method": "random", "sparsity": [0.2, 0.3]}, PRUNED | {"sparsity": [0.6, 0.7]}]}
    made = expanded(folder, content(twice))
    assert len(compressed(made)) == 2 + 4
    settings = {setting for method, setting, sparsity in shown(made) if method == "random+magnitude_global"}
    assert settings == {f"random.sparsity={a},magnitude_global.sparsity={b}" for a in (0.2, 0.3) for b in (0.6, 0.7)}
    assert {sparsity for method, _, sparsity in shown(made) if "+" in method} == {None}


def test_a_setting_of_the_first_step_changes_all_that_comes_after_it(folder):
    chain = [PRUNED, RECOVERY, INT8]
    before = {each.key for each in compressed(expanded(folder, content({"chain": chain})))}
    last = {
        each.key for each in compressed(expanded(folder, content({"chain": [*chain[:2], INT8 | {"scope": "all"}]})))
    }
    first = {
        each.key for each in compressed(expanded(folder, content({"chain": [PRUNED | {"sparsity": 0.6}, *chain[1:]]})))
    }
    assert len(before & last) == 2 and not before & first


def test_jobs_follow_each_other(folder):
    """What is trained has a job of its own; no job waits for itself, nor for one that waits for it."""
    made = expanded(folder, content({"chain": [PRUNED, RECOVERY, INT8]}, {"chain": [PRUNED, INT8]}, PRUNED))
    for limit in (1, 16):
        jobs = plan.make(made, "s", Execution(checkpoints_per_job=limit), exists=lambda _: False).of("compress")
        chains = [job for job in jobs if "trained_further" not in job.name]
        makers = {output: job.name for job in jobs for output in job.outputs}
        waits = {job.name: {makers[each] for each in job.inputs if each in makers} for job in jobs}
        while waits:
            ready = {name for name, others in waits.items() if not others & waits.keys()}
            assert ready, f"jobs that wait for each other: {waits}"
            waits = {name: others for name, others in waits.items() if name not in ready}
        (training,) = [job for job in chains if any(each.job.method == "recovery" for each in job.artifacts)]
        assert len(training.artifacts) == 1 and training.minutes == Execution().finetune.minutes
        assert len(chains) == (3 if limit == 16 else 4)


def test_a_step_that_is_lost_is_made_again_only_where_it_is_needed(folder):
    made = expanded(folder, content({"chain": [PRUNED, RECOVERY, INT8]}))
    first, second, third = compressed(made)
    whole = {each.marker for each in made.values()}
    lost = plan.make(made, "s", exists=lambda marker: marker in whole - {first.marker, second.marker})
    assert lost.computed == []
    end = plan.make(
        made, "s", exists=lambda marker: marker in whole - {third.marker, second.marker, made.tables.marker}
    )
    assert not {first.path, second.path, third.path} & set(end.computed)
    scores = {
        each.marker for each in made.values() if each.job.__class__ is EvaluateJob and each.job.checkpoint == third.path
    }
    gone = whole - {second.marker, third.marker, made.tables.marker} - scores
    assert {second.path, third.path} == {
        path
        for path in plan.make(made, "s", exists=gone.__contains__).computed
        if isinstance(made[path].job, CompressJob)
    }


WRONG = {
    "what is packed cannot be pruned": (
        [{"chain": [INT8, PRUNED]}],
        "compressions.int8_dynamic+magnitude_global.chain[1]",
        "int8_dynamic leaves packed codes: put magnitude_global before int8_dynamic",
    ),
    "what is packed cannot be trained": (
        [{"chain": [PRUNED, INT8, RECOVERY], "name": "late"}],
        "compressions.late.chain[2]",
        "put recovery before int8_dynamic",
    ),
    "rewinding starts from the pretrained model": (
        [{"chain": [PRUNED, {"method": "iterative_magnitude", "sparsity": 0.6}]}],
        "compressions.magnitude_global+iterative_magnitude.chain[1]",
        "put iterative_magnitude first",
    ),
    "nothing to recover": ([RECOVERY], "compressions.recovery.method", "the control trained_further"),
    "nothing to recover in a chain": (
        [{"chain": [RECOVERY, INT8]}],
        "compressions.recovery+int8_dynamic.chain[0]",
        "nothing comes before it",
    ),
    "one step": ([{"chain": [PRUNED]}], "compressions[0].chain", "at least 2"),
    "no such method": ([{"chain": [PRUNED, {"method": "recover"}]}], "compressions[0].chain[1].method", "recovery"),
    "no such setting": ([{"chain": [PRUNED, INT8 | {"bits": 3}]}], "compressions[0].chain[1].bits", "no key 'bits'"),
    "models of a step": (
        [{"chain": [PRUNED | {"models": ["bert"]}, INT8]}],
        "compressions[0].chain[0].models",
        "no key",
    ),
    "a bad value": (
        [{"chain": [PRUNED | {"sparsity": 1.0}, INT8]}],
        "compressions[0].chain[0].sparsity",
        "less than 1",
    ),
    "a control": (
        [{"chain": [PRUNED, {"method": "weight_noise", "level": 0.1}]}],
        "compressions[0].chain[1].method",
        "weight_noise is a control",
    ),
    "the same twice": ([{"chain": [PRUNED, INT8]}, {"chain": [PRUNED, INT8]}], "compressions[1]", "the same chain"),
    "a name of a method": ([{"chain": [PRUNED, INT8], "name": "random"}], "compressions[0].name", "a method is called"),
    "a name that is taken": (
        [{"chain": [PRUNED, INT8], "name": "x"}, {"chain": [INT8 | {"scope": "attention"}, INT8], "name": "x"}],
        "compressions[1].name",
        "another chain is called",
    ),
    "an unknown model": (
        [{"chain": [PRUNED, INT8], "models": ["no"]}],
        "compressions.magnitude_global+int8_dynamic.models",
        "'no'",
    ),
    "a method beside": ([{"chain": [PRUNED, INT8], "method": "random"}], "compressions[0].method", "no key 'method'"),
    "no text": ([{"chain": "wanda"}], "compressions[0].chain", "list"),
    "no mapping": ([{"chain": ["wanda", "recovery"]}], "compressions[0].chain[0]", "a mapping of keys"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes(folder, case):
    compressions, key, said = WRONG[case]
    found = mistakes(folder, *compressions)
    assert said in found[key], found


def test_a_task_without_a_loss_is_refused(folder):
    made = content({"chain": [PRUNED, RECOVERY]})
    made["models"]["bert"]["tasks"] = ["similarity", "sentiment"]
    made["tasks"]["similarity"] = {"kind": "similarity", "test": {"t": made["tasks"]["sentiment"]["train"]}}
    made["tasks"]["similarity"]["test"]["t"] = {
        **made["tasks"]["similarity"]["test"]["t"],
        "columns": {"text": "sentence"},
    }
    with pytest.raises(
        StudyError, match=r"chain\[1\].tasks[\s\S]*no loss to train on in similarity[\s\S]*\[sentiment\]"
    ):
        expanded(folder, made)


def test_training_without_its_control_is_said(folder, capsys):
    expanded(folder, content({"chain": [PRUNED, RECOVERY | {"epochs": [1, 2]}]}))
    said = capsys.readouterr()
    assert "recovery trains for 2 epochs" in said.out + said.err
    assert "recovery trains for 1 epochs" not in said.out + said.err


def test_what_reads_the_loss_without_training_on_it_needs_no_control_of_training(folder, capsys):
    expanded(folder, content({"method": "fisher_svd", "parameters_kept": 0.5}, controls=()))
    said = capsys.readouterr()
    assert "trains for" not in said.out + said.err
