"""A classifier's own outputs and the labels of a task, matched by name: the head is kept whatever the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.models.classes import matched
from fairshrink.models.task_heads import build, with_head

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

Weights = dict[str, torch.Tensor]
INDEPENDENT = "multi_label_classification"


def own_labels(config: PreTrainedConfig) -> list[str]:
    """What a model calls its outputs, in their order; LABEL_0, … where nobody named them. [] without outputs."""
    return [str(config.id2label.get(number, number)) for number in range(config.num_labels)]


def fitting(
    found: Weights,
    config: PreTrainedConfig,
    head: TaskHead,
    labels: Sequence[str],
    names: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    trained: bool,
    folder: Path,
) -> Weights:
    """The weights of a folder as a task can use them: those of a classifier's outputs in the order of ``labels``.

    ``config`` is the folder's, ``names`` maps what a table's file says to labels: a model may be trained on such a
    file. A head for other labels is left out, for a new one to be trained; where nothing is ``trained``, it is a
    UserError that names both lists, as is a head that is not in the file.
    """
    if head not in ("regression", "classification"):
        return found
    given = own_labels(config)
    if head == "regression" and not trained and len(given) != 1:
        raise UserError(f"{folder}: has {len(given)} outputs ({', '.join(given)}), and a regression has one")
    wanted = _on_meta(config, head, labels, tokenizer)
    prefix = wanted.base_model_prefix + "."
    if not trained:
        _check_whole(wanted, found, head, folder)
    if head == "regression":
        return found
    order = None if _independent(config) else matched(given, labels, names)
    if order is None:
        if not trained:
            raise UserError(_mismatch(folder, config, given, labels))
        if any(not name.startswith(prefix) for name in found):
            log(f"{folder}: has outputs for {', '.join(given)}, not {', '.join(labels)}: its head is a new one")
        return {name: value for name, value in found.items() if name.startswith(prefix)}
    rows = torch.tensor(order)
    outputs = _outputs(config, labels, tokenizer) if order != sorted(order) else set()
    return {name: value[rows] if name in outputs else value for name, value in found.items()}


def order(
    config: PreTrainedConfig, head: TaskHead, labels: Sequence[str], names: Mapping[str, str], folder: Path
) -> list[int] | None:
    """For each of ``labels`` the number of the output that is called so, of a model that is used as it is.

    None for a regression model. UserError as `fitting` raises it where nothing is trained.
    """
    given = own_labels(config)
    if head == "regression":
        if len(given) != 1:
            raise UserError(f"{folder}: has {len(given)} outputs ({', '.join(given)}), and a regression has one")
        return None
    found = None if _independent(config) else matched(given, labels, names)
    if found is None:
        raise UserError(_mismatch(folder, config, given, labels))
    return found


def _independent(config: PreTrainedConfig) -> bool:
    """Whether outputs are shares of yes and no for each label, not of one label among all."""
    return getattr(config, "problem_type", None) == INDEPENDENT


def _mismatch(folder: Path, config: PreTrainedConfig, given: Sequence[str], labels: Sequence[str]) -> str:
    if _independent(config):
        return f"{folder}: decides on each label by itself ({INDEPENDENT}), which is no choice of one; fine-tune it"
    remedy = "write `labels` as the model has them, or say which is which"
    if all(each == f"LABEL_{number}" for number, each in enumerate(given)):
        remedy = "its config does not name them: say which is which"
    mapping = ", ".join(f"{own}: {label}" for own, label in zip(given, labels, strict=False))
    return (
        f"{folder}: the model's labels are {', '.join(given)}, those of the task {', '.join(labels)}, and "
        f"`finetune: false` trains no other head; {remedy}, for example `labels: {{{mapping}}}`, with what the table's "
        "file says as further keys"
    )


def _check_whole(model: torch.nn.Module, found: Weights, head: TaskHead, folder: Path) -> None:
    absent = sorted(model.state_dict().keys() - found.keys() - set(getattr(model, "all_tied_weights_keys", None) or ()))
    if absent:
        raise UserError(
            f"{folder}: is no model with a {head} head that is ready to use: its file has no {', '.join(absent[:5])}, "
            "and `finetune: false` trains nothing; give the task a `train` table and leave `finetune` out, or take a "
            "model that has them"
        )


def _on_meta(
    config: PreTrainedConfig, head: TaskHead, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> torch.nn.Module:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return build(with_head(config, head, tuple(labels), tokenizer), head)


def _outputs(config: PreTrainedConfig, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Names of the weights with one row for each label: those whose shapes change with the number of labels."""
    one, more = (
        _on_meta(config, "classification", each, tokenizer).state_dict()
        for each in (tuple(labels), (*labels, "one more"))
    )
    return {name for name, value in one.items() if more[name].shape != value.shape}
