"""Which published models fairshrink supports, by what their ``config.json`` says; needs no torch.

A model is supported if the tests over every architecture hold for it: outputs equal those of plain transformers, before
and after training, saving and loading (`tests/models/test_architectures.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairshrink.contracts import ModelFamily, TaskHead

_ENCODER: tuple[TaskHead, ...] = ("encoder", "masked_lm", "regression", "classification")
_DECODER: tuple[TaskHead, ...] = ("encoder", "causal_lm", "regression", "classification")
# transformers has no classifier of these.
_DECODER_ALONE: tuple[TaskHead, ...] = ("encoder", "causal_lm")
_NAMES: Mapping[TaskHead, str] = {
    "encoder": "a model without a head",
    "masked_lm": "a masked language model",
    "causal_lm": "a causal language model",
    "regression": "a regression model",
    "classification": "a classifier",
}


@dataclass(frozen=True)
class Architecture:
    """What a ``model_type`` of transformers is called, and the task heads that it can have.

    ``note``: what somebody who brings such a model should know.
    """

    title: str
    family: ModelFamily
    heads: tuple[TaskHead, ...]
    note: str = ""


ARCHITECTURES: Mapping[str, Architecture] = {
    "albert": Architecture("ALBERT", "encoder", _ENCODER, "its layers share one set of weights"),
    "bert": Architecture("BERT", "encoder", _ENCODER),
    "camembert": Architecture("CamemBERT", "encoder", _ENCODER),
    "deberta-v2": Architecture("DeBERTa v2 and v3", "encoder", _ENCODER),
    "distilbert": Architecture("DistilBERT", "encoder", _ENCODER),
    "electra": Architecture(
        "ELECTRA", "encoder", _ENCODER, "only generators are masked language models; discriminators get a new head"
    ),
    "ernie": Architecture("ERNIE", "encoder", _ENCODER),
    "modernbert": Architecture("ModernBERT", "encoder", _ENCODER),
    "mpnet": Architecture("MPNet", "encoder", _ENCODER),
    "roberta": Architecture("RoBERTa", "encoder", _ENCODER),
    "roberta-prelayernorm": Architecture("RoBERTa-PreLayerNorm", "encoder", _ENCODER),
    "t5": Architecture("T5", "encoder", ("encoder",), "its encoder alone"),
    "xlm-roberta": Architecture("XLM-RoBERTa", "encoder", _ENCODER),
    "bloom": Architecture("BLOOM", "causal", _DECODER),
    "cohere": Architecture("Cohere Command R", "causal", _DECODER_ALONE),
    "gemma": Architecture("Gemma", "causal", _DECODER),
    "gemma2": Architecture("Gemma 2", "causal", _DECODER),
    "gemma3_text": Architecture("Gemma 3", "causal", _DECODER, "the models for text"),
    "gpt2": Architecture("GPT-2, DistilGPT-2", "causal", _DECODER),
    "gpt_neo": Architecture("GPT-Neo", "causal", _DECODER),
    "gpt_neox": Architecture("GPT-NeoX, Pythia", "causal", _DECODER),
    "granite": Architecture("Granite", "causal", _DECODER_ALONE),
    "llama": Architecture("Llama, SmolLM, SmolLM2", "causal", _DECODER),
    "mistral": Architecture("Mistral", "causal", _DECODER),
    "olmo": Architecture("OLMo", "causal", _DECODER),
    "olmo2": Architecture("OLMo 2", "causal", _DECODER),
    "opt": Architecture("OPT", "causal", _DECODER),
    "phi": Architecture("Phi, Phi-1.5, Phi-2", "causal", _DECODER),
    "phi3": Architecture("Phi-3, Phi-3.5, Phi-4", "causal", _DECODER),
    "qwen2": Architecture("Qwen 2, Qwen 2.5", "causal", _DECODER),
    "qwen3": Architecture("Qwen 3", "causal", _DECODER),
    "smollm3": Architecture("SmolLM3", "causal", _DECODER),
    "stablelm": Architecture("StableLM", "causal", _DECODER),
}
"""By ``model_type``, as it is written in config.json."""


def supported(config: Mapping[str, Any], head: TaskHead) -> list[str]:
    """Why a model with this content of config.json cannot be used with this task head; empty if it can.

    ``config``: the parsed file, as it was downloaded. Each reason is a sentence without a full stop that ends with a
    remedy after "; ", as in other mistakes of a study. Says nothing about the weights, which are checked when read.
    """
    return list(_reasons(config, head))


def _reasons(config: Mapping[str, Any], head: TaskHead) -> Iterator[str]:
    kind = config.get("model_type")
    architecture = ARCHITECTURES.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str):
        yield "config.json names no model_type; give the folder of a model that transformers reads"
        return
    if architecture is None:
        yield f"the architecture {kind!r} is not supported; use one of {', '.join(ARCHITECTURES)}"
        return
    if head not in architecture.heads:
        able = " or ".join(_NAMES[each] for each in architecture.heads)
        yield f"{architecture.title} cannot be used as {_NAMES[head]}; use it as {able}, or another model"
    if config.get("quantization_config"):
        method = dict(config["quantization_config"]).get("quant_method", "unknown")
        yield f"its weights are stored quantized ({method}); give the model that it was made from, or a GGUF file"
    if config.get("is_decoder") and architecture.family == "encoder":
        yield f'config.json makes a decoder of {architecture.title} (is_decoder); write `"is_decoder": false`'
    yield from _wrong_numbers(config, head)


def _wrong_numbers(config: Mapping[str, Any], head: TaskHead) -> Iterator[str]:
    vocabulary, padding = config.get("vocab_size"), config.get("pad_token_id")
    if isinstance(vocabulary, int) and isinstance(padding, int) and padding >= vocabulary:
        yield (
            f"config.json: pad_token_id {padding} is beyond the vocabulary of {vocabulary} words; "
            "write the id of a token that the model has, for example of its end of text"
        )
    names = config.get("id2label")
    if head in ("regression", "classification") and isinstance(names, Mapping) and names:
        numbers = sorted(str(number) for number in names)
        if numbers != sorted(str(number) for number in range(len(names))):
            yield (
                f"config.json: id2label counts {', '.join(map(str, names))} instead of from 0; "
                "number the model's outputs from 0 in id2label and label2id"
            )
