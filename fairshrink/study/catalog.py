"""The modules that a study can name, as Protocols: `study` gets them as arguments and imports none of them."""

from __future__ import annotations

from typing import Protocol, TypeVar

from fairshrink.contracts import AnyMethod, AnyMetric, AnySource, AnyTask

M_co = TypeVar("M_co", covariant=True)


class ModulesOf(Protocol[M_co]):
    """Modules of one kind by name."""

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> M_co: ...


class Catalog(Protocol):
    """The modules by kind."""

    @property
    def sources(self) -> ModulesOf[AnySource]:
        """Where downloads come from."""

    @property
    def tasks(self) -> ModulesOf[AnyTask]:
        """Kinds of task."""

    @property
    def compression(self) -> ModulesOf[AnyMethod]:
        """Compression methods and controls."""

    @property
    def metrics(self) -> ModulesOf[AnyMetric]:
        """Metrics of bias, damage and skill."""
