"""Why each artifact of a plan is computed: what differs from the nearest that exists; causes before consequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fairshrink.explaining.differences import Difference, differences
from fairshrink.explaining.records import Record, label
from fairshrink.planning.grid import STAGES, Artifact

NEW = Difference("new", "new", "nothing like it stands here")
GONE = Difference("gone", "missing", "this key stands here under another name, or not whole")
LOST = Difference("gone", "missing", "recorded, but its bytes cannot be had or are not wanted")
FOLLOWS = "follows"


@dataclass(frozen=True)
class Reason:
    """Artifacts of one stage that are computed for the same reason; ``nearest`` is the one compared for the first."""

    stage: str
    differences: tuple[Difference, ...]
    paths: tuple[str, ...]
    nearest: str | None

    @property
    def consequence(self) -> bool:
        """Whether they are computed only because something that they are made from is."""
        return all(each.kind == FOLLOWS for each in self.differences)


def reasons(computed: Iterable[str], grid: Mapping[str, Artifact], records: list[Record]) -> list[Reason]:
    """Reasons for the paths to compute, grouped, upstream before downstream."""
    chosen = set(computed)
    by_stage: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_stage[record.value["stage"]].append(record)
    names = {record.value["key"]: record.label for record in records}
    names |= {each.key: label(each.stage, path, each.name) for path, each in grid.items()}
    grouped: dict[tuple[str, tuple[Difference, ...]], list[tuple[str, str | None]]] = defaultdict(list)
    nearest = _Nearest(by_stage)
    for path, artifact in grid.items():
        if path in chosen:
            record = nearest.of(artifact)
            found = _explained(artifact, record, names, chosen, grid)
            grouped[artifact.stage, found].append((path, record.path if record else None))
    order = {stage: number for number, stage in enumerate(STAGES)}
    made = [
        Reason(stage, found, tuple(path for path, _ in each), each[0][1]) for (stage, found), each in grouped.items()
    ]
    return sorted(made, key=lambda each: (order[each.stage], each.consequence, -len(each.paths), each.paths))


def _explained(
    artifact: Artifact,
    record: Record | None,
    names: Mapping[str, str],
    chosen: set[str],
    grid: Mapping[str, Artifact],
) -> tuple[Difference, ...]:
    if record is None:
        return (NEW,)
    if record.value["key"] == artifact.key:
        return (GONE if record.here else LOST,)
    remade = {grid[path].key for path in artifact.inputs if path in chosen}
    found = differences(record.parts, artifact.parts, names)
    if artifact.stage == "aggregate":
        return _answer(found, remade)
    told = []
    for each in found:
        key = each.change.rsplit(" ", 1)[-1]
        if each.kind == "input" and key in remade:
            told.append(Difference(FOLLOWS, f"{_kind(key, grid)} computed anew", "see above"))
        else:
            told.append(each)
    return tuple(dict.fromkeys(told))


def _answer(found: list[Difference], remade: set[str]) -> tuple[Difference, ...]:
    """The inputs of the answer are all scores: naming each of them would say the same a thousand times."""
    own = [each for each in found if each.kind != "input" and each.where != "names"]
    if remade:
        own.append(Difference(FOLLOWS, "its scores are computed anew", "see above"))
    elif len(own) < len(found):
        own.append(Difference("input", "its scores", "others than before"))
    return tuple(own)


def _kind(key: str, grid: Mapping[str, Artifact]) -> str:
    stage = next(each.stage for each in grid.values() if each.key == key)
    return {"download": "its data are", "finetune": "its baseline is", "compress": "its checkpoint is"}[stage]


class _Nearest:
    """Finds, for an artifact, the existing one of its stage that differs least."""

    def __init__(self, by_stage: Mapping[str, list[Record]]) -> None:
        self._named: dict[tuple[str, str], list[Record]] = defaultdict(list)
        self._kinds: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for stage, records in by_stage.items():
            for record in records:
                self._named[stage, record.label].append(record)
                self._kinds[stage, module(record.parts), _subject(record.path, stage)].append(record)

    def of(self, artifact: Artifact) -> Record | None:
        """Of the same name first; else made by the same method, metric, task or source for the same baseline."""
        name = label(artifact.stage, artifact.path, artifact.name)
        kind = (artifact.stage, module(artifact.parts), _subject(artifact.path, artifact.stage))
        candidates = self._named.get((artifact.stage, name)) or self._kinds.get(kind, [])
        return min(candidates, key=lambda each: (_distance(each.parts, artifact.parts), each.path), default=None)


def module(parts: Mapping[str, Any]) -> str:
    """The method, metric, kind of task or source that makes an artifact, from its parts."""
    params = parts["params"]
    task = params.get("task")
    kind = task.get("kind") if isinstance(task, Mapping) else None
    return str(params.get("method") or params.get("metric") or params.get("source") or kind or parts["stage"])


def _subject(path: str, stage: str) -> str:
    """Model and task that an artifact is about, by the first two words of its (for scores: its checkpoint's) name."""
    if stage in ("download", "aggregate"):
        return ""
    return "-".join(path.split("/")[2].split("-")[:2])


def _distance(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[int, int]:
    found = differences(old, new, {})
    return sum(each.kind != "input" for each in found), len(found)
