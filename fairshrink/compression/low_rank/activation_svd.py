"""Low rank with the least error of a layer's outputs: singular values are weighed by the inputs of the layer.

Inputs are those of training examples of the task. Layers are treated block by block, with inputs as the blocks that
have been treated before give them. Of all products of its rank this one changes the outputs for these inputs least.

Formula:
    C = Σ x xᵀ over all tokens + damping × mean diagonal × I = R Rᵀ (Cholesky)
    W R = U S Vᵀ,  W ≈ (U_r √S_r) (√S_r V_rᵀ R⁻¹):  minimizes Σ ‖(W − W′) x‖²
    parameters_kept p:  r = ⌊p out in / (out + in)⌋
Paper: Wang et al., *SVD-LLM: Truncation-aware Singular Value Decomposition for Large Language Model Compression*, ICLR
    2025; Chen et al., *DRONE: Data-aware Low-rank Compression for Large NLP Models*, NeurIPS 2021.
Cost: Two forward passes over the calibration examples, and a decomposition of each matrix. No training.
Saves: Disk, memory and multiplications, in proportion to the parameters; latency too where matrices are large.
Limits: It fits the calibration examples; there should be more tokens than inputs of a layer.
Use:
    - {method: activation_svd, parameters_kept: [0.75, 0.5]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression._shared.settings import CalibratedSettings
from fairshrink.compression.low_rank._shared.settings import RankSettings, misfits_of_rank
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FORMS = Forms(gives="factored")


class Settings(RankSettings, CalibratedSettings):
    """Settings of low rank that is weighed by inputs."""

    damping: float = Field(0.001, gt=0, description="added to the diagonal of C, in units of its mean")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A rank above that of the matrices of a model with this config.json."""
    return misfits_of_rank(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Decompose in place; UserError for a rank that a matrix does not have, or a task without examples."""
    from fairshrink.compression._shared.calibration import calibration_texts, walk
    from fairshrink.compression.low_rank._shared.decomposing import LowRank, root_of

    found = LowRank(cp, settings)
    texts = calibration_texts(cp, settings, context, "activation_svd")
    for stage in walk(cp, texts, found.names, {"products"}):
        for each in stage:
            found.replace(each.name, root_of(each.inputs["products"], settings.damping))
    return found.checkpoint()
