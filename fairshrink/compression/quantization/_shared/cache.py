"""What methods that round a causal model's cache of keys and values have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairshrink.contracts import Form, Forms
from fairshrink.errors import UserError
from fairshrink.models.support import ARCHITECTURES

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

ANY: frozenset[Form] = frozenset({"baseline", "dense", "factored", "packed"})
LAST = Forms(takes=ANY, gives="packed")
"""Weights of any form stay as they are; nothing follows, since what replaces layers would drop what rounds."""


def encoders(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What `misfits` of a method says of a model without a cache."""
    known = ARCHITECTURES.get(str(config.get("model_type")))
    if known is None or known.family == "causal":
        return []
    return [("models", f"{known.title} is an encoder, which has no cache of keys and values", "causal `models`")]


def check(cp: Checkpoint, method: str) -> None:
    """UserError for a model that reads no cache, or one whose cache is rounded already."""
    if cp.head != "causal_lm":
        raise UserError(f"{method}: only causal language models have a cache of keys and values, and this is {cp.head}")
    if "kv_cache" in cp.structure:
        raise UserError(f"{method}: the cache of this model is rounded already")
