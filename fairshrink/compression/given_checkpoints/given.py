"""A given checkpoint: a model that somebody else compressed, as a row beside its original.

It is named as a download, pinned like any other, and is read with the task head and labels of its original, which is
the baseline. What is read:

- a folder of safetensors as transformers saves it, also of another architecture (DistilBERT beside BERT);
- such a folder quantized by GPTQ (2, 4, 8 bits), AWQ (4 bits, `gemm`), compressed-tensors (packed, int8 and float8
  weights) or bitsandbytes (8 bits, nf4, fp4, double quantization);
- `file`: a GGUF file, or an ONNX file whose weights are decoded by DequantizeLinear, by Cast and Mul, or multiplied by
  MatMulInteger. An ONNX file may come without `config.json`: then it has the original's.

Codes become the weights that they stand for, code × scale in float32, and are computed with like any weights: exactly
what is stored, where a runtime that multiplies in float16 or rounds activations gives slightly other results. What is
fused for one runtime (QLinearMatMul, MatMulNBits, GPTQ for one kind of GPU) cannot be decoded.

`runtime: own` has onnxruntime compute an ONNX file as it is, with what it fuses and how it rounds activations, and
every metric asks it. It is for encoders: the file takes `input_ids`, `attention_mask` and `token_type_ids` and gives
the last hidden layer, or for a task with a head of its own the logits (a classifier's `config.json` says which is which
label). Its version is part of the key. The default decodes, since that says what the stored weights alone do; two rows,
`runtime: [decoded, own]`, say what rounding activations adds. GGUF files are decoded only: llama.cpp, their runtime, is
no package of this environment.

The comparison is fair by construction: both get the original's tokenizer and so the same items. A checkpoint whose own
tokenizer numbers a token of the original otherwise, or splits texts otherwise, is refused; without a tokenizer of its
own it has to have as many embeddings.

On a task whose baselines are fine-tuned, the checkpoint is fine-tuned as its baseline was (same examples, steps, seed),
unless `finetune: false` says that it is a model of the task already. What holds codes cannot be fine-tuned.

Formula:
    ŵ = scale × (code − zero point) of its file; a DequantizeLinear, a table of 16 values or a GGUF block gives the same
Paper: None: whoever made it says how. Formats: Frantar et al., *GPTQ*, ICLR 2023; Lin et al., *AWQ*, MLSys 2024;
    Dettmers et al., *LLM.int8()*, NeurIPS 2022, and *QLoRA*, NeurIPS 2023; docs/gguf.md of ggml; the ONNX operators.
Cost: Reading the file once; a fine-tuning where it is fine-tuned.
Saves: What its maker saved: the ledger's bytes and bits are those of its files. Decoded it is computed with dense
    weights, so its latency is theirs, and in `results/` it is stored dense. In its own runtime the latency is that
    runtime's, and the file is stored as it is.
Limits: Nothing says how it was made, nor on what data: a change of bias may come from training as well as from
    compressing. Nothing can follow it in a chain; to compress it further, name it under `models`. In its own runtime:
    no attention, and of a language model no embeddings, as its file does not show them; no export but the file itself;
    where activations are rounded by their range, texts are run one at a time, so that no score depends on what else is
    in a batch. Products of 8-bit numbers may saturate on processors without VNNI: scores of such a file are one
    machine's.
Use:
    - {method: given, download: minilm_int8, file: model.onnx, tasks: [similarity]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fairshrink.contracts import Forms
from fairshrink.settings import Below
from fairshrink.settings import Settings as _Settings
from fairshrink.study.brought import Brought

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
FORMS = Forms(takes=frozenset({"baseline"}), gives="packed")


class Settings(_Settings):
    """Which checkpoint."""

    download: str = Field(description="name of the entry under `downloads` that contains it")
    folder: Below = Field(".", description="folder inside the download")
    file: Below | None = Field(None, description="an ONNX or GGUF file in `folder`, if the model is one")
    runtime: Literal["decoded", "own"] = Field(
        "decoded",
        description="`decoded`: its weights are decoded and computed with like any; `own`: onnxruntime computes the "
        "ONNX file as it is; a list gives a row for each",
    )
    finetune: bool = Field(
        True,
        description="fine-tune it where its original was, in the same way; false: it is a model of the task already",
    )


def brings(settings: Settings) -> Brought:
    """The checkpoint, as planning asks for it."""
    own = settings.runtime == "own"
    return Brought(settings.download, settings.folder, settings.file, settings.finetune, own)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """The given checkpoint; UserError where it cannot be read, or is of another vocabulary than ``cp``."""
    from pathlib import Path

    from fairshrink.contracts import TrainedTask
    from fairshrink.data.examples import frames
    from fairshrink.errors import UserError
    from fairshrink.models.given.reading import read

    if context.brought is None:
        raise UserError("given: there is no checkpoint without a study that names its `download`")
    about, task = context.brought, context.task
    found = read(
        Path(about.path),
        settings.file,
        cp,
        names=about.names,
        trained=about.trained,
        seed=task.seed if task else 0,
        own_runtime=settings.runtime == "own",
    )
    if about.trained and task is not None and isinstance(task.module, TrainedTask):
        task.module.train(found, frames(task), task.settings, task.seed, context.log, state=context.state)
    return found
