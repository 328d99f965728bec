"""A model that somebody else compressed as a checkpoint, to be compared with its original."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.initialization import no_init_weights

from fairshrink.contracts import StoredType
from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.models import folder as model_folder
from fairshrink.models import gguf_header, pretrained
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.checkpoint import AsMade, Checkpoint, assembled
from fairshrink.models.given import folders, looking, onnx_file, onnx_weights, quantized, vocabulary
from fairshrink.models.given import own_runtime as running
from fairshrink.models.task_heads import build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from fairshrink.models.given.folders import Decoded
    from fairshrink.models.pretrained import Published


def read(
    folder: Path,
    file: str | None,
    original: Checkpoint,
    *,
    names: Mapping[str, str],
    trained: bool,
    seed: int,
    own_runtime: bool = False,
) -> Checkpoint:
    """The model in a folder, or in one ONNX or GGUF file of it, with the task head and labels of its original.

    It gets the original's tokenizer, so both are given the same tokens: UserError where its own one has other numbers
    for them. What was decoded is stored in float32, other weights in the original's type. ``names``, ``trained`` and
    ``seed`` as `checkpoint.from_source` has them. ``own_runtime``: an ONNX file is computed by onnxruntime instead.
    """
    for reason in looking.wrong(folder, [original.head], file, trains=trained, originals=(), own_runtime=own_runtime):
        raise UserError(f"{folder}: {reason}")
    if own_runtime:
        return _running(folder, str(file), original, names)
    said: Any = None if file else looking.quantization(folder)
    dtype: StoredType = "float32" if file or said else original.dtype
    with pretrained.quiet(), torch.random.fork_rng(devices=[]):
        try:
            tokenizer = _tokenizer(folder, file)
            published, decoded = _published(folder, file, said, original)
        except UserError:
            raise
        except Exception as error:  # transformers and tokenizers raise whatever comes
            reason = " ".join(str(error).split())[:400] or type(error).__name__
            raise UserError(f"{folder} cannot be read as a model: {reason}") from error
        _check_words(original, tokenizer, published.config, folder)
        cp = assembled(
            published,
            original.tokenizer,
            folder,
            head=original.head,
            labels=original.labels,
            dtype=dtype,
            seed=seed,
            names=names,
            trained=trained,
        )
    if said and quantized.rounds_activations(said):
        log(f"{folder}: its weights are those of its maker; activations, which its own library rounds, are not rounded")
    if not trained:
        cp.made = AsMade(decoded.bytes, _prunable_bits(cp.model, decoded, folder))
    cp.model.to(original.device)
    return cp


def _running(folder: Path, file: str, original: Checkpoint, names: Mapping[str, str]) -> Checkpoint:
    """The model in an ONNX file, computed by its own runtime."""
    with pretrained.quiet():
        config, own = _config(folder, original)
        _check_words(original, _tokenizer(folder, file), config, folder)
        return running.read(folder, file, config, original, names, own=own)


def _config(folder: Path, original: Checkpoint) -> tuple[PreTrainedConfig, bool]:
    """The config of a folder with an ONNX file, or else of its original; whether it is the folder's own."""
    if not (folder / model_folder.CONFIG).is_file():
        return copy.deepcopy(original.model.config), False
    try:
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False), True
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: config.json cannot be read ({' '.join(str(error).split())[:200]})") from error


def _published(folder: Path, file: str | None, said: Any, original: Checkpoint) -> tuple[Published, Decoded]:
    head = original.head
    if file and file.endswith(looking.GGUF):
        return pretrained.read_gguf(folder, head, file), _gguf_sizes(folder / file)
    if not said and not file:
        return pretrained.read_folder(folder, head), folders.sizes(folder)
    config, _ = _config(folder, original)
    if said:
        del config.quantization_config
        decoded = folders.read(folder, said)
    else:
        with no_init_weights():
            decoded = onnx_weights.read(onnx_file.read(folder / str(file)), build(config, head), f"{folder}/{file}")
    return pretrained.of_weights(config, decoded.weights, folder, head), decoded


def _tokenizer(folder: Path, file: str | None) -> PreTrainedTokenizerBase | None:
    if file and file.endswith(looking.GGUF):
        return pretrained.read_tokenizer(folder, gguf_file=file)
    if not any((folder / name).is_file() for name in model_folder.TOKENIZERS):
        return None
    return pretrained.read_tokenizer(folder)


def _check_words(
    original: Checkpoint, tokenizer: PreTrainedTokenizerBase | None, config: PreTrainedConfig, folder: Path
) -> None:
    """UserError unless the given model was made for the tokens that the original's tokenizer makes."""
    remedy = "compare it with the model that it was made from"
    if tokenizer is None:
        if config.vocab_size != original.model.config.vocab_size:
            raise UserError(
                f"{folder}: it has no tokenizer, and embeddings for {config.vocab_size:,} words where its original "
                f"has {original.model.config.vocab_size:,}; {remedy}"
            )
        return
    other = vocabulary.difference(original.tokenizer.get_vocab(), tokenizer.get_vocab())
    if other:
        raise UserError(f"{folder}: it has another vocabulary: {other}; {remedy}")
    for text in vocabulary.TEXTS:
        theirs, ours = (each(text, add_special_tokens=False)["input_ids"] for each in (tokenizer, original.tokenizer))
        if theirs != ours:
            raise UserError(
                f"{folder}: its tokenizer splits {text!r} otherwise than its original's, with the same vocabulary; "
                f"{remedy}"
            )


def _gguf_sizes(path: Path) -> Decoded:
    """The sizes of a GGUF file's tensors, under their names there."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    header, found = gguf_header.read(path), folders.Decoded()
    for name, shape in header.shapes.items():
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(header.types[name])]
        entries = torch.Size(shape).numel()
        found.bits[name] = 8 * entries // block * size
    found.bytes = sum(found.bits.values()) // 8
    return found


def _prunable_bits(model: torch.nn.Module, decoded: Decoded, folder: Path) -> int:
    """Bits of the weights of the linear layers in the blocks, as the file has them."""
    in_blocks = [name for name in decoded.bits if name.startswith("blk.") and name.endswith(".weight")]
    if in_blocks:  # names of GGUF; normalization is in its blocks too
        return sum(decoded.bits[name] for name in in_blocks if "norm" not in name)
    total = 0
    for name in (f"{linear}.weight" for block in blocks(model) for linear in block.linears):
        same = [each for each in decoded.bits if each == name or f".{name}".endswith(f".{each}")]
        same = same or [each for each in decoded.bits if each.endswith(f".{name}")]
        if not same:
            raise UserError(f"{folder}: the size of {name} in its file is not known: it has another name there")
        total += decoded.bits[same[0]]
    return total
