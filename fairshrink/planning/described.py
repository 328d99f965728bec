"""What a job is given, as the parameters of its key: whatever it is given counts, but for what cannot change a result.

Left out are the names that a study gives to things, but for the task of a model that is used as it is; paths of inputs
are replaced by their roles, since the keys of the inputs are in the key by role. Nothing is listed by hand, so a job
cannot be given something that its key does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from fairshrink import keys
from fairshrink.contracts import Stage
from fairshrink.study.jobs import JOBS, AggregateJob, FinetuneJob, StageJob


@cache
def adapter(stage: Stage) -> TypeAdapter[StageJob]:
    """Writes and reads what a job of a stage is given."""
    return TypeAdapter(JOBS[stage])


def described(stage: Stage, job: StageJob, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The job as JSON values; ``inputs`` are the paths of its inputs by role."""
    values: dict[str, Any] = adapter(stage).dump_python(job, mode="json")
    if isinstance(job, AggregateJob):
        return _tables(values)
    if isinstance(job, FinetuneJob) and not job.model.trained:
        # Nothing else tells two tasks apart for which one model is used as it is, and tables know them by their keys.
        values["called"] = job.task.name
    control = values.get("control") or {}
    control.pop("name", None)
    for each in (values, control):
        each.pop("identity", None)
        if each.get("task"):
            del each["task"]["name"]
    roles = {path: role for role, path in reversed(list(inputs.items()))}
    replaced = _without_paths(values, roles)
    assert isinstance(replaced, dict)
    return replaced


def _tables(values: dict[str, Any]) -> dict[str, Any]:
    """Tables show what checkpoints and scores are called, so names count there; in any order, as tables are sorted."""
    listed = {name: keys.digest(sorted(map(keys.canonical, values[name]))) for name in ("checkpoints", "scores")}
    return {name: value for name, value in values.items() if name != "files"} | listed


def _without_paths(value: Any, roles: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _without_paths(each, roles) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each, roles) for each in value]
    path = next((path for path in roles if isinstance(value, str) and _inside(value, path)), None)
    return value if path is None else f"<{roles[path]}>{value.removeprefix(path)}"


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
