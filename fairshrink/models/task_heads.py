"""Model classes by task head, and what a config must say about the task head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import torch
import transformers

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

TASK_HEADS: tuple[TaskHead, ...] = get_args(TaskHead)
AUTO_CLASSES: Mapping[TaskHead, str] = {
    "encoder": "AutoModel",
    "masked_lm": "AutoModelForMaskedLM",
    "causal_lm": "AutoModelForCausalLM",
    "regression": "AutoModelForSequenceClassification",
    "classification": "AutoModelForSequenceClassification",
}


def build(config: PreTrainedConfig, head: TaskHead) -> torch.nn.Module:
    """A model in eval mode, its weights initialized by the architecture."""
    factory = getattr(transformers, AUTO_CLASSES[head])
    options = {"dtype": torch.float32}
    if head == "encoder" and config.model_type in ("bert", "roberta", "xlm-roberta", "camembert"):
        options["add_pooling_layer"] = False  # no metric uses it, and it must not count as a parameter
    return factory.from_config(config, **options).eval()


def with_head(
    config: PreTrainedConfig, head: TaskHead, labels: tuple[str, ...], tokenizer: PreTrainedTokenizerBase
) -> PreTrainedConfig:
    """A copy of ``config`` for this task head, its labels and this tokenizer's padding."""
    config = type(config).from_dict({k: v for k, v in config.to_dict().items() if k != "quantization_config"})
    if head in ("regression", "classification"):
        if head == "classification" and len(labels) < 2:
            raise UserError("a classification task head needs at least two labels")
        names = labels if head == "classification" else ("score",)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        config.problem_type = "regression" if head == "regression" else "single_label_classification"
    config.pad_token_id = tokenizer.pad_token_id
    return config
