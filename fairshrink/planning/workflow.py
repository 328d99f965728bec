"""What the Snakefile calls: the plan of this run, and what is done when it begins and ends."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_args

from fairshrink.contracts import RestorePolicy
from fairshrink.errors import UserError
from fairshrink.log import TERMINAL, log, shown
from fairshrink.planning import arrivals, environment, grid, package_files, plan, plan_files, studies, warm
from fairshrink.planning.recording_ahead import Recorder
from fairshrink.remote import pointers, restoring
from fairshrink.store import artifacts, leftovers, places, published, run_lock
from fairshrink.store.layout import MARKER
from fairshrink.study.study import Study

PLAN_VARIABLE = "FAIRSHRINK_PLAN"
"""Set by the main process: the processes of its jobs must use its plan, although files have changed since."""
POLICIES: tuple[RestorePolicy, ...] = get_args(RestorePolicy)


def prepare(workflow: Any, config: dict[str, Any]) -> tuple[Path, plan.Plan]:
    """The plan file and the plan; a study with mistakes ends the run with their list.

    ``config`` may contain ``study`` (path of the study file, by default config.yaml; ``--configfile`` works too),
    ``restore`` (instead of the study's ``execution.restore``) and ``full`` (plan every job as if nothing existed: for
    diagrams of the whole graph).
    """
    _refuse_other_folder(Path(workflow.basedir))
    _prepare_environment(Path(workflow.basedir))
    inherited = os.environ.get(PLAN_VARIABLE)
    if not workflow.is_main_process and inherited and Path(inherited).is_file():
        return Path(inherited), _own_part(plan_files.read(Path(inherited)), sys.argv)
    try:
        places.require_writable([places.RECORDS])
        made = make(study_file(workflow, config), config.get("restore"), everything=bool(config.get("full")))
        places.require_writable(_written(made))
    except UserError as error:
        _stop(error)
    if not workflow.output_settings.dryrun:
        published.show_study(Path(made.published), Path(made.output), made.study)
        _complete_earlier_run(made)
        _remove_invalid_records(made)
    else:
        made = _with_invalid_due(made)
    said = environment.outdated(Path(workflow.basedir)) if made.jobs else None
    if said:
        log(said)
    path = plan_files.write(made)
    os.environ[PLAN_VARIABLE] = str(path)
    return path, made


def _stop(error: object) -> NoReturn:
    print(shown(error), file=sys.stderr)
    sys.exit(1)


def _written(made: plan.Plan) -> set[str]:
    """Folders that the jobs of a run write into, the logs' and that of what is shown among them."""
    paths = [each.recipe.path for job in made.jobs for each in job.artifacts]
    return {str(Path(each).parent) for each in paths} | ({"logs", made.output} if paths else set())


def _refuse_other_folder(own: Path) -> None:
    """Study, artifacts and scripts are found from the current folder, which has to be that of the Snakefile."""
    if Path.cwd().resolve() != own.resolve():
        _stop(
            f"{Path.cwd()}: this workflow works in its own folder, where its data and results are. Write "
            f"`snakemake -d {own.resolve()} …`, or start it there; for other data and results use another clone."
        )


def _complete_earlier_run(made: plan.Plan) -> None:
    """Remove what a run left half done that was killed, and record what it made after which nothing is to be done.

    Snakemake calls no hook then. Does nothing while another run is active, which will do it.
    """
    try:
        run_lock.acquire()
    except UserError:
        return
    leftovers.sweep(made.paths, (Path(made.output), Path(made.output) / made.study))
    if not made.computed:
        pointers.announce(pointers.record(made.paths))
    run_lock.release()


def _own_part(whole: plan.Plan, command: list[str]) -> plan.Plan:
    """The part of the plan that a process on a cluster node needs: the jobs that Snakemake's command line names.

    Creating the rules of thousands of other jobs would take longer than many jobs.
    """
    start = command.index("--allowed-rules") + 1 if "--allowed-rules" in command else len(command)
    allowed = set(itertools.takewhile(lambda each: not each.startswith("-"), command[start:]))
    mine = tuple(job for job in whole.jobs if job.name in allowed)
    return dataclasses.replace(whole, jobs=mine or whole.jobs)


def _incomplete(made: plan.Plan) -> list[Path]:
    """Artifacts to make that have a record already, which names files that are missing."""
    paths = (Path(each.recipe.path) for job in made.jobs for each in job.artifacts)
    return [path for path in paths if (path / MARKER).is_file() and not artifacts.exists(path)]


def _remove_invalid_records(made: plan.Plan) -> None:
    """Remove the records of incomplete artifacts: Snakemake would consider the job's output as done."""
    for path in _incomplete(made):
        log(f"{path}: files named in its record are missing; it is recomputed")
        (path / MARKER).unlink()


def _with_invalid_due(made: plan.Plan) -> plan.Plan:
    """The plan for a dry run, which changes nothing: a file that there is not stands beside each incomplete artifact.

    The job that makes the artifact has it as an output and those that read the artifact as an input, so that Snakemake
    shows them as due.
    """
    absent = {f"{path}/{MARKER}": f"{path}/incomplete" for path in _incomplete(made)}

    def extended(files: tuple[str, ...]) -> tuple[str, ...]:
        return (*files, *(absent[each] for each in files if each in absent))

    jobs = (dataclasses.replace(job, inputs=extended(job.inputs), outputs=extended(job.outputs)) for job in made.jobs)
    return dataclasses.replace(made, jobs=tuple(jobs))


def study_file(workflow: Any, config: dict[str, Any]) -> str:
    """The study that the command line names."""
    given = [str(each) for each in workflow.configfiles]
    return given[-1] if given else str(config.get("study", "config.yaml"))


@dataclasses.dataclass(frozen=True)
class Planned:
    """A study, all its artifacts, and what of them is to be made."""

    study: Study
    whole: grid.Grid
    plan: plan.Plan


def make(file: str, restore: str | None = None, *, everything: bool = False) -> plan.Plan:
    """The current plan of a study; ``restore`` overrides its policy. Raises UserError."""
    return planned(file, restore, everything=everything).plan


def planned(file: str, restore: str | None = None, *, everything: bool = False) -> Planned:
    """The same with what it was made from, so that a study is read and expanded once. Raises UserError."""
    state = package_files.state()  # before any of them is read, so that an edit from now on is noticed
    loaded = studies.load(file)
    policy = restore or loaded.execution.restore
    if policy not in POLICIES:
        raise UserError(f"--config restore={policy}: there is no such policy; write one of {', '.join(POLICIES)}")
    whole = grid.expand(loaded)
    made = plan.make(
        whole,
        loaded.name,
        loaded.execution,
        output=loaded.output,
        fetchable=restoring.finder(policy),
        everything=everything,
        package=state,
    )
    if not everything:
        arrivals.check_sources(loaded.file, made, whole)
    arrivals.check_here(loaded.file, made, whole)
    return Planned(loaded, whole, made)


def tidy(workflow: Any) -> None:
    """Remove the functions of rules from Snakemake's globals, which it copies for every string of every job.

    With 8,000 jobs of one artifact each, `snakemake -n` would take five times as long.
    """
    for rule in workflow.rules:
        workflow.globals.pop(rule.run_func.__name__, None)


def begin(workflow: Any, made: plan.Plan) -> None:
    """Before the first job: no other run may be active in this clone, and the plan must still be up to date.

    Where jobs run on this machine, the process that they are forked from is started.

    Raises Snakemake's WorkflowError, which ends the run with its text.
    """
    from snakemake.exceptions import WorkflowError

    try:
        run_lock.acquire()
    except UserError as error:
        raise WorkflowError(str(error)) from None
    if any(artifacts.exists(Path(path)) for path in made.computed):
        raise WorkflowError(
            "Some of what this run would compute exists already: another run has finished it in the meantime, or the "
            "plan was made with `full=true`, which is for diagrams of the whole graph. Nothing was started; run again."
        )
    _while_it_runs.enter_context(plan_files.held(Path(os.environ[PLAN_VARIABLE])))
    if workflow.local_exec and sys.stderr.isatty():
        os.environ[TERMINAL] = os.ttyname(sys.stderr.fileno())
    due = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if workflow.local_exec and _forks_pay([job for job in made.jobs if job.name in due]):
        socket = plan_files.FOLDER / f"warm-{os.getpid()}.socket"
        started = warm.start(socket, min(made.threads, workflow.resource_settings.cores))
        if started:
            _forking.append(started)
            os.environ[warm.VARIABLE] = str(socket)
    _recording.append(Recorder(made))
    _recording[-1].start()


_forking: list[subprocess.Popen[bytes]] = []
_recording: list[Recorder] = []
_while_it_runs = contextlib.ExitStack()


def _forks_pay(jobs: list[plan.Job]) -> bool:
    """Whether two jobs or more import the large libraries, and none of them computes on a GPU of this machine."""
    if any(job.gpus for job in jobs) and ("CUDA_VISIBLE_DEVICES" in os.environ or shutil.which("nvidia-smi")):
        return False
    return warm.VARIABLE not in os.environ and sum(job.stage in warm.STAGES for job in jobs) > 1


def end(made: plan.Plan, *, failed: bool = False) -> None:
    """After the last job, in success and in failure: record what is new, show the published results."""
    while _forking:
        os.environ.pop(warm.VARIABLE, None)
        warm.stop(_forking.pop())
    for folder in {Path(path).parent for path in made.computed}:
        artifacts.sweep(folder)
    _while_it_runs.close()
    recorder = _recording.pop() if _recording else Recorder(made)
    pointers.announce(recorder.finish())
    published.show_study(Path(made.published), Path(made.output), made.study)
    if failed and len(made.computed) > 2:
        log(
            "Something failed; what was finished is kept. `make partial` (or `snakemake --keep-going` twice, then "
            "`fairshrink partial`) makes the rest, and tables of what exists with the holes named."
        )
    run_lock.release()


def growing(amount: int) -> Callable[[Any, int], int]:
    """A resource request that grows with each try of a job."""
    return lambda wildcards, attempt: amount * attempt


def environment_file(workflow: Any, name: str) -> str:
    """The description of a conda environment; Snakemake would take braces in the project's own path for wildcards."""
    folder = str(Path(workflow.basedir) / "envs")
    return (
        f"{folder.replace('{', '{{').replace('}', '}}')}/{name}.yaml"
        if set("{}") & set(folder)
        else f"../envs/{name}.yaml"
    )


def _prepare_environment(root: Path) -> None:
    """Jobs must find the interpreter and the package that Snakemake runs with, even if no environment is active.

    They write byte code, even if the user's environment forbids it, as in many containers: otherwise each of these
    short processes would compile the libraries again, which takes longer than importing them.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
