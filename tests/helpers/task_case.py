"""Tasks for tests, from the plain values that a job is given."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from fairshrink.data.examples import Task
from fairshrink.stages.opening import open_task
from fairshrink.study.jobs import TaskOnSplit


def task_of(
    kind: str,
    settings: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
    tests: dict[str, dict[str, Any]] | None = None,
    *,
    name: str = "t",
    split: int = 0,
    seed: int = 0,
) -> Task:
    """A task; ``train`` and ``tests`` are the keys of tables with the ``path`` of their folder."""
    given = {"name": name, "kind": kind, "settings": settings or {}, "split": split, "seed": seed}
    return open_task(TypeAdapter(TaskOnSplit).validate_python(given | {"train": train, "tests": tests or {}}))
