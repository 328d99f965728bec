"""List the artifacts of one stage that the study needs, for DVC to track as dependencies.

Writes results/manifests/<stage>.json: each artifact's path, and its key.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fairshrink.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("stage", help="download, finetune, compress, evaluate or aggregate")
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")


def run(options: argparse.Namespace) -> int:
    """Write the list. Raises UserError."""
    from fairshrink.contracts import STAGES
    from fairshrink.planning import grid, studies
    from fairshrink.store.artifacts import write_json

    if options.stage not in STAGES:
        raise UserError(f"there is no stage '{options.stage}'; write one of {', '.join(STAGES)}")
    artifacts = grid.expand(studies.load(options.study)).values()
    listed = {each.path: each.key for each in artifacts if each.stage == options.stage}
    write_json(Path(f"results/manifests/{options.stage}.json"), listed)
    return 0
