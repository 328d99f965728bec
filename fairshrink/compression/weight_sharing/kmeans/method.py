"""Weight sharing: the weights of each tensor take few values, found by k-means, and are stored as indices of them.

Each tensor has a codebook of its own (query, key and value in one matrix have one together). Values need not be evenly
spaced, other than with quantization. Zeros of a pruned tensor stay zero, where they are more than one in `clusters`.

Formula:
    c₁ … c_k = argmin Σ_i min_j (w_i − c_j)²  (Lloyd's algorithm from k evenly spaced values, until nothing changes)
    w_i ← the nearest c_j, stored as j in ⌈log₂ k⌉ bits
Paper: Han, Mao and Dally, *Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and
    Huffman Coding*, ICLR 2016 (section 3; evenly spaced start as there).
Deviations: Values are not trained afterwards, and indices are not Huffman coded.
Cost: A tensor is sorted once: a second for a million weights. No data, no training; nothing is random.
Saves: Disk and memory: ⌈log₂ clusters⌉ / 32 of float32 for what is in scope, and one codebook for each tensor. Not
    latency: indices are looked up at each use.
Limits: One codebook for a whole tensor does not follow rows of different scale, as scales of groups do. Embeddings are
    most of a small model: `embeddings: true` has them in scope, and a tied output layer with them.
Use:
    - {method: kmeans, clusters: [256, 32, 16], embeddings: [false, true]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.weights import WeightsSettings
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
FORMS = Forms(gives="packed")


class Settings(WeightsSettings):
    """Settings of shared values."""

    clusters: int = Field(ge=2, le=256, description="how many values the weights of a tensor take")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Cluster in place; UserError where nothing in scope is dense."""
    import dataclasses

    from fairshrink.compression._shared.weights import chosen, weights_of
    from fairshrink.compression.weight_sharing.kmeans.clustering import codebook, nearest
    from fairshrink.models.stored_forms import codebook as form

    done = dict(cp.structure.get("codebook", {}))
    for name in chosen(cp, settings):
        weights = weights_of(cp.model.get_submodule(name))
        book = codebook(weights, settings.clusters)
        form.replace(cp.model, name, len(book)).fill(nearest(weights, book), book)
        done[name] = len(book)
    cp.model.eval()
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "codebook": done})
