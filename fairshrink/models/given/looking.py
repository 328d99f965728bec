"""What can be told of a given checkpoint without loading it: from its files, their headers and config.json.

Quick and without torch, as it is looked at before any job starts and right after a download.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fairshrink.contracts import TaskHead
from fairshrink.models import folder as model_folder
from fairshrink.models.given import onnx_file, quantized, runtime, vocabulary
from fairshrink.store import lfs

ONNX, GGUF = ".onnx", ".gguf"
RUNTIME_ONLY = ("QLinearMatMul", "QGemm", "QAttention", "MatMulNBits", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
"""Operations of onnxruntime that fuse what would have to be taken apart."""


def wrong(
    folder: Path,
    heads: Sequence[TaskHead],
    file: str | None,
    *,
    trains: bool,
    originals: Sequence[Path],
    own_runtime: bool = False,
) -> list[str]:
    """Why the checkpoint in an existing folder cannot be read, or not be compared; each reason ends with a remedy.

    ``trains``: whether it is to be fine-tuned; ``originals``: folders of models that it is compared with;
    ``own_runtime``: whether it is to be computed by onnxruntime.
    """
    if file is not None and not file.endswith((ONNX, GGUF)):
        return [f"{file} is neither an ONNX nor a GGUF file; name one, or leave `file` out for a folder of safetensors"]
    try:
        found = _reasons(folder, heads, file, trains, originals, own_runtime)
        return list(dict.fromkeys([*(_running(file, heads) if own_runtime else ()), *found]))
    except OSError as error:
        return [f"{error.filename or folder} cannot be read ({error.strerror}); change its permissions"]


def fused(graph: onnx_file.Graph) -> list[str]:
    """The operations of a graph that only its own runtime computes."""
    return sorted({node.kind for node in graph.nodes} & set(RUNTIME_ONLY))


def quantization(folder: Path) -> object:
    """The quantization_config of a folder, None if there is none."""
    return model_folder.config_of(folder).get("quantization_config")


def _running(file: str | None, heads: Sequence[TaskHead]) -> Iterator[str]:
    """Why its own runtime cannot compute it."""
    if file is None or not file.endswith(ONNX):
        what = "the runtime of GGUF files is llama.cpp" if file else "a folder of safetensors has a library for a GPU"
        yield f"{what}, which is not part of this environment; leave `runtime` out, its weights are decoded"
        return
    if "causal_lm" in heads:
        yield (
            "an ONNX file of a causal language model keeps a cache between its calls, which is not given to it; leave "
            "`runtime` out, its weights are decoded"
        )
    reason = runtime.missing()
    if reason:
        yield reason


def _reasons(
    folder: Path, heads: Sequence[TaskHead], file: str | None, trains: bool, originals: Sequence[Path], running: bool
) -> Iterator[str]:
    said = None if file else quantization(folder)
    if trains and (file or said):
        how = file or f"weights of {said.get('quant_method') if isinstance(said, dict) else 'few bits'}"
        yield (
            f"{how} would be fine-tuned, which replaces what its maker stored; write `finetune: false` for a model "
            "of the task, or name other `tasks`"
        )
    if file and file.endswith(ONNX):
        yield from _onnx(folder, file, running)
    elif said:
        yield from quantized.refusals(said)
    if not (file and file.endswith(ONNX)):
        yield from model_folder.wrong(folder, heads, file, quantized=bool(said), tokenizer=False)
    words = None if file and file.endswith(GGUF) else vocabulary.of_folder(folder)
    for original in originals if words else ():
        other = vocabulary.difference(vocabulary.of_folder(original) or {}, words or {})
        if other:
            yield f"it has another vocabulary than {original}: {other}; compare it with the model that it was made from"


def _onnx(folder: Path, file: str, running: bool) -> Iterator[str]:
    path = folder / file
    if not path.is_file():
        there = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.onnx"))
        remedy = f"name one of {', '.join(there[:10])}" if there else "name a file of the folder"
        yield f"there is no file '{file}' in it; {remedy}"
        return
    if lfs.is_pointer(path):
        yield lfs.missing([file])
        return
    try:
        graph = onnx_file.read(path)
    except onnx_file.DamagedError as error:
        yield f"{file} is not an ONNX file, or not a whole one: {error}; get the file again"
        return
    alone = fused(graph)
    if alone and not running:
        yield (
            f"{file} has operations that cannot be taken apart ({', '.join(alone)}); write `runtime: own`, which has "
            "onnxruntime compute it, or take a file with DequantizeLinear or MatMulInteger"
        )
    if any(each.data is None for each in graph.stored.values()):
        yield f"{file} keeps its weights in another file, which is not read; save it as one file"
