"""Low rank by singular value decomposition: each matrix becomes the nearest product of two narrower ones.

Nearest in Frobenius' norm of the weights; both factors are stored, and computed one after the other. A matrix stays as
it is where its factors would not be smaller. Query, key and value in one matrix are one matrix.

Formula:
    W = U S Vᵀ,  W ≈ (U_r √S_r) (√S_r V_rᵀ),  of r (out + in) instead of out × in parameters
    parameters_kept p:  r = ⌊p out in / (out + in)⌋
Paper: Eckart and Young, *The approximation of one matrix by another of lower rank*, Psychometrika 1936; in language
    models Noach and Goldberg, *Compressing Pre-trained Language Models by Matrix Decomposition*, AACL 2020.
Cost: A singular value decomposition of each matrix, in float64: seconds to a minute. No data, no training.
Saves: Disk, memory and multiplications, in proportion to the parameters; latency too where matrices are large.
Limits: Weights of language models are not of low rank: without training afterwards half of the parameters cost most of
    a model's performance. Weighting by inputs (`activation_svd`) or by gradients (`fisher_svd`) damages less.
Use:
    - {method: svd, parameters_kept: [0.75, 0.5]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairshrink.compression.low_rank._shared.settings import RankSettings, misfits_of_rank
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
FORMS = Forms(gives="factored")


class Settings(RankSettings):
    """Settings of low rank."""


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A rank above that of the matrices of a model with this config.json."""
    return misfits_of_rank(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Decompose in place; UserError for a rank that a matrix does not have, or where nothing is dense."""
    from fairshrink.compression.low_rank._shared.decomposing import LowRank

    found = LowRank(cp, settings)
    for name in found.names:
        found.replace(name)
    return found.checkpoint()
