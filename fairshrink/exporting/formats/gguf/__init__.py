"""One file, model.gguf, that llama.cpp runs and transformers reads; for causal language models.

Weights get the smallest type of GGUF that holds them exactly, by default. Any other type is asked for, and what it
changes is measured and said. The file is read back by transformers and compared before it is taken for good.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.exporting.written import Written

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

EXACT = "exact"
WEIGHTS = (EXACT, "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


def write(cp: Checkpoint, folder: Path, weights: str) -> Written:
    """Fill an empty folder: ``model.gguf``, and the tokenizer's own files.

    UserError if it is no causal language model that GGUF and its reader in transformers have a place for.
    """
    from fairshrink.exporting.formats.gguf import comparing, writing

    made = writing.write(cp, folder, None if weights == EXACT else weights)
    return comparing.compared(cp, folder, made, weights)
