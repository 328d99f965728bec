"""A folder that plain transformers loads: config.json, model.safetensors, the tokenizer.

Compressed weights become dense ones: it is as large as the uncompressed model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.exporting.written import Written

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

WEIGHTS = ("stored",)
_FORM = "Weights are dense here, whatever form the compression stores; removed heads and neurons are there as zeros."
_POOLER = (
    " It has no pooler: `AutoModel.from_pretrained(folder, add_pooling_layer=False)` reads it whole, and without that "
    "`pooler_output` is random."
)


def write(cp: Checkpoint, folder: Path, weights: str) -> Written:
    """Fill an empty folder. UserError if plain transformers has no place for the model, or computes anything else."""
    from fairshrink.models import plain
    from fairshrink.models.task_heads import POOLED

    plain.write(cp, folder)
    pooler = cp.head == "encoder" and cp.model.config.model_type in POOLED
    return Written(_FORM + (_POOLER if pooler else ""), "read back by plain transformers, the outputs are the same")
