"""Content keys: an artifact is identified by what made it, never by time or location.

``key = sha256(canonical JSON of {stage, code, params, inputs})``, shortened to 12 hex digits. Two artifacts
with the same key are interchangeable; an artifact whose key no study needs is never read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_LENGTH = 12


def canonical(value: Any) -> str:
    """JSON text that is equal for equal values, whatever the order of mappings.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def key(stage: str, code: Mapping[str, str], params: Any, inputs: Mapping[str, str]) -> str:
    """The content key of an artifact.

    ``code`` maps each definition that can run to the hash of its syntax tree (`fairshrink.planning.definitions`),
    ``params`` contains only what can change the result, ``inputs`` the keys of the artifacts it is made from, by role.
    """
    return digest({"stage": stage, "code": code, "params": params, "inputs": inputs})[:KEY_LENGTH]
