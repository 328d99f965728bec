"""The file as transformers reads it, compared with what was written: config, tensors, outputs, tokens."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fairshrink.errors import UserError
from fairshrink.exporting.formats.gguf import kinds, types, writing
from fairshrink.exporting.formats.gguf.writing import FILE
from fairshrink.exporting.written import Written
from fairshrink.models import pretrained, reference, task_heads

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from fairshrink.models.checkpoint import Checkpoint

LONGEST = 32
"""Tokens of a text: few enough for every model."""
TOLERANCE = 1e-6
"""Of a tensor that is read back, as a share of its largest value or 1: Gemma's scales are stored as 1 more."""
WITHOUT_EFFECT = (
    "_name_or_path", "architectures", "bos_token_id", "chunk_size_feed_forward", "decoder_start_token_id", "dtype",
    "eos_token_id", "id2label", "initializer_range", "is_decoder", "is_encoder_decoder", "label2id",
    "max_window_layers", "model_type", "n_ctx", "n_inner", "original_max_position_embeddings", "output_attentions",
    "output_hidden_states", "pad_token_id", "pretraining_tp", "problem_type", "return_dict", "sep_token_id",
    "seq_length", "task_specific_params", "transformers_version", "use_cache",
)  # fmt: skip
"""Keys of config.json that change no output, or that are looked at before anything is written."""
TEXTS = (
    *reference.TEXTS,
    "She doesn't know; he'll pay 1,234.50 dollars, she's sure. THEY'LL SEE!",
    "  Two  spaces\tand a tab,\n\nnew lines\r\n and 3  numbers 42 007.",
    "naïve café, Ελληνικά, 中文字, हिन्दी, 👩‍🔬 ½ a²",
    "e\u0301 = é?",
    " a",
)
"""Where ways of splitting texts differ: contractions, numbers, spaces, other scripts, combined characters."""


def compared(cp: Checkpoint, folder: Path, made: writing.Made, weights: str) -> Written:
    """What to say of a file that was read back; UserError if it is another model. Adds the tokenizer's own files."""
    cp.tokenizer.save_pretrained(folder)
    with pretrained.quiet(), contextlib.redirect_stderr(io.StringIO()):  # the reader's progress bar
        found = pretrained.read_gguf(folder, cp.head, FILE)
        for reason in _other(made.model.config.to_dict(), found.config.to_dict()):
            raise UserError(f"transformers would not read {reason} from GGUF; `--format transformers` writes it")
        again = task_heads.build(found.config, cp.head)
        left = again.load_state_dict(found.weights, strict=False)
        again.tie_weights()
        tokenizer = pretrained.read_tokenizer(folder, gguf_file=FILE)
    if left.unexpected_keys or set(left.missing_keys) - {"lm_head.weight"}:
        raise UserError(f"transformers would not read {', '.join((*left.unexpected_keys, *left.missing_keys))}")
    _same_tensors(made, again)
    exact = weights == "exact" or all(_is_exact(each, made) for each in _placed(made.model))
    if exact:
        reference.check(cp.model, cp.tokenizer, cp.head, again, folder, whole=True)
    notes = [*made.notes, *_tokens(cp.tokenizer, tokenizer)]
    how = _exactly(made) if exact else _rounded(cp, again, weights)
    sizes = ", ".join(f"{kind.name} {size / 1e6:,.1f} MB" for kind, size in made.bytes.most_common())
    form = (
        f"`{FILE}` ({sizes}) is for llama.cpp and for transformers, whose `from_pretrained` reads it with "
        f'`gguf_file="{FILE}"` and the packages gguf and accelerate. {how} Removed heads and neurons are there as '
        "zeros. The tokenizer's own files are beside it."
    )
    said = f"{FILE} ({sizes}) read back by transformers; {how}"
    return Written(
        "\n".join((form, *(f"\n- {each}" for each in notes))), "\n".join((said, *(f"note: {each}" for each in notes)))
    )


def _other(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """What transformers would take the model for, where it is something else."""
    for key, value in ours.items():
        if key in WITHOUT_EFFECT or "dropout" in key or "pdrop" in key or key.startswith("summary_"):
            continue
        if key == "sliding_window" and ours["model_type"] == "mistral":
            continue  # looked at before anything is written
        if not _equal(value, theirs.get(key)):
            yield f"its {key} {value}, but {theirs.get(key)},"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_equal(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, float) and isinstance(other, int | float):  # GGUF has them in float32
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)


def _placed(model: torch.nn.Module) -> Iterator[writing.Placed]:
    return writing.placed(model, kinds.of(model.config))


def _is_exact(each: writing.Placed, made: writing.Made) -> bool:
    return np.array_equal(types.decoded(each.values, made.chosen[each.name]), each.values)


def _same_tensors(made: writing.Made, again: torch.nn.Module) -> None:
    """Each tensor that was read, put into the file's order again, is what the file was given."""
    held = again.state_dict()
    kind = kinds.of(made.model.config)
    for each in _placed(made.model):
        given = types.decoded(each.values, made.chosen[each.name])
        read = kind.order(each.name, held[each.own].float().numpy(), made.model.config)
        if read.shape != given.shape or np.abs(read - given).max() > TOLERANCE * max(1.0, np.abs(given).max()):
            raise UserError(f"transformers reads other values of {each.own} than were written; please report this")


def _tokens(ours: PreTrainedTokenizerBase, theirs: PreTrainedTokenizerBase) -> Iterator[str]:
    for text in TEXTS:
        for special in (True, False):
            one, other = (each(text, add_special_tokens=special, verbose=False)["input_ids"] for each in (ours, theirs))
            if one != other:
                yield (
                    f"transformers splits {text!r} otherwise if it reads the tokenizer from the GGUF file; "
                    "`AutoTokenizer.from_pretrained` of the folder alone reads the right one"
                )
                return


def _exactly(made: writing.Made) -> str:
    text = "Each weight has exactly the checkpoint's value, and outputs are the same to 1e-4 of the largest."
    if made.bytes.most_common(1)[0][0] is types.Type.F32:
        text += " No smaller type of GGUF holds most of them; `--weights q8_0` rounds them and says what that changes."
    return text


@torch.inference_mode()
def _rounded(cp: Checkpoint, again: torch.nn.Module, weights: str) -> str:
    """By how much the outputs differ from the checkpoint's, on a few texts."""
    total, count, largest = 0.0, 0, 0.0
    for text in TEXTS:
        ids = cp.tokenizer(text, add_special_tokens=False, verbose=False, return_tensors="pt")["input_ids"][:, :LONGEST]
        ours, theirs = (each(input_ids=ids).logits[0].double().log_softmax(-1) for each in (cp.model, again))
        total += float((ours.exp() * (ours - theirs)).sum())
        count += len(ours)
        largest = max(largest, float((ours - theirs).abs().max()))
    return (
        f"Weights are rounded to {weights} here: on {len(TEXTS)} short texts the distribution of the next token "
        f"differs from the checkpoint's by {total / count:.2g} nats (Kullback-Leibler divergence, mean of {count} "
        f"tokens), and log-probabilities by up to {largest:.2g}."
    )
