"""What the Snakefile asks for: the plan of this run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from fairshrink import grid, plan, study
from fairshrink.mistakes import StudyError

PLAN_VARIABLE = "FAIRSHRINK_PLAN"
"""Set by the main process: what it planned is what its jobs' processes must see, though the world moves on."""


def prepare(workflow: Any, config: dict[str, Any]) -> tuple[Path, plan.Plan]:
    """The plan file and the plan; a study with mistakes ends the run with their list.

    ``config`` may hold ``study`` (path of the study file, by default config.yaml; ``--configfile`` works too) and
    ``full`` (plan every job as if nothing existed: for pictures of the whole graph).
    """
    _find_own_interpreter(Path(workflow.basedir))
    inherited = os.environ.get(PLAN_VARIABLE)
    if not workflow.is_main_process and inherited and Path(inherited).is_file():
        return Path(inherited), plan.read(Path(inherited))
    try:
        made = _plan(study_file(workflow, config), everything=bool(config.get("full")))
    except StudyError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    path = plan.write(made)
    os.environ[PLAN_VARIABLE] = str(path)
    return path, made


def study_file(workflow: Any, config: dict[str, Any]) -> str:
    """The study that the command line names."""
    given = [str(each) for each in workflow.configfiles]
    return given[-1] if given else str(config.get("study", "config.yaml"))


def _plan(file: str, *, everything: bool) -> plan.Plan:
    loaded = study.load(file)
    run = loaded.execution
    return plan.make(
        grid.expand(loaded),
        loaded.name,
        threads=run.threads,
        device=run.device,
        checkpoints_per_job=run.checkpoints_per_job,
        everything=everything,
    )


def _find_own_interpreter(root: Path) -> None:
    """Jobs must find the interpreter and the package that Snakemake runs with, also where no environment is active."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
