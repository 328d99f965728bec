"""Planning: exactly the artifacts that are missing and needed, against a slow recursive definition."""

import dataclasses
import itertools
import os
import random

import pytest

from fairshrink.planning import plan, plan_files
from fairshrink.planning.artifact import Artifact
from fairshrink.planning.grid import Grid
from fairshrink.store.artifacts import Recipe
from fairshrink.study.jobs import (
    AggregateJob,
    CompressJob,
    DownloadJob,
    EvaluateJob,
    FinetuneJob,
    Identity,
    PretrainedModel,
    TaskOnSplit,
)
from fairshrink.study.schema import Execution

NAMED = Identity("m", "encoder", "t", 0, 0, "none", "baseline", "", 0.0)
MODEL = PretrainedModel("data/model", None, "float32", "regression", ())
JOBS = {
    "download": DownloadJob("local", {"path": "somewhere"}),
    "finetune": FinetuneJob(MODEL, TaskOnSplit("t", "regression", {}, 0, 0), NAMED),
    "compress": CompressJob("base", "base", MODEL, None, "random", {"sparsity": 0.5}, 0, NAMED),
    "evaluate": EvaluateJob("base", None, "weat", {}, "fp32", {"items": ("data/a",)}, None),
    "aggregate": AggregateJob("study", 0.95, {"weat": 0.1}, (), (), (), ("results.parquet",)),
}


def artifact(stage, path, inputs=(), batch=""):
    """One artifact; its first input is the checkpoint that it needs."""
    roles = dict(zip(["checkpoint", *(f"other{n}" for n in range(len(inputs)))], inputs, strict=False))
    return Artifact(Recipe(stage, path, "k" + path, path, {"code": {}}), JOBS[stage], roles, batch)


def grid_of(n_baselines=2, n_compressed=3, n_metrics=2):
    """data → baselines → compressed; scores of all checkpoints; tables of all scores."""
    listed = [artifact("download", "data/model"), artifact("download", "data/benchmark")]
    scores = []
    for b in range(n_baselines):
        baseline = artifact("finetune", f"base{b}", ["data/model"], f"base{b}")
        checkpoints = [baseline]
        checkpoints += [artifact("compress", f"base{b}-c{c}", [baseline.path], f"base{b}") for c in range(n_compressed)]
        listed += checkpoints
        scores += [
            artifact("evaluate", f"{each.path}/m{m}", [each.path, "data/benchmark"], f"base{b}")
            for each in checkpoints
            for m in range(n_metrics)
        ]
    listed += scores
    listed.append(artifact("aggregate", "tables", [each.path for each in scores]))
    return Grid({each.path: each for each in listed}, listed[-1])


def oracle(grid, present):
    """Missing and needed, by its definition: wanted by the final tables through missing artifacts only."""

    def wanted(path):
        if grid[path].marker in present:
            return set()
        return {path}.union(*(wanted(each) for each in grid[path].inputs.values()))

    final = grid["tables"]
    if final.marker in present:
        return set()
    return {"tables"}.union(*(wanted(each) for each in final.inputs.values()))


def planned(grid, present, *, checkpoints_per_job=16, **options):
    run = Execution(checkpoints_per_job=checkpoints_per_job)
    made = plan.make(grid, "study", run, exists=present.__contains__, **options)
    artifacts = {each.recipe.path for job in made.jobs for each in job.artifacts if job.stage != "aggregate"}
    return made, artifacts


@pytest.mark.parametrize("seed", range(40))
def test_any_partial_state_gives_the_minimal_set(seed):
    grid = grid_of()
    draw = random.Random(seed)
    present = {each.marker for each in grid.values() if draw.random() < draw.choice([0.1, 0.5, 0.9])}
    if seed % 4 == 0:
        present |= {grid["tables"].marker}
    assert planned(grid, present)[1] == oracle(grid, present) - {"tables"}


def test_scores_alone_need_no_checkpoint():
    grid = grid_of()
    present = {each.marker for each in grid.values() if each.stage == "evaluate"}
    assert planned(grid, present)[1] == set()


def test_everything_ignores_what_exists():
    grid = grid_of()
    present = {each.marker for each in grid.values()}
    assert planned(grid, present)[1] == set()
    assert planned(grid, present, everything=True)[1] == set(grid) - {"tables"}


@pytest.mark.parametrize("at_most", [1, 2, 3, 16])
def test_jobs_cover_everything_once_and_keep_checkpoints_together(at_most):
    grid = grid_of(n_compressed=5)
    made, _ = planned(grid, set(), checkpoints_per_job=at_most)
    listed = [each.recipe.path for job in made.jobs for each in job.artifacts]
    assert sorted(listed) == sorted(grid)
    for job in made.of("evaluate"):
        checkpoints = {grid[each.recipe.path].inputs["checkpoint"] for each in job.artifacts}
        assert len(checkpoints) <= at_most
        assert len(job.artifacts) == 2 * len(checkpoints)
        assert len({each.split("-")[0] for each in checkpoints}) == 1
    assert len({job.name for job in made.jobs}) == len(made.jobs)


@pytest.mark.parametrize("present", [set(), {"data/model/provenance.json", "base0/provenance.json"}])
@pytest.mark.parametrize("at_most", [1, 2, 4])
def test_controls_that_are_not_stored_share_jobs_as_checkpoints_do(at_most, present):
    grid = grid_of(n_baselines=1, n_compressed=0)
    made_of = [
        artifact("evaluate", f"base0-c{c}/m{m}", ["base0", "data/benchmark"], "base0") for c in range(5) for m in (0, 1)
    ]
    tables = artifact("aggregate", "tables", [*grid.tables.inputs.values(), *(each.path for each in made_of)])
    grid = Grid({**grid.artifacts, **{each.path: each for each in made_of}, "tables": tables}, tables)
    jobs = planned(grid, present, checkpoints_per_job=at_most)[0].of("evaluate")
    scored = [{each.recipe.path.split("/")[0] for each in job.artifacts} for job in jobs]
    assert sorted(name for names in scored for name in names) == sorted({"base0", *(f"base0-c{c}" for c in range(5))})
    assert len(jobs) == -(-6 // at_most) and all(
        len(job.artifacts) == 2 * len(n) for job, n in zip(jobs, scored, strict=True)
    )


def test_what_is_trained_has_a_job_of_its_own_and_requests_what_fine_tuning_does():
    grid = grid_of(n_baselines=1, n_compressed=2)
    trained = [
        dataclasses.replace(artifact("compress", f"base0-t{n}", ["base0"], f"base0-t{n}"), trains=True) for n in (0, 1)
    ]
    scores = [artifact("evaluate", f"{each.path}/m0", [each.path], each.path) for each in trained]
    tables = artifact("aggregate", "tables", [*grid.tables.inputs.values(), *(each.path for each in scores)])
    grid = Grid({**grid.artifacts, **{each.path: each for each in (*trained, *scores)}, "tables": tables}, tables)
    jobs = planned(grid, set())[0].of("compress")
    assert sorted((len(job.artifacts), job.minutes) for job in jobs) == [(1, 240), (1, 240), (2, 20)]


def test_a_job_never_waits_for_itself_and_inputs_are_made_before():
    grid = grid_of()
    made, _ = planned(grid, set())
    done: set[str] = set()
    for job in made.jobs:
        assert set(job.inputs) <= done
        assert not set(job.inputs) & set(job.outputs)
        done |= set(job.outputs)


@pytest.mark.parametrize(("n", "at_most"), itertools.product([1, 2, 7, 16, 33], [1, 4, 16]))
def test_parts_are_even(n, at_most):
    parts = list(plan._evenly(list(range(n)), at_most))
    assert [each for part in parts for each in part] == list(range(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) <= at_most
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-n // at_most)


def test_plan_files_read_back_equal(tmp_path):
    made, _ = planned(grid_of(), set())
    codes = [{"a:b": "1"}, {"c:d": "2"}]
    jobs = [
        dataclasses.replace(
            job,
            artifacts=tuple(
                dataclasses.replace(
                    each, recipe=dataclasses.replace(each.recipe, parts={"code": codes[n % 2], "params": n})
                )
                for n, each in enumerate(job.artifacts)
            ),
        )
        for job in made.jobs
    ]
    made = dataclasses.replace(made, jobs=tuple(jobs))
    path = plan_files.write(made, tmp_path)
    outline = plan_files.read(path)
    assert outline == dataclasses.replace(made, jobs=tuple(dataclasses.replace(job, artifacts=()) for job in jobs))
    assert [plan_files.read_job(path, job.name) for job in jobs] == jobs
    assert plan_files.write(made, tmp_path) == path


def test_a_half_removed_plan_is_written_again(tmp_path):
    made, _ = planned(grid_of(), set())
    path = plan_files.write(made, tmp_path)
    path.unlink()
    assert plan_files.write(made, tmp_path) == path
    assert plan_files.read(path).study == made.study


def test_old_plans_are_dropped(tmp_path):
    for n in range(plan_files.MAX_PLANS + 5):
        plan_files.write(plan.Plan(f"s{n}", 1, "cpu", 5.0, (), "a", "results", ()), tmp_path)
    assert len(list(tmp_path.glob("plan-*/plan.json"))) == plan_files.MAX_PLANS


def test_the_plan_of_a_run_that_goes_on_is_kept(tmp_path):
    def written(n: int):
        return plan_files.write(plan.Plan(f"s{n}", 1, "cpu", 5.0, (), "a", "results", ()), tmp_path)

    used, other = written(0), written(1)
    for place in (used, other):
        os.utime(place.parent, (0, 0))
    with plan_files.held(used):
        for n in range(2, plan_files.MAX_PLANS + 5):
            written(n)
        assert used.is_file() and not other.exists()
    written(1)
    assert not used.exists()


def test_the_longest_chain_starts_first():
    grid = grid_of()
    extra = artifact("evaluate", "base1-c0/extra", ["base1-c0"], "base1")
    tables = artifact("aggregate", "tables", [*grid.tables.inputs.values(), extra.path])
    grid = Grid({**grid.artifacts, extra.path: extra, "tables": tables}, tables)
    made, _ = planned(grid, set())
    first, second = (job.priority for job in made.of("finetune"))
    assert first < second
    by_stage = [[job.priority for job in made.of(stage)] for stage in ("download", "finetune", "compress", "evaluate")]
    assert all(min(earlier) > max(later) for earlier, later in itertools.pairwise(by_stage))


@pytest.mark.parametrize("seed", range(40))
def test_what_can_be_fetched_is_restored_and_needs_nothing_upstream(seed):
    grid = grid_of()
    draw = random.Random(seed)
    present = {each.marker for each in grid.values() if draw.random() < 0.3}
    remote = {path for path in grid if draw.random() < draw.choice([0.1, 0.5, 0.9])}

    def wanted(path):
        """Computed and restored, by their definition."""
        if grid[path].marker in present:
            return set(), set()
        if path in remote:
            return set(), {path}
        below = [wanted(each) for each in grid[path].inputs.values()]
        return {path}.union(*(c for c, _ in below)), set().union(*(r for _, r in below))

    made = plan.make(
        grid, "study", exists=present.__contains__, fetchable=lambda paths: paths & remote, output="elsewhere"
    )
    computed, restored = wanted("tables")
    assert set(made.computed) == computed
    assert {each.recipe.path for job in made.of("restore") for each in job.artifacts} == restored
    assert {each for job in made.of("restore") for each in job.outputs} == {grid[path].marker for path in restored}


def test_a_remote_is_queried_once_per_level_and_only_for_missing_artifacts():
    grid = grid_of()
    asked = []
    plan.make(grid, "study", exists=lambda marker: False, fetchable=lambda paths: asked.append(paths) or set())
    assert [{grid[path].stage for path in each} for each in asked] == [
        {"aggregate"},
        {"evaluate"},
        {"finetune", "compress", "download"},
        {"download"},
    ]
    assert sorted(path for each in asked for path in each) == sorted(grid)


def test_transfers_are_batched():
    grid = grid_of(n_baselines=40, n_compressed=6, n_metrics=3)
    scores = {path for path, each in grid.items() if each.stage == "evaluate"}
    made = plan.make(grid, "study", exists=lambda marker: False, fetchable=lambda paths: paths & scores)
    assert len(scores) == 840
    assert [len(job.artifacts) for job in made.of("restore")] == [420, 420]
    assert {job.stage for job in made.jobs} == {"restore", "aggregate"}


def test_scores_of_finished_checkpoints_share_jobs_across_baselines():
    grid = grid_of(n_baselines=8, n_compressed=1)
    present = {each.marker for each in grid.values() if each.stage in ("finetune", "compress", "download")}
    made, _ = planned(grid, present)
    assert len(made.of("evaluate")) == 1
    made, _ = planned(grid, present - {grid["base3"].marker})
    assert len(made.of("evaluate")) == 2
    (alone,) = [job for job in made.of("evaluate") if grid["base3"].marker in job.inputs]
    assert {grid[each.recipe.path].inputs["checkpoint"] for each in alone.artifacts} == {"base3"}


def test_requests_grow_with_the_batch_and_follow_the_device():
    grid = grid_of(n_baselines=1, n_compressed=2)
    run = Execution(device="auto", threads=3, evaluate={"minutes": 7, "mem_mb": 900})
    made = plan.make(grid, "study", run, exists=lambda marker: False)
    (job,) = made.of("evaluate")
    assert (job.minutes, job.mem_mb, job.gpus, job.cpus) == (7 * 6, 900, 1, 3)
    assert {each.gpus for each in made.of("download")} == {0}  # else a download would wait for a free GPU
    run = Execution(device="cpu", compress={"minutes": 2, "mem_mb": 5, "gpus": 2, "cpus": 8})
    made = plan.make(grid, "study", run, exists=lambda marker: False)
    (job,) = made.of("compress")
    assert (job.minutes, job.mem_mb, job.gpus, job.cpus) == (4, 5, 2, 8)
    assert {each.gpus for each in made.of("evaluate") + made.of("finetune")} == {0}
