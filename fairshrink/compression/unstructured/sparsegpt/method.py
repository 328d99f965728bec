"""SparseGPT: weights that matter least to a layer's outputs go, and those that are left make up for them.

Inputs of a layer are gone through in blocks. In each block the weights go whose removal changes the outputs least;
column by column their loss is spread over the weights of later inputs, which changes the outputs least (optimal brain
surgeon). Layers are pruned in the order in which texts pass through them, with the inputs that the pruned layers before
them give; those of one block of the model see the block as it was. `pattern: "2:4"` removes 2 of each 4 consecutive
inputs of an output.

Formula:
    H = X^T X + λI over the calibration tokens' inputs X, λ = damping × mean of the diagonal of X^T X
    U: upper Cholesky factor of H⁻¹;  score of W_ij: (W_ij / U_jj)²
    in each block, over all outputs:  the share `sparsity` of lowest scores goes (all blocks: round(sparsity × N))
    for each input j of the block in order:  e = (w_j − pruned w_j) / U_jj,  W_:k ← W_:k − e · U_jk for all k ≥ j
Paper: Frantar and Alistarh, *SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot*, ICML 2023;
    Hassibi and Stork, *Second order derivatives for network pruning: Optimal Brain Surgeon*, NeurIPS 1992.
Deviations: They calibrate on general text (C4); here it is training examples of the task, never of its test. Factors
    are computed in float64.
Cost: Two forward passes over `calibration_items` examples; about (n³ + m·n²) / 2 multiply-adds for a layer of n inputs
    and m outputs, of which n³ / 2 once for layers with the same inputs. No training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same; 2:4 is faster on
    GPUs with sparse kernels, which are not used here.
Limits: Few calibration tokens determine few directions of the inputs: with fewer than a layer has inputs, the damping
    decides the rest.
Use:
    - {method: sparsegpt, sparsity: [0.5], calibration_items: 64}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from fairshrink.compression._shared.patterns import PatternSettings, misfits_of_pattern
from fairshrink.compression._shared.settings import CalibratedSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True


class Settings(CalibratedSettings, PatternSettings):
    """Settings of SparseGPT."""

    block: int = Field(128, ge=1, description="inputs of a layer whose weights are chosen together")
    damping: float = Field(0.01, gt=0, description="share of the mean of the diagonal of X^T X that is added to it")

    @model_validator(mode="after")
    def _whole_groups(self) -> Settings:
        if self.pattern != "unstructured" and self.block % 8:
            raise ValueError(f"`block: {self.block}` cuts groups of `pattern: '{self.pattern}'`: write a multiple of 8")
        return self


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A pattern that does not divide the rows of a model with this config.json."""
    return misfits_of_pattern(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place; UserError without training examples, or where a pattern does not divide a layer's inputs."""
    import torch

    from fairshrink.compression._shared.calibration import calibration_texts, walk
    from fairshrink.compression._shared.inverse import upper_factor
    from fairshrink.compression._shared.pruning import dense_names
    from fairshrink.compression.unstructured.sparsegpt.surgeon import pruned
    from fairshrink.models.architecture.linear import matrix

    names = dense_names(cp, settings.scope)
    if not settings.sparsity:
        return cp
    texts = calibration_texts(cp, settings, context, "sparsegpt")
    for stage in walk(cp, texts, names, {"products"}):
        for each in stage:
            weight = matrix(each.layer)
            factor = each.inputs.once(upper_factor, "products", settings.damping)
            new = pruned(weight, factor, settings.sparsity, settings.pattern, settings.block)
            # What is scored must equal what is stored.
            weight.copy_(new.to(getattr(torch, cp.dtype)))
        context.log(f"sparsegpt: {len(stage)} layers up to {stage[-1].name}")
    return dataclasses.replace(cp, path=None)
