"""Model classes by task head, and what a config must say about the task head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import torch
import transformers
from transformers.initialization import no_init_weights

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
POOLED = ("albert", "bert", "camembert", "ernie", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta")
"""Model types that come with a pooler unless they are told not to."""


def build(config: PreTrainedConfig, head: TaskHead) -> torch.nn.Module:
    """A model in eval mode, its weights initialized by the architecture."""
    if config.model_type == "t5":  # as `AutoModel` it has a decoder
        return transformers.T5EncoderModel._from_config(config, dtype=torch.float32).eval()
    factory = getattr(transformers, AUTO_CLASSES[head])
    options: dict[str, Any] = {"dtype": torch.float32}
    if head == "encoder" and config.model_type in POOLED:
        options["add_pooling_layer"] = False  # no metric uses it, and it must not count as a parameter
    return factory.from_config(config, **options).eval()


def published(folder: str, model_type: str, head: TaskHead, **options: Any) -> Any:
    """What transformers makes of a folder: the result of ``from_pretrained``, with the pooler if there is one."""
    if model_type == "t5":
        return transformers.T5EncoderModel.from_pretrained(folder, **options)
    return getattr(transformers, AUTO_CLASSES[head]).from_pretrained(folder, **options)


def published_of(config: PreTrainedConfig, head: TaskHead, weights: dict[str, torch.Tensor], **options: Any) -> Any:
    """The same of weights that have been read already, under the names of a published file."""
    with no_init_weights():
        kind: Any = type(build(config, head))
    return kind.from_pretrained(None, config=config, state_dict=weights, **options)


def with_head(
    config: PreTrainedConfig, head: TaskHead, labels: tuple[str, ...], tokenizer: PreTrainedTokenizerBase
) -> PreTrainedConfig:
    """A copy of ``config`` for this task head and its labels, with a token to pad with."""
    config = type(config).from_dict({k: v for k, v in config.to_dict().items() if k != "quantization_config"})
    if head in ("regression", "classification"):
        if head == "classification" and len(labels) < 2:
            raise UserError("a classification task head needs at least two labels")
        names = labels if head == "classification" else ("score",)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        config.problem_type = "regression" if head == "regression" else "single_label_classification"
    config.pad_token_id = _padding(config, tokenizer)
    return config


def _padding(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills up batches: one that the model has an embedding of, whatever a tokenizer was given later.

    The config's own comes first, since some architectures compute with it: RoBERTa counts positions from it, and
    decoders with a classifier read the last token that is another one.
    """
    for token in (config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id):
        if token is not None and 0 <= token < config.vocab_size:
            return int(token)
    return 0
