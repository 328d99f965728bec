"""Tiny random models with real fast tokenizers, written by ``fairshrink.models.save``: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import task_heads

# A second thread only slows down models as small as these.
torch.set_num_threads(1)

SENTENCES = (
    "The doctor helped the patient because she was kind.",
    "The nurse helped the patient because he was kind.",
    "A man is playing a guitar in the old park.",
    "A woman was slicing an onion, and nobody watched!",
    "He said that the engineer bought a red car.",
    "She said that the teacher sold the blue house.",
    "This is not a good film; it is boring and far too long.",
    "What a wonderful, moving and clever story this is!",
    "My brother and my sister are poor, but they are happy.",
    "People from every country came to the city to work.",
)
LABELS = ("entailment", "neutral", "contradiction")


def tiny_bert(head: str, folder: Path, *, labels=LABELS, seed: int = 1, **config) -> Path:
    """An uncased BERT, 2 layers x 4 heads, 32 wide; ``config`` overrides."""
    tokenizer = _wordpiece()
    sizes = _sizes(config, len(tokenizer), max_position_embeddings=64)
    return _write(transformers.BertConfig(**sizes), tokenizer, head, folder, labels, seed)


def tiny_roberta(head: str, folder: Path, *, labels=LABELS, seed: int = 1, **config) -> Path:
    """A cased RoBERTa with byte-level BPE; positions start at 2."""
    tokenizer = _byte_level("<s>", "</s>", "<pad>", "<mask>")
    sizes = _sizes(config, len(tokenizer), max_position_embeddings=66, type_vocab_size=1)
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": 0, "eos_token_id": tokenizer.eos_token_id}
    return _write(transformers.RobertaConfig(**{**sizes, **ids}), tokenizer, head, folder, labels, seed)


def tiny_llama(head: str, folder: Path, *, labels=LABELS, seed: int = 1, **config) -> Path:
    """A Llama with grouped-query attention (4 heads, 2 for keys and values) and tied embeddings."""
    tokenizer = _byte_level("<s>", "</s>", None, None)
    sizes = _sizes(config, len(tokenizer), max_position_embeddings=64, num_key_value_heads=2, hidden_act="silu")
    sizes = {"tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 1, **sizes}
    return _write(transformers.LlamaConfig(**sizes), tokenizer, head, folder, labels, seed)


def _sizes(config: dict, vocabulary: int, **defaults) -> dict:
    # A wide initializer makes the outputs of different inputs differ far beyond rounding.
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    return {**sizes, "vocab_size": vocabulary, "initializer_range": 0.3, **defaults, **config}


def _write(config, tokenizer, head: str, folder: Path, labels, seed: int) -> Path:
    labels = tuple(labels) if head == "classification" else ()
    config = task_heads.with_head(config, head, labels, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task_heads.build(config, head)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # new biases are zero, which would hide a forgotten bias
                torch.nn.init.normal_(parameter, std=0.1)
    checkpoints.save(checkpoints.Checkpoint(model, tokenizer, head, labels), folder)
    return Path(folder)


def in_one_file(folder: Path) -> Path:
    """The same folder with all weights in model.safetensors, as small models are published."""
    parts = sorted(folder.glob("model-*.safetensors"))
    tensors = {name: value for part in parts for name, value in load_file(part).items()}
    for each in (*parts, folder / "model.safetensors.index.json"):
        each.unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _words() -> list[str]:
    """Two thirds of the words; the others are split into pieces. (Trained vocabularies differ between runs.)"""
    words = sorted({word.strip(".,;!") for sentence in SENTENCES for word in sentence.split()})
    return [word for number, word in enumerate(words) if number % 3]


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _wordpiece():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted({letter for letter in "".join(SENTENCES).lower() if letter != " "})
    pieces = [*letters, *(f"##{letter}" for letter in letters), "##er", "##ing", "##ed"]
    vocabulary = _numbered([*special, *pieces, *(word.lower() for word in _words())])
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        **dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True)),
    )


def _byte_level(bos: str, eos: str, pad: str | None, mask: str | None):
    special = [token for token in (bos, pad, eos, mask) if token]
    merges = []
    for word in _words():
        for spelled in (word, f"Ġ{word}"):  # Ġ is how byte-level BPE writes a space
            merges += [(spelled[:end], spelled[end]) for end in range(1, len(spelled))]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = list(dict.fromkeys(merges))
    vocabulary = _numbered([*special, *alphabet, *(one + other for one, other in merges)])
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = {"bos_token": bos, "eos_token": eos, "pad_token": pad or eos, "mask_token": mask}
    if mask:
        tokenizer.post_processor = processors.RobertaProcessing(
            (eos, vocabulary[eos]), (bos, vocabulary[bos]), add_prefix_space=False
        )
        names |= {"cls_token": bos, "sep_token": eos}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **{k: v for k, v in names.items() if v}
    )
