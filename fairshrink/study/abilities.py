"""Which metrics a model can take, and how a study gives it a task that a metric needs."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fairshrink.contracts import (
    ALL_HEADS,
    AnyMetric,
    AnyTask,
    Capability,
    ModelFamily,
    ModelTraits,
    Selective,
    TaskHead,
)
from fairshrink.models.support import ARCHITECTURES
from fairshrink.settings import Settings
from fairshrink.study.catalog import ModulesOf

TASK_HEADS_OF_FAMILY: Mapping[ModelFamily, tuple[TaskHead, ...]] = {
    "encoder": ("encoder", "masked_lm", "regression", "classification"),
    "causal": ("causal_lm",),
}
WAYS: Mapping[Capability, str] = {
    "embedding": "any task",
    "masked_lm": "`kind: masked_lm`",
    "causal_lm": "`kind: causal_lm`",
    "regression": "`kind: regression`",
    "sentence_regression": "`kind: regression` of single texts",
    "sentence_classification": "`kind: classification` of single texts",
    "sentiment": "`kind: classification` of single texts with a label `positive`, or with `polarity:`",
    "nli": "`kind: classification` of pairs of texts with the labels entailment, neutral and contradiction",
    "similarity": "`kind: similarity`, or `kind: regression` of pairs of texts",
    "scored": "a task with a `train` or `test` table",
    "texts": "`kind: similarity` with a `test` table",
    "multiple_choice": "`kind: classification` of pairs of texts with the labels correct and incorrect",
}
"""The tasks that give a capability."""
_COLUMNS = ({"text"}, {"text", "label"}, {"text", "text_pair"}, {"text", "text_pair", "label"})
_LABELS = (None, ["entailment", "neutral", "contradiction"], ["positive", "negative"], ["correct", "incorrect"])
"""Tables that make a difference to what a task provides."""


def takes(provided: Collection[Capability], metrics: ModulesOf[AnyMetric]) -> list[str]:
    """Names of the metrics that need one of these capabilities."""
    return [name for name in metrics.names() if metrics[name].NEEDS & set(provided)]


def within_reach(heads: Collection[TaskHead], tasks: ModulesOf[AnyTask]) -> frozenset[Capability]:
    """All that can be computed from models with one of these heads, given the right tables."""
    found: set[Capability] = set()
    for kind in (tasks[name] for name in tasks.names() if tasks[name].HEAD in heads):
        for columns, labels in itertools.product(_COLUMNS, _LABELS):
            found |= kind.provides(kind.Settings(), columns, labels)
    return frozenset(found | {"sentiment"} if "classification" in heads else found)


def heads_of(config: Mapping[str, Any], family: ModelFamily | None = None) -> tuple[TaskHead, ...]:
    """The task heads that a model with this content of config.json can have in a study."""
    architecture = ARCHITECTURES.get(str(config.get("model_type")))
    if architecture is None:
        return ()
    of_family = TASK_HEADS_OF_FAMILY[family or architecture.family]
    return tuple(head for head in ALL_HEADS if head in architecture.heads and head in of_family)


def listed(names: Sequence[str]) -> str:
    """Names of metrics, or that there are none."""
    return ", ".join(names) or "no metric"


def ways(needed: Iterable[Capability], reachable: Collection[Capability]) -> str:
    """The tasks that would give one of the needed capabilities, of those that a model can be given."""
    return ", or ".join(dict.fromkeys(WAYS[each] for each in sorted(needed) if each in reachable))


def unsuited(module: AnyMetric, settings: Settings, model: ModelTraits) -> Iterator[tuple[str, str, str]]:
    """What in a metric's settings does not suit a model: the setting, the reason, and what to write instead."""
    if isinstance(module, Selective):
        yield from module.unsuited(settings, model)
