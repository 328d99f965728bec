"""What a run would do: how many jobs of each stage, with how many artifacts.

Nothing is started. `snakemake -n` shows the same for each job, `fairshrink explain` says why.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairshrink.planning.plan import Job, Plan
    from fairshrink.planning.workflow import Planned


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")
    parser.add_argument("--restore", help="required, preferred or never (default: the study's)")
    parser.add_argument("--jobs", action="store_true", help="name each job")
    parser.add_argument("--json", action="store_true", help="plain values for programs")


def run(options: argparse.Namespace) -> int:
    """Print the plan. Raises UserError."""
    from fairshrink.planning import workflow

    found = workflow.planned(options.study, options.restore)
    if options.json:
        print(json.dumps(as_values(found.plan), indent=1))
    else:
        print("\n".join([as_text(found.plan, each_job=options.jobs), *_sizes(found)]))
    return 0


def as_values(made: Plan) -> dict[str, dict[str, int]]:
    """Jobs and artifacts of each stage that has something to do, in the order of work."""
    jobs = Counter(job.stage for job in _jobs_to_run(made))
    artifacts: Counter[str] = Counter()
    for job in _jobs_to_run(made):
        artifacts[job.stage] += len(job.artifacts)
    return {stage: {"jobs": jobs[stage], "artifacts": artifacts[stage]} for stage in jobs}


def as_text(made: Plan, *, each_job: bool = False) -> str:
    """A line for each stage, and for each job if ``each_job``."""
    values = as_values(made)
    if not values:
        return f"study {made.study}: nothing to do; its results are in {made.published}"
    lines = [f"study {made.study}", "", f"  {'stage':<12}{'jobs':>7}{'artifacts':>11}"]
    for stage, count in values.items():
        lines.append(f"  {stage:<12}{count['jobs']:>7,}{count['artifacts']:>11,}")
        lines += [f"    {job.about}" for job in _jobs_to_run(made) if job.stage == stage and each_job]
    return "\n".join(lines)


def _sizes(found: Planned) -> list[str]:
    from fairshrink.explaining.sizes import line, sizes

    each_model = sizes(found.study, found.whole, found.plan.computed)
    return ["", *(f"  {line(each)}" for each in each_model)] if each_model else []


def _jobs_to_run(made: Plan) -> list[Job]:
    """Without the job of tables that exist already, which the plan contains for Snakemake's report."""
    return [job for job in made.jobs if job.artifacts]
