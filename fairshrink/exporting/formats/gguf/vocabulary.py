"""The tokenizer in the header: tokens with their types, merges, special tokens, how texts are split into words.

llama.cpp names the ways of splitting a text and has them in its code (llama-vocab.cpp). What has no name there is
refused, since it would split texts otherwise without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf import SpecialVocab, TokenType

from fairshrink.errors import UserError
from fairshrink.exporting.formats.gguf import pieces

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerBase

SPECIAL = ("bos", "eos", "unk", "sep", "pad", "mask")
GPT2, SMOLLM = "gpt-2", "smollm"
SPLITS = {
    "llama-bpe": True,
    "smaug-bpe": False,
    "tekken": True,
    "qwen2": False,
    "qwen35": False,
    "gpt-4o": False,
}
"""Ways of splitting that are one regular expression, which transformers has by the same name → whether a word that is a
token is taken as it is, whatever the merges say."""
ELSE = "`--format transformers` writes it"


def describe(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, own: Path, size: int) -> list[str]:
    """All of the tokenizer, whose files are in ``own``, for ``size`` embeddings; what is not the same in llama.cpp.

    UserError where it cannot be written.
    """
    said = json.loads(tokenizer.backend_tokenizer.to_str())
    model = said["model"]
    if model["type"] != "BPE" or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UserError(
            f"its tokenizer is no BPE of bytes or characters ({model['type']}), which GGUF has here; {ELSE}"
        )
    tokens, kinds = _tokens(tokenizer, size)
    special = SpecialVocab(own, load_merges=True, special_token_types=SPECIAL, n_vocab=size)
    if pieces.is_sentencepiece(said):
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(pieces.scores(tokens, model["merges"]))
        writer.add_add_space_prefix(pieces.begins_with_space(said))
        kinds = pieces.types(tokens, kinds, model.get("unk_token"))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_splitting(said))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    ids = {each: getattr(tokenizer, f"{each}_token_id") for each in SPECIAL}
    special.special_token_ids = {each: number for each, number in ids.items() if number is not None and number < size}
    special.add_special_token = _added(tokenizer)
    special.add_to_gguf(writer, quiet=True)
    return list(_notes(tokenizer, said, size))


def _tokens(tokenizer: PreTrainedTokenizerBase, size: int) -> tuple[list[str], list[int]]:
    """Each embedding's token and type; embeddings of no token have a name that no text has."""
    known = {number: token for token, number in tokenizer.get_vocab().items() if number < size}
    tokens = [known.get(number, f"[PAD{number}]") for number in range(size)]
    kinds = [int(TokenType.NORMAL if number in known else TokenType.UNUSED) for number in range(size)]
    for number, token in tokenizer.added_tokens_decoder.items():
        if number < size:
            kinds[number] = int(TokenType.CONTROL if token.special else TokenType.USER_DEFINED)
    if len(set(tokens)) < size:
        raise UserError(f"its tokenizer has two embeddings for one token, which GGUF cannot have; {ELSE}")
    return tokens, kinds


def _splitting(said: Mapping[str, Any]) -> str:
    """The name of how texts are split before the merges."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as KNOWN

    found = said["pre_tokenizer"] or {"type": "none"}
    *before, last = found.get("pretokenizers", [found])
    whole = bool(said["model"].get("ignore_merges"))
    if last["type"] == "ByteLevel" and not last["add_prefix_space"]:
        if last.get("use_regex", True) and not whole and not before:
            return GPT2
        if last.get("use_regex", True) and not whole and before == [{"type": "Digits", "individual_digits": True}]:
            return SMOLLM
        if not last.get("use_regex", True) and len(before) == 1 and before[0]["type"] == "Split":
            pattern = before[0]["pattern"].get("Regex")
            isolated = before[0]["behavior"] == "Isolated" and not before[0]["invert"]
            for name, as_they_are in SPLITS.items():
                if isolated and pattern == KNOWN[name] and whole == as_they_are:
                    return name
    raise UserError(
        f"its tokenizer splits texts in a way that llama.cpp has no name for here ({json.dumps(found)[:200]}"
        f"{', words that are tokens whole' if whole else ''}), and would split them otherwise; {ELSE}"
    )


def _added(tokenizer: PreTrainedTokenizerBase) -> dict[str, bool]:
    """Whether each text gets a token before and after it."""
    with_, without = (tokenizer("a", add_special_tokens=each)["input_ids"] for each in (True, False))
    first, last = [tokenizer.bos_token_id], [tokenizer.eos_token_id]
    for bos in (False, True):
        for eos in (False, True):
            if with_ == first * bos + without + last * eos:
                return {"bos": bos, "eos": eos}
    raise UserError(f"its tokenizer adds other tokens to a text than its first and last one; {ELSE}")


def _notes(tokenizer: PreTrainedTokenizerBase, said: Mapping[str, Any], size: int) -> Iterator[str]:
    if said["normalizer"] and not pieces.is_sentencepiece(said):
        yield f"llama.cpp does not normalize texts ({said['normalizer']['type']})"
    if any(each.lstrip or each.rstrip or each.single_word for each in tokenizer.added_tokens_decoder.values()):
        yield "llama.cpp does not know that some added tokens take the spaces beside them, or only whole words"
    left = [token for token, number in tokenizer.get_vocab().items() if number >= size]
    if left:
        yield f"tokens that the model has no embedding of are left out ({', '.join(sorted(left)[:3])})"
