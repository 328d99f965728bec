"""Which task head a published model has, and which metrics it can take: told by its config alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairshrink.contracts import Capability, ModelTraits, TaskHead
from fairshrink.errors import UserError
from fairshrink.models.classes import matched
from fairshrink.models.folder import config_of
from fairshrink.registry import CATALOG
from fairshrink.settings import Settings
from fairshrink.study import abilities

CLASSES: tuple[tuple[str, TaskHead], ...] = (
    ("ForMaskedLM", "masked_lm"),
    ("ForPreTraining", "masked_lm"),
    ("ForCausalLM", "causal_lm"),
    ("LMHeadModel", "causal_lm"),
    ("ForSequenceClassification", "classification"),
)
"""Endings of transformers' classes of models, and their heads; other classes are encoders."""
KINDS: Mapping[TaskHead, str] = {
    "encoder": "similarity",
    "masked_lm": "masked_lm",
    "causal_lm": "causal_lm",
    "regression": "regression",
    "classification": "classification",
}
"""The kind of task whose models have a head."""
NLI = ("entailment", "neutral", "contradiction")
OF_TABLES: frozenset[Capability] = frozenset({"scored", "texts"})
"""What needs a table of the task, which there is none of without a study."""


def head_of(folder: Path) -> tuple[TaskHead, tuple[str, ...]]:
    """The task head of the model in a folder, and the labels of a classifier; UserError if its config names none."""
    config = config_of(folder)
    named = config.get("architectures")
    if not isinstance(named, list) or not named:
        raise UserError(f"{folder}/config.json names no class of model under `architectures`; write --head")
    head: TaskHead = next((head for ending, head in CLASSES if str(named[0]).endswith(ending)), "encoder")
    if head != "classification":
        return head, ()
    own = outputs_of(config)
    if len(own) == 1:
        return "regression", ()
    return head, NLI if matched(own, NLI, {}) is not None else tuple(own)


def outputs_of(config: Mapping[str, Any]) -> list[str]:
    """The names of a classifier's outputs in their order."""
    named = config.get("id2label")
    if isinstance(named, dict) and all(str(number).isdecimal() for number in named):
        return [str(named[number]) for number in sorted(named, key=int)]
    return [f"LABEL_{number}" for number in range(int(config.get("num_labels", 2)))]


def capabilities(head: TaskHead, labels: Sequence[str]) -> frozenset[Capability]:
    """What can be computed from a model with this head, as of one in a study."""
    kind = CATALOG.tasks[KINDS[head]]
    columns = {"text", "text_pair"} if tuple(labels) == NLI else {"text"}
    return kind.provides(kind.Settings(), columns, list(labels) or None) - OF_TABLES


def takes(provided: frozenset[Capability]) -> list[str]:
    """The metrics that such a model can take without a study."""
    return [name for name in abilities.takes(provided, CATALOG.metrics) if not CATALOG.metrics[name].NEEDS_TASK]


def check(metric: str, head: TaskHead, labels: Sequence[str], model: str) -> None:
    """UserError, with the metrics that the model can take, unless it can take this one."""
    provided = capabilities(head, labels)
    needed = CATALOG.metrics[metric].NEEDS
    if needed & provided:
        return
    of = f" for {', '.join(labels)}" if labels else ""
    raise UserError(
        f"{model} has the task head {head}{of}, and {metric} needs one of {', '.join(sorted(needed))}; this model can "
        f"take {', '.join(takes(provided)) or 'none'}"
    )


def check_settings(metric: str, settings: Settings, traits: ModelTraits, model: str) -> None:
    """UserError, with what to write instead, unless the settings suit the model."""
    for setting, reason, remedy in abilities.unsuited(CATALOG.metrics[metric], settings, traits):
        raise UserError(f"{metric}: {setting}: {model}: {reason}; write {remedy}")
