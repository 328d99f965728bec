"""The modules that a study can name, as Protocols: `study` gets them as arguments and imports none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fairshrink.contracts import AnyMethod, AnyMetric, AnySource, AnyTask, OptionalData

M_co = TypeVar("M_co", covariant=True)


class ModulesOf(Protocol[M_co]):
    """Modules of one kind by name."""

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> M_co: ...

    def family(self, name: str) -> str:
        """The folder that a module is in."""


@dataclass(frozen=True)
class Chosen(Generic[M_co]):
    """Some of the modules of one kind."""

    modules: ModulesOf[M_co]
    chosen: tuple[str, ...]

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return self.chosen

    def __contains__(self, name: object) -> bool:
        return name in self.chosen

    def __getitem__(self, name: str) -> M_co:
        return self.modules[name]

    def family(self, name: str) -> str:
        """The folder that a module is in."""
        return self.modules.family(name)


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


def every_role(module: object) -> dict[str, str]:
    """The data that a study must name for a metric, and those that it may name, with what they are."""
    needed = dict(getattr(module, "ROLES", {}))
    return needed | (module.OPTIONAL_ROLES if isinstance(module, OptionalData) else {})
