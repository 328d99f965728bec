"""Write a checkpoint as a plain transformers folder, with a model card.

Compressed weights become dense ones: the folder is as large as the uncompressed model, and gives the same outputs,
which is checked by reading it with plain transformers. README.md has the recipe, the ledger, and a study's scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder in results/baselines or results/compressed")
    parser.add_argument("folder", metavar="FOLDER", help="where to write; it must not exist")
    parser.add_argument("--study", help="study file: the model card gets what its results say of the checkpoint")


def run(options: argparse.Namespace) -> int:
    """Write the folder. Raises UserError if plain transformers could not hold the model."""
    from fairshrink.exporting.checkpoint import export

    export(options.checkpoint, Path(options.folder), options.study)
    print(f"{options.folder}: read back by plain transformers, the outputs are the same")
    return 0
