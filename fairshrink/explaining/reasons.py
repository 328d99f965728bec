"""Why each artifact of a plan is computed: what differs from the most similar one; causes before consequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fairshrink.contracts import STAGES
from fairshrink.explaining.differences import Difference, differences
from fairshrink.explaining.records import Record, label
from fairshrink.planning.artifact import Artifact

NEW = Difference("new", "new", "there is no similar artifact")
INCOMPLETE = Difference("missing", "missing", "an artifact with this key exists under another name, or is incomplete")
LOST = Difference("missing", "missing", "recorded, but its bytes are not available or restoring is switched off")
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
        """Whether they are computed only because some of their inputs are."""
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
            close = nearest.of(artifact)
            found = _explained(artifact, close, names, chosen, grid)
            grouped[artifact.stage, found].append((path, close.path if close else None))
    order: dict[str, int] = {stage: number for number, stage in enumerate(STAGES)}
    result = [
        Reason(stage, found, tuple(path for path, _ in each), each[0][1]) for (stage, found), each in grouped.items()
    ]
    return sorted(result, key=lambda each: (order[each.stage], each.consequence, -len(each.paths), each.paths))


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
        return (INCOMPLETE if record.here else LOST,)
    recomputed = {grid[path].key for path in artifact.inputs.values() if path in chosen}
    found = differences(record.parts, artifact.parts, names)
    if artifact.stage == "aggregate":
        return _of_published(found, recomputed)
    explained = []
    for each in found:
        key = each.change.rsplit(" ", 1)[-1]
        if each.kind == "input" and key in recomputed:
            explained.append(Difference(FOLLOWS, f"{_input_kind(key, grid)} recomputed", "see above"))
        else:
            explained.append(each)
    return tuple(dict.fromkeys(explained))


def _of_published(found: list[Difference], recomputed: set[str]) -> tuple[Difference, ...]:
    """The inputs of published results are all scores, possibly thousands: they are reported as one difference."""
    own = [each for each in found if each.kind != "input" and each.where not in ("checkpoints", "scores")]
    if recomputed:
        own.append(Difference(FOLLOWS, "its scores are recomputed", "see above"))
    elif len(own) < len(found):
        own.append(Difference("input", "its scores", "a different set"))
    return tuple(own)


def _input_kind(key: str, grid: Mapping[str, Artifact]) -> str:
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
        """One of the same name; else one made by the same method, metric, task or source for the same baseline."""
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
    """Model and task of an artifact: the first two parts of its (for scores: its checkpoint's) name."""
    if stage in ("download", "aggregate"):
        return ""
    return "-".join(path.split("/")[2].split("-")[:2])


def _distance(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[int, int]:
    found = differences(old, new, {})
    return sum(each.kind != "input" for each in found), len(found)
