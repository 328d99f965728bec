"""Write a checkpoint in a format of other libraries, with a model card.

transformers: a folder that plain transformers loads; compressed weights become dense ones. gguf: a causal language
model for llama.cpp. onnx: an encoder, or a model with a head of its own, for onnxruntime. The outputs of what was
written are compared with the checkpoint's first. README.md has the recipe, the ledger, and a study's scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fairshrink.exporting import format as formats


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder in results/baselines or results/compressed")
    parser.add_argument("folder", metavar="FOLDER", help="where to write; it must not exist")
    parser.add_argument(
        "--format", choices=formats.names(), default=formats.DEFAULT, help="default: a plain transformers folder"
    )
    parser.add_argument("--weights", metavar="TYPE", help="type of the weights, where a format has several")
    parser.add_argument("--study", help="study file: the model card gets what its results say of the checkpoint")


def run(options: argparse.Namespace) -> int:
    """Write the folder. Raises UserError if the format cannot hold the model."""
    from fairshrink.exporting.checkpoint import export

    folder = Path(options.folder)
    written = export(options.checkpoint, folder, options.study, form=options.format, weights=options.weights)
    print(f"{options.folder}: {written.said}")
    return 0
