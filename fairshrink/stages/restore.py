"""Before all stages: artifacts that are recorded by a DVC pointer are fetched, not computed."""

from __future__ import annotations

from collections.abc import Iterable

from fairshrink.planning.plan import Order
from fairshrink.remote import restoring
from fairshrink.study.jobs import StageJob


def run(orders: Iterable[Order[StageJob]], device: str = "cpu") -> None:
    """Restore each artifact."""
    restoring.restore([order.recipe.path for order in orders])
