"""What is wrong with a table, so that a study's check and a job can both say it: where, why, and what to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairshrink.errors import UserError

SHOWN = 20
"""So many places of one fault are listed; of further ones the number is given."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; ``key`` is the setting of the table that it concerns, "" for the table as a whole."""

    key: str
    reason: str
    remedy: str


class TableError(UserError):
    """A table that cannot be read as the study says; its text lists all faults."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("\n".join(f"{each.reason}; {each.remedy}" for each in faults))


def places(unit: str, numbers: Sequence[int]) -> str:
    """Where something is: "line 3", "lines 3, 5", and of more than twenty how many more there are."""
    listed = ", ".join(str(number) for number in numbers[:SHOWN])
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"{unit}{'s' if len(numbers) > 1 else ''} {listed}{more}"
