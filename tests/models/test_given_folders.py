"""Folders of quantization libraries: each number is what the format says that it stands for."""

import json
import math
from pathlib import Path

import pytest
import quantized_files
import torch
from compression_case import logits
from safetensors.torch import load_file, save_file
from tiny import in_one_file, tiny_llama

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.models.given import looking, quantized, reading, vocabulary

FORMS = {
    "gptq-4": ("gptq", {"bits": 4}),
    "gptq-8-v2": ("gptq", {"bits": 8, "second": True}),
    "awq": ("awq", {}),
    "packed": ("compressed-tensors", {"bits": 4}),
    "packed-asymmetric": ("compressed-tensors", {"bits": 4, "asymmetric": True}),
    "int8": ("compressed-tensors", {"bits": 8, "asymmetric": True}),
    "bnb-8": ("bitsandbytes", {"bits": 8}),
    "nf4": ("bitsandbytes", {"bits": 4, "double": False}),
    "nf4-double": ("bitsandbytes", {"bits": 4, "double": True}),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return in_one_file(tiny_llama("causal_lm", tmp_path_factory.mktemp("original") / "llama"))


def read(folder: Path, original: checkpoints.Checkpoint, file: str | None = None) -> checkpoints.Checkpoint:
    return reading.read(folder, file, original, names={}, trained=False, seed=0)


@pytest.mark.parametrize("form", FORMS)
def test_each_number_is_what_the_format_says(form, source, tmp_path):
    method, options = FORMS[form]
    dense = quantized_files.write(source, tmp_path / form, method, **options)
    original = checkpoints.load(source)
    given = read(tmp_path / form, original)
    for name, expected in dense.items():
        assert torch.allclose(given.model.state_dict()[name], expected, atol=1e-6, rtol=1e-5), name
    # The whole model computes with them: the original's own weights replaced by these give the same outputs.
    with torch.no_grad():
        for name, expected in dense.items():
            original.model.get_parameter(name).copy_(expected)
    assert torch.allclose(logits(given), logits(original), atol=1e-4)


def test_the_ledger_counts_the_files_of_the_maker(source, tmp_path):
    dense = quantized_files.write(source, tmp_path / "gptq", "gptq", bits=4)
    original = checkpoints.load(source)
    given = read(tmp_path / "gptq", original)
    tensors = load_file(tmp_path / "gptq" / "model.safetensors")
    counts = ledger.ledger(given, original)
    assert counts["bytes"] == sum(each.numel() * each.element_size() for each in tensors.values())
    weights = sum(each.numel() for each in dense.values())
    parts = ("qweight", "qzeros", "scales", "g_idx")
    bits = 8 * sum(v.numel() * v.element_size() for k, v in tensors.items() if k.endswith(parts))
    assert counts["effective_bits"] == pytest.approx(bits / weights)
    assert counts["params"] == ledger.ledger(original, original)["params"]
    assert ledger.measure(given, original)["disk_bytes"] == counts["bytes"]
    # What is stored is dense and in float32, so that nothing of what was decoded is lost.
    checkpoints.save(given, tmp_path / "stored")
    again = checkpoints.load(tmp_path / "stored")
    assert torch.equal(logits(again), logits(given))
    assert ledger.ledger(again, original) == counts


def test_a_plain_folder_counts_as_it_is_stored(source, tmp_path):
    original = checkpoints.load(source)
    smaller = in_one_file(tiny_llama("causal_lm", tmp_path / "half", num_hidden_layers=1))
    tensors = {name: value.half() for name, value in load_file(smaller / "model.safetensors").items()}
    save_file(tensors, smaller / "model.safetensors", metadata={"format": "pt"})
    given = read(smaller, original)
    assert ledger.ledger(given, original)["bytes"] == sum(2 * each.numel() for each in tensors.values())
    per_layer = sum(value.numel() for name, value in tensors.items() if "proj" in name)
    whole = ledger.ledger(original, original)["prunable_params"]
    assert ledger.ledger(given, original)["effective_bits"] == pytest.approx(16 * per_layer / whole)


def test_another_vocabulary_is_refused(source, tmp_path):
    original = checkpoints.load(source)
    folder = tiny_llama("causal_lm", tmp_path / "other")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["Ġt"], words["Ġs"] = words["Ġs"], words["Ġt"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match=r"another vocabulary: 2 of the \d+ tokens of its original have other numbers"):
        read(folder, original)
    assert any(
        "another vocabulary" in each
        for each in looking.wrong(folder, ["causal_lm"], None, trains=False, originals=[source])
    )
    assert looking.wrong(source, ["causal_lm"], None, trains=False, originals=[source]) == []


def test_the_same_words_split_otherwise_are_refused(source, tmp_path):
    folder = tiny_llama("causal_lm", tmp_path / "other")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match=r"splits .* otherwise than its original's"):
        read(folder, checkpoints.load(source))


def test_without_a_tokenizer_there_have_to_be_as_many_embeddings(source, tmp_path):
    original = checkpoints.load(source)
    for name, more in (("same", 0), ("larger", 8)):
        size = original.model.config.vocab_size + more
        folder = tiny_llama("causal_lm", tmp_path / name, vocab_size=size)
        for each in folder.glob("tokenizer*"):
            each.unlink()
    assert math.isfinite(float(logits(read(tmp_path / "same", original)).sum()))
    with pytest.raises(UserError, match="no tokenizer, and embeddings for"):
        read(tmp_path / "larger", original)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"quant_method": "gptq", "bits": 3}, "3 bits"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "one kind of GPU"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "gemv"),
        ({"quant_method": "hqq"}, "hqq"),
        ({"quant_method": "compressed-tensors", "format": "marlin-24", "config_groups": {}}, "marlin-24"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "af4"}, "af4"),
        ("gptq", "no object"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_a_remedy(said, reason, source, tmp_path):
    (only,) = quantized.refusals(said)
    assert reason in only
    assert "; " in only
    quantized_files.write(source, tmp_path / "q", "gptq", bits=4)
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    (tmp_path / "q" / "config.json").write_text(json.dumps(config | {"quantization_config": said}))
    assert looking.wrong(tmp_path / "q", ["causal_lm"], None, trains=False, originals=()) == [only]


def test_parts_that_do_not_fit_together_are_named(source, tmp_path):
    quantized_files.write(source, tmp_path / "q", "gptq", bits=4)
    tensors = load_file(tmp_path / "q" / "model.safetensors")
    name = next(name for name in tensors if name.endswith(".scales"))
    tensors[name] = tensors[name][:1, :4].contiguous()
    save_file(tensors, tmp_path / "q" / "model.safetensors")
    with pytest.raises(UserError, match=f"{name.removesuffix('.scales')} cannot be decoded as gptq"):
        read(tmp_path / "q", checkpoints.load(source))


def test_codes_are_not_fine_tuned(source, tmp_path):
    quantized_files.write(source, tmp_path / "q", "awq")
    (reason,) = looking.wrong(tmp_path / "q", ["causal_lm"], None, trains=True, originals=())
    assert "would be fine-tuned" in reason
    assert "finetune: false" in reason


def test_a_word_of_vocab_txt_may_be_a_separator_of_unicode(tmp_path):
    words = ["[PAD]", "\u2028", "\x85", "\x1c", "doctor", "\u00a0"]
    (tmp_path / "vocab.txt").write_bytes("".join(f"{word}\n" for word in words).encode())
    assert vocabulary.of_folder(tmp_path) == {word: at for at, word in enumerate(words)}
