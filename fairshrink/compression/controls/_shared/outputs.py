"""Models whose outputs are the same for every input, for controls that are not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint


def always(cp: Checkpoint, logits: torch.Tensor) -> None:
    """Have the model answer ``logits`` [outputs] at every place of every input, in float32.

    Weights stay as they are, so that embeddings tied to them do too; the outputs of the forward pass are replaced.
    """
    fixed = logits.to(cp.device, torch.float32)

    def replace(module: torch.nn.Module, inputs: Any, outputs: Any) -> Any:
        # A copy: what reads logits may overwrite them.
        outputs.logits = fixed.expand(outputs.logits.shape).clone(memory_format=torch.contiguous_format)
        return outputs

    cp.model.register_forward_hook(replace)
