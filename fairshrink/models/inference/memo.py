"""What a model has answered before: the metrics of a job ask some questions twice.

Task score and fidelity read the same outputs, and every checkpoint of a job is compared with the same baseline. Only a
request that is equal in everything is answered from here, so that a result has the same bits with a memo, without
one, and whatever other metrics the job has.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

LIMIT = 2**28
"""Bytes of results that one memo holds; the oldest make place for new ones."""


class Memo:
    """Results of whole requests to ``model``, which is not changed as long as it has this memo."""

    def __init__(self, model: torch.nn.Module, limit: int = LIMIT):
        self.model = model
        self._limit = self._left = limit
        self._known: dict[str, Any] = {}  # the oldest first

    def __deepcopy__(self, _: dict[int, Any]) -> Memo:
        """A model is copied to be changed: the memo of its copy holds nothing and takes nothing."""
        return Memo(self.model, 0)

    def answer(self, request: str, compute: Callable[[], Any]) -> Any:
        """The result known for the request, else computed; the caller may change it."""
        if request in self._known:
            return copy.deepcopy(self._known[request])
        result = compute()
        if (size := _size(result)) <= self._limit:
            while size > self._left:
                self._left += _size(self._known.pop(next(iter(self._known))))
            self._left -= size
            self._known[request] = copy.deepcopy(result)
        return result


def _size(result: Any) -> int:
    """Bytes of an array or tensor, of texts, or of a list of them."""
    if isinstance(result, (np.ndarray, torch.Tensor)):
        return result.nbytes
    return len(result) if isinstance(result, str) else sum(map(_size, result))
