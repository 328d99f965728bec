"""Embedding tying: the output layer of a language model uses the matrix of the word embeddings, which is stored once.

Formula:
    W_out = W_in ← W_in  (keep: input),  W_out  (keep: output)  or  (W_in + W_out) / 2  (keep: mean)
Paper: Press and Wolf, *Using the Output Embedding to Improve Language Models*, EACL 2017; Inan, Khosravi and Socher,
    *Tying Word Vectors and Word Classifiers*, ICLR 2017.
Cost: None.
Saves: Disk and memory: one matrix of words × width. Not latency.
Limits: Only for models that have two matrices; most small ones are tied already, which is an error. Without training
    afterwards a model whose two matrices differ is lost.
Use:
    - {method: embedding_tying, keep: input}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(BaseSettings):
    """Settings of embedding tying."""

    keep: Literal["input", "output", "mean"] = Field("input", description="whose values both have")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A model whose matrices are one, by its config.json."""
    if config.get("tie_word_embeddings") is not True:
        return []
    return [
        ("models", "its output layer is tied to its word embeddings already", "other `models`, or no `embedding_tying`")
    ]


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Tie in place; UserError for a model without an output layer for words, or whose layer is tied already."""
    import dataclasses

    import torch

    from fairshrink.errors import UserError

    embeddings, output = cp.model.get_input_embeddings(), cp.model.get_output_embeddings()
    if not isinstance(output, torch.nn.Linear) or output.weight.shape != embeddings.weight.shape:
        raise UserError("embedding_tying: this model has no output layer for words of the size of its embeddings")
    if output.weight is embeddings.weight:
        raise UserError("embedding_tying: the output layer is tied to the embeddings already: leave this method out")
    with torch.no_grad():
        if settings.keep == "output":
            embeddings.weight.copy_(output.weight)
        elif settings.keep == "mean":
            embeddings.weight.copy_((embeddings.weight + output.weight) / 2)
    cp.model.config.tie_word_embeddings = True
    cp.model.all_tied_weights_keys = cp.model.get_expanded_tied_weights_keys(all_submodels=False)
    cp.model.tie_weights()
    if output.weight is not embeddings.weight:
        raise UserError("embedding_tying: transformers ties other matrices in this model; leave this method out")
    return dataclasses.replace(cp, path=None)
