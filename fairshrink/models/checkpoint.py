"""Load and save any checkpoint: one model, its tokenizer, its task head, and how its modules differ from its config.

Weights are float32 in memory whatever their stored dtype (a bfloat16 file is up-cast, which is exact), but for models
that are stored and computed in bfloat16 on a GPU (`half_weights`). ``precision="bf16"`` means autocast in
``inference``: matrix products of the transformer in bfloat16; residual stream, normalization, vocabulary logits and
log-softmax in float32. On SmolLM2-135M and a CPU with avx512_bf16 its token log-probabilities are off by 0.02 on
average, at 1.5 times the speed of float32; with weights and logits in bfloat16 they are off by 0.05, at twice the
speed. It also lets metrics of different precision share one loaded checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
import transformers
from safetensors import SafetensorError
from transformers.initialization import no_init_weights

from fairshrink.contracts import Precision, StoredType, TaskHead
from fairshrink.errors import UserError
from fairshrink.models import half_weights, own_labels, reference, weights_file
from fairshrink.models.inference.memo import Memo
from fairshrink.models.parts import parts
from fairshrink.models.pretrained import Published, plain_lengths, quiet, read_folder, read_gguf, read_tokenizer
from fairshrink.models.task_heads import TASK_HEADS, build, with_head

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
FORMAT, READABLE = 2, (1, 2)
"""The format that is written, and those that are read."""
UNLIMITED = 1_000_000
"""Tokens of a text for models with relative positions, if their tokenizer names no limit either."""


@dataclass(frozen=True)
class AsMade:
    """What the files of a model's maker hold: bytes of all tensors, and bits of the prunable weights there.

    The others where its own runtime computes the model, which has no weights of its own then: how many there are, and
    how many of them are zero; None where the file does not tell.
    """

    bytes: int
    prunable_bits: int | None
    params: int | None = None
    prunable_params: int | None = None
    zeros: int | None = None
    prunable_zeros: int | None = None


@dataclass
class Checkpoint:
    """A model in eval mode with everything that is needed to use it.

    ``head`` is its task head. ``structure`` says how the modules differ from the config (see ``models/structure.py``).
    ``dtype`` is the floating-point type in which parameters are stored on disk; buffers are stored in their own type.
    ``batch_share`` and ``threads`` change how `inference` computes: the share of the usual tokens in a batch, and the
    number of threads if not the process's own. Like ``precision`` they are not stored. ``made``: the size of the files
    of its maker, where the weights were decoded from these; the ledger counts it. ``memo``: what it has answered,
    given to it while it is scored.
    """

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    head: TaskHead
    labels: tuple[str, ...] = ()
    structure: dict = field(default_factory=dict)
    precision: Precision = "fp32"
    path: Path | None = None
    dtype: StoredType = "float32"
    batch_share: float = 1.0
    threads: int | None = None
    made: AsMade | None = None
    memo: Memo | None = None

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        return next(self.model.parameters()).device


def load(path: Path | str, *, precision: Precision = "fp32", device: str = "cpu") -> Checkpoint:
    """Read a checkpoint written by ``save``; UserError if the folder does not contain one.

    One that is read for ``precision="bf16"`` is computed in no other one afterwards, see `half_weights`.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
    try:
        metadata = json.loads((path / "checkpoint.json").read_text())
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _incomplete(path, error) from error
    if metadata.get("format") not in READABLE:
        raise UserError(
            f"{path}/checkpoint.json: format {metadata.get('format')}, expected {FORMAT}: delete it and run again"
        )
    with no_init_weights():
        model = build(config, metadata["head"])
    model.tie_weights()
    if metadata["structure"]:
        from fairshrink.models import structure

        structure.apply(model, metadata["structure"])
    if half_weights.suit(metadata["dtype"], precision, device):
        half_weights.hold(model)
    # Memory of weights that are not filled yet is not used: those of the file go to the device in their stored type.
    model.to(device)
    try:
        weights_file.fill(model, path, _shared(model))
    except (OSError, SafetensorError) as error:
        raise _incomplete(path, error) from error
    return Checkpoint(
        model=model.eval(),
        tokenizer=read_tokenizer(path),
        head=metadata["head"],
        labels=tuple(metadata["labels"]),
        structure=metadata["structure"],
        precision=precision,
        path=path,
        dtype=metadata["dtype"],
        made=AsMade(**metadata["made"]) if "made" in metadata else None,
    )


def save(checkpoint: Checkpoint, folder: Path | str) -> None:
    """Write ``config.json``, the weights, the tokenizer and ``checkpoint.json``.

    The same checkpoint always gives the same bytes. One without ``structure`` or sparse matrices can be read by plain
    transformers; any other is refused by it (see ``models/weights_file.py``). Parameters that share memory are written
    once.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model, dtype = checkpoint.model, getattr(torch, checkpoint.dtype)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    tensors = {
        name: (value.to(dtype) if name in parameters and value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
        if name not in _shared(model)
    }
    weights_file.write(tensors, parts(model), folder, plain=not checkpoint.structure)
    config = model.config.to_diff_dict()
    for private in [key for key in config if key.startswith("_")]:
        del config[private]
    config |= {"dtype": checkpoint.dtype, "architectures": [type(model).__name__]}
    _write_json(folder / "config.json", config)
    plain_lengths(checkpoint.tokenizer)  # using it has left the last texts' truncation behind
    checkpoint.tokenizer.save_pretrained(folder)
    metadata = {"head": checkpoint.head, "labels": list(checkpoint.labels), "structure": checkpoint.structure}
    made = {"made": asdict(checkpoint.made)} if checkpoint.made else {}
    _write_json(folder / "checkpoint.json", {"format": FORMAT, "dtype": checkpoint.dtype, **metadata, **made})


def from_source(
    folder: Path | str,
    *,
    head: TaskHead,
    labels: tuple[str, ...] | list[str] = (),
    gguf_file: str | None = None,
    dtype: StoredType = "float32",
    seed: int = 0,
    names: Mapping[str, str] | None = None,
    trained: bool = True,
) -> Checkpoint:
    """A downloaded Hugging Face model folder as a checkpoint with the given task head.

    Weights of the task head that the folder lacks (for BERT without a language-model head its transform and bias, the
    decoder being tied to the embeddings) are initialized by the architecture's own method, from ``seed``, if they are
    to be ``trained``; UserError otherwise, and for any other weight that is missing or fits nowhere. Embeddings and
    head are tied unless the files hold two matrices that differ, whatever config.json says. A few outputs are compared
    with plain transformers', see `reference`.

    Only safetensors and GGUF are read (``gguf_file``: a file in ``folder``, de-quantized). A classifier's own outputs
    are matched with ``labels`` by name (``names``: other words for these), see `own_labels`.
    """
    folder = Path(folder)
    if head not in TASK_HEADS:
        raise UserError(f"task head {head!r}: choose one of {', '.join(TASK_HEADS)}")
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            published = read_gguf(folder, head, gguf_file) if gguf_file else read_folder(folder, head)
            tokenizer = read_tokenizer(folder, **({"gguf_file": gguf_file} if gguf_file else {}))
    except UserError:
        raise
    except Exception as error:  # transformers and tokenizers raise whatever comes
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise UserError(f"{folder} cannot be read as a model with the task head {head!r}: {reason}") from error
    return assembled(
        published,
        tokenizer,
        folder,
        head=head,
        labels=tuple(labels),
        dtype=dtype,
        seed=seed,
        names=names or {},
        trained=trained,
    )


def assembled(
    published: Published,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    head: TaskHead,
    labels: tuple[str, ...],
    dtype: StoredType,
    seed: int,
    names: Mapping[str, str],
    trained: bool,
) -> Checkpoint:
    """The same of a model whose files have been read already; ``folder`` is named in errors."""
    config, found = published.config, published.weights
    found = own_labels.fitting(found, config, head, labels, names, tokenizer, trained=trained, folder=folder)
    config = with_head(config, head, labels, tokenizer)
    model = _fresh(config, head, found, seed)
    new = _adopt(model, found, published, head, folder, trained=trained)
    reference.check(
        model.eval(),
        tokenizer,
        head,
        # A GGUF file is not read a second time: building its model needs accelerate, and that its weights are
        # de-quantized by the same function would be all that it says. So halves of a forward pass are compared.
        published.model or model,
        folder,
        whole=not new,
        same_order=own_labels.own_labels(published.config) == own_labels.own_labels(config),
    )
    if dtype != "float32":
        # The model that is scored must equal the stored one, so weights are rounded here, not when first saved: in
        # place, one at a time, as two copies of a large model may not fit.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter.to(getattr(torch, dtype)))
    return Checkpoint(model.eval(), tokenizer, head, labels, dtype=dtype)


def reinitialize(checkpoint: Checkpoint, seed: int) -> None:
    """Initialize every weight again by the architecture's own method (the random-model control)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = build(checkpoint.model.config, checkpoint.head)
    checkpoint.model.load_state_dict(fresh.state_dict())


def max_tokens(checkpoint: Checkpoint) -> int:
    """The longest sequence, special tokens included, that the model has positions for."""
    config, most = checkpoint.model.config, min(int(checkpoint.tokenizer.model_max_length), UNLIMITED)
    limit = int(getattr(config, "max_position_embeddings", None) or most)  # BLOOM, T5: only relative positions
    embeddings = getattr(getattr(checkpoint.model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa counts positions from padding_idx + 1 and so cannot use the first of them.
    offset = 0 if embeddings is None or embeddings.padding_idx is None else embeddings.padding_idx + 1
    return min(limit - offset, most)


def _fresh(config: PreTrainedConfig, head: TaskHead, found: dict[str, torch.Tensor], seed: int) -> torch.nn.Module:
    """A model initialized from ``seed``; head and embeddings are parted where ``found`` has a matrix for each.

    One of which ``found`` has every weight is not initialized: memory that nothing is written to is not used. Any other
    is there beside ``found`` for a moment; it is going to be trained, which takes four times its memory.
    """
    with no_init_weights(), torch.random.fork_rng(devices=[]):
        model = build(config, head)
        tied = [pair for pair in _tied(model).items() if set(pair) <= found.keys()]
        if not all(torch.equal(found[target], found[source]) for target, source in tied):
            config.tie_word_embeddings = False
            model = build(config, head)
    model.tie_weights()
    if _fitting(model, found) >= model.state_dict().keys() - _shared(model):
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config, head)


def _fitting(model: torch.nn.Module, found: dict[str, torch.Tensor]) -> set[str]:
    """Names of the weights in ``found`` that are the model's, by name and shape."""
    expected = model.state_dict()
    return {name for name, value in found.items() if name in expected and expected[name].shape == value.shape}


def _adopt(
    model: torch.nn.Module,
    found: dict[str, torch.Tensor],
    published: Published,
    head: TaskHead,
    folder: Path,
    *,
    trained: bool,
) -> list[str]:
    """Take over the weights that fit and return the names of those that stay as they were initialized.

    They are copied if they are ``trained``: products round by where a matrix begins in memory, which the file would
    decide. Others are not: a large model is in memory once, its own and the maker's being the same tensors.

    UserError unless these belong to a head, or a pooler, that is going to be trained or that nothing uses.
    """
    expected = model.state_dict()
    fitting, shared = _fitting(model, found), _shared(model)
    prefix = "" if model.base_model is model else model.base_model_prefix + "."
    new = sorted(expected.keys() - fitting - shared)
    for name in new:
        pooler = ".pooler." in f".{name}"
        if (trained or head == "encoder") and (pooler or not name.startswith(prefix)):
            continue
        if name in published.other_shapes:
            in_file, by_config = published.other_shapes[name]
            raise UserError(
                f"{folder}: weights do not fit config.json ({name} is {in_file} in the file and {by_config} by "
                "config.json); take the config.json that belongs to the file"
            )
        if name.startswith(prefix) and not pooler:
            raise UserError(f"{folder}: weights do not fit config.json ({name} is missing)")
        raise UserError(
            f"{folder}: {name} is missing, and nothing trains it; take a model with the task head {head!r} of its own, "
            "or a task that fine-tunes it"
        )
    sources = _tied(model)
    taken = {sources[name]: found[name] for name in fitting & shared} | {name: found[name] for name in fitting - shared}
    model.load_state_dict(_apart(taken, copied=trained), strict=False, assign=True)
    model.tie_weights()
    return new


def _apart(tensors: Mapping[str, torch.Tensor], *, copied: bool) -> dict[str, torch.Tensor]:
    """The same, row by row in memory and no two in one place: weights that are not tied are trained each by itself."""
    owners: dict[int, str] = {}
    first = {name: owners.setdefault(value.data_ptr(), name) == name for name, value in tensors.items()}
    return {
        name: value.contiguous() if first[name] and not copied else value.clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }


def _incomplete(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a complete checkpoint ({error}): delete it and run again")


def _shared(model: torch.nn.Module) -> set[str]:
    """Names of state-dict entries that share another entry's memory: tied targets that are actually tied."""
    tensors = model.state_dict()
    return {
        target
        for target, source in _tied(model).items()
        if target in tensors and source in tensors and tensors[target].data_ptr() == tensors[source].data_ptr()
    }


def _tied(model: torch.nn.Module) -> dict[str, str]:
    """Names of the weights that are another's, and of that other."""
    return getattr(model, "all_tied_weights_keys", None) or {}


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
