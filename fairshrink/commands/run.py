"""Run one job of a plan. Each rule of the workflow calls this; it can also be used to repeat a job by hand.

The plan is the file that a run or `snakemake -n` has written: .snakemake/fairshrink/plan-<hash>/plan.json.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

STAGES = ("restore", "download", "finetune", "compress", "evaluate", "aggregate")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("stage", choices=STAGES, help="stage of the job: " + ", ".join(STAGES), metavar="STAGE")
    parser.add_argument("--plan", type=Path, required=True, help="plan file, as written when the workflow starts")
    parser.add_argument("--job", required=True, help="name of the job in the plan")
    parser.add_argument("--threads", type=int, help="CPU threads (default: the plan's)")


def run(options: argparse.Namespace) -> int:
    """Make the artifacts of the job. Raises UserError."""
    from fairshrink.planning import warm

    if options.stage in warm.STAGES:
        status = warm.ask(options.threads)
        if status is not None:
            return status
    from fairshrink.stages import runner

    # Slurm sends this signal before it kills a job; as an exception it lets half-built artifacts be removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    runner.run(options.stage, options.plan, options.job, options.threads)
    return 0
