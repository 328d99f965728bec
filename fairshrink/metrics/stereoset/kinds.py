"""What each way of scoring StereoSet's sentences consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fairshrink.metrics._shared.outcomes import Skipped
from fairshrink.metrics.stereoset.contexts import Context

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

R = TypeVar("R")


@dataclass(frozen=True)
class Kind(Generic[R]):
    """A request, or why there is none, for each sentence of the contexts; then a score for each request."""

    requests: Callable[[Checkpoint, list[Context]], list[R | Skipped]]
    scores: Callable[[Checkpoint, list[R]], Sequence[float] | NDArray[np.float64]]
