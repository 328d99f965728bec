"""Writes the file: header, vocabulary, tensors."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gguf
import numpy as np

from fairshrink.errors import UserError
from fairshrink.exporting.formats.gguf import kinds, types, vocabulary
from fairshrink.models import plain

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from fairshrink.models.checkpoint import Checkpoint

FILE = "model.gguf"


class Placed(NamedTuple):
    """A tensor as it is in the file: under ``name``, in its order there; ``own``: its name in transformers."""

    own: str
    name: str
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Made:
    """The dense ``model`` that was written; types ``chosen`` for its tensors; ``bytes`` by type; what to know of it."""

    model: torch.nn.Module
    chosen: dict[str, types.Type]
    bytes: Counter[types.Type]
    notes: tuple[str, ...]


def write(cp: Checkpoint, folder: Path, wanted: str | None) -> Made:
    """Write a model, its weights in a wanted type or in the smallest that hold them exactly. UserError if it cannot."""
    if cp.head != "causal_lm":
        raise UserError(
            f"it is no causal language model but has the task head {cp.head}, which transformers does not read from "
            "GGUF; `--format transformers` writes it"
        )
    kind = kinds.of(cp.model.config)
    model = plain.dense(cp)
    writer = gguf.GGUFWriter(folder / FILE, kind.name)
    try:
        writer.add_type("model")
        if cp.path:
            writer.add_name(Path(cp.path).name)
        kinds.describe(writer, model.config)
        with tempfile.TemporaryDirectory() as own:
            cp.tokenizer.save_pretrained(own)
            notes = vocabulary.describe(writer, cp.tokenizer, Path(own), model.config.vocab_size)
        chosen, sizes = _tensors(writer, model, wanted)
        writer.add_file_type(types.file_type(sizes))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return Made(model, chosen, sizes, tuple(notes))


def placed(model: Any, kind: kinds.Kind) -> Iterator[Placed]:
    """All tensors of a dense model; an output layer that is tied to the embeddings is no other one."""
    config = model.config
    names = gguf.get_tensor_name_map(_architecture(kind), config.num_hidden_layers)
    tied = config.tie_word_embeddings
    for own, values in model.state_dict().items():
        if tied and own == "lm_head.weight":
            continue
        short = own.removeprefix(f"{model.base_model_prefix}.")  # some architectures are named without it
        found = next(filter(None, (names.get_name(each, (".weight", ".bias")) for each in (own, short))), None)
        if found is None:
            raise UserError(f"GGUF has no name for {own} of {config.model_type}; `--format transformers` writes it")
        yield Placed(own, found, kind.order(found, values.float().numpy(), config))


def _tensors(
    writer: gguf.GGUFWriter, model: torch.nn.Module, wanted: str | None
) -> tuple[dict[str, types.Type], Counter[types.Type]]:
    chosen: dict[str, types.Type] = {}
    sizes: Counter[types.Type] = Counter()
    for each in placed(model, kinds.of(model.config)):
        if not np.isfinite(each.values).all():
            raise UserError(f"{each.own} has values that are not finite: the checkpoint is damaged")
        one = types.wanted(each.name, each.values, wanted) if wanted else types.exact(each.name, each.values)
        data = types.encoded(each.values, one)
        if one is types.Type.F16 and not np.isfinite(data).all():
            raise UserError(f"{each.own} has values beyond those of 16-bit floats; write `--weights bf16` or f32")
        writer.add_tensor(each.name, data, raw_dtype=one)
        chosen[each.name] = one
        sizes[one] += data.nbytes
    return chosen, sizes


def _architecture(kind: kinds.Kind) -> gguf.MODEL_ARCH:
    return next(each for each, name in gguf.MODEL_ARCH_NAMES.items() if name == kind.name)
