"""One ONNX file of an encoder, with its config.json and tokenizer, as onnxruntime and optimum read it.

The file takes `input_ids`, `attention_mask` and, where the model has them, `token_type_ids`, of batches of any size and
texts of any length, and gives `last_hidden_state` or, with a task head, `logits`. Weights are float32: factors, and
layers that lost heads or neurons, are written as they are, so that the file stays small; codes of few bits and sparse
matrices become dense ones, as the operators that would hold them differ from runtime to runtime.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshrink.errors import UserError
from fairshrink.exporting.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from fairshrink.models.checkpoint import Checkpoint

WEIGHTS = ("float32",)
FILE = "model.onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
AS_IT_IS = frozenset({"factors", "removed_heads", "removed_neurons", "tied_layers"})
"""Forms of weights whose modules compute with float matrices alone."""
_FORM = (
    "One ONNX file in float32, `model.onnx`. Factors, and layers that lost heads or neurons, are as small as the "
    "compression made them; zeros are stored, and codes of few bits are dense weights here."
)


def write(cp: Checkpoint, folder: Path, weights: str) -> Written:
    """Fill an empty folder. UserError for causal models, for what is no float matrix, and if outputs differ."""
    from fairshrink.models import plain
    from fairshrink.models.pretrained import plain_lengths

    absent = [name for name in PACKAGES if not _installed(name)]
    if absent:
        raise UserError(f"ONNX files are written by {', '.join(absent)}: pip install 'fairshrink[onnx]'")
    if cp.head == "causal_lm":
        raise UserError("a causal language model as an ONNX file would compute without a cache; write `--format gguf`")
    model = cp.model.float().cpu() if cp.structure.keys() <= AS_IT_IS else plain.dense(cp)
    _export(model, cp, folder / FILE)
    plain_lengths(cp.tokenizer)
    cp.tokenizer.save_pretrained(folder)
    model.config.save_pretrained(folder)
    difference = _difference(cp, folder / FILE)
    return Written(_FORM, f"run by onnxruntime, its outputs differ from the checkpoint's by {difference:.1g} at most")


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _export(model: torch.nn.Module, cp: Checkpoint, path: Path) -> None:
    """The file, by torch's own exporter. UserError where that does not understand the model."""
    import torch

    inputs = _inputs(model)
    ids = torch.full((2, 7), 3)
    given = tuple(torch.zeros_like(ids) if name == "token_type_ids" else torch.ones_like(ids) for name in inputs)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=_longest(cp))}
    try:
        with _quietly():
            program = torch.onnx.export(
                _answering(model.eval(), inputs, _output(cp)),
                given,
                dynamo=True,
                dynamic_shapes=(tuple(sizes for _ in inputs),),
                input_names=inputs,
                output_names=[_output(cp)],
                verbose=False,
            )
            program.save(str(path), external_data=False)
    except Exception as error:  # the exporter raises whatever comes
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"torch cannot write a {type(model).__name__} as an ONNX file: {reason}") from error


def _longest(cp: Checkpoint) -> int:
    from fairshrink.models.checkpoint import max_tokens

    return max_tokens(cp)


def _inputs(model: torch.nn.Module) -> list[str]:
    """What the model takes; token types only where it tells two texts apart by them."""
    config: Any = model.config
    types = "token_type_ids" in signature(model.forward).parameters and getattr(config, "type_vocab_size", 1) > 1
    return ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]


def _output(cp: Checkpoint) -> str:
    return "last_hidden_state" if cp.head == "encoder" else "logits"


def _answering(model: torch.nn.Module, inputs: list[str], output: str) -> torch.nn.Module:
    """The model with inputs by position and one output."""
    import torch

    class Answering(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: torch.Tensor) -> Any:
            return getattr(self.model(**dict(zip(inputs, given, strict=True))), output)

    return Answering()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's notes on its own progress."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _difference(cp: Checkpoint, path: Path) -> float:
    """The largest difference of outputs, of texts alone and padded; UserError if it is more than rounding."""
    import numpy as np
    import torch

    from fairshrink.models.inference.batching import collate
    from fairshrink.models.reference import TEXTS, TOLERANCE
    from fairshrink.models.stored_forms.own_runtime import opened

    session = opened(path.read_bytes())
    sequences = [cp.tokenizer(text, verbose=False)["input_ids"] for text in TEXTS]
    types = [[0] * (len(ids) // 2) + [1] * (len(ids) - len(ids) // 2) for ids in sequences]
    taken, largest, most = _inputs(cp.model), 0.0, 1.0
    for rows in ([0], [1], [0, 1]):
        inputs = collate(cp, [sequences[row] for row in rows], [types[row] for row in rows])
        inputs = {name: inputs[name] for name in taken}
        with torch.inference_mode():
            expected = getattr(cp.model(**inputs), _output(cp)).float().cpu().numpy()
        (found,) = session.run(None, {name: value.cpu().numpy() for name, value in inputs.items()})
        if expected.ndim == 3:  # what is at padding means nothing
            real = inputs["attention_mask"].bool().cpu().numpy()
            expected, found = expected[real], found[real]
        most = max(most, float(np.abs(expected).max()))
        largest = max(largest, float(np.abs(found - expected).max()))
    if not largest <= TOLERANCE * most:
        raise UserError(f"onnxruntime computes other outputs from the file (they differ by {largest:.2g})")
    return largest
