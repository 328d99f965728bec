"""What is wrong with a published model is told from its files alone; with a saved one nothing is."""

import json
import shutil

import pytest
import tiny
import torch
import zoo
from safetensors.torch import load_file, save_file
from tiny_study import stub_model

from fairshrink.models.folder import wrong

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234567\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return tiny.in_one_file(tiny.tiny_bert("masked_lm", tmp_path_factory.mktemp("saved") / "bert"))


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "bert")
    return tmp_path / "bert"


def one(folder, head="masked_lm", **options) -> str:
    (reason,) = wrong(folder, (head,), **options)
    assert "; " in reason
    return reason


def config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_nothing_is_wrong_with_a_saved_model(saved):
    assert wrong(saved, ("masked_lm", "encoder", "regression", "classification")) == []


def test_heads_and_architectures_that_are_not_supported(folder):
    assert "causal language model" in one(folder, "causal_lm")
    config(folder, model_type="mamba")
    assert "the architecture 'mamba' is not supported" in one(folder)
    assert len(wrong(folder, ("masked_lm", "encoder"))) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_pointers_of_git_lfs_are_named_with_their_remedy(folder, name):
    (folder / name).write_text(POINTER)
    reason = one(folder)
    assert reason.startswith(f"{name}: a git-lfs pointer") and "`git lfs pull`" in reason


def test_weights_that_can_run_code_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pytorch_model.bin, which can run code" in one(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "there are no weights" in one(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert "adapter" in one(folder)


def test_a_file_that_is_cut_off(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert f"{len(content) - 1:,} of its {len(content):,} bytes" in one(folder)
    path.write_bytes(content[:20])
    assert "damaged" in one(folder)


def test_parts_of_weights_that_are_missing(folder):
    whole = folder / "model.safetensors"
    names = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    shutil.copy(whole, folder / names["a"])
    whole.unlink()
    assert "1 of the 2 parts of its weights are missing: model-2-of-2.safetensors" in one(folder)
    shutil.copy(folder / names["a"], folder / names["b"])
    assert wrong(folder, ("masked_lm",)) == []


def test_a_folder_without_config_says_where_the_model_is(folder, tmp_path):
    assert "the model is in `folder: bert`" in one(tmp_path)
    stub_model(tmp_path / "other")
    assert "bert, other" in one(tmp_path)


def test_gguf_files(tmp_path):
    (tmp_path / "model-q8.gguf").write_bytes(b"GGUF" + b"\0" * 20)
    assert "`gguf_file: model-q8.gguf`" in one(tmp_path)
    assert "is not a GGUF file, or not a whole one" in one(tmp_path, gguf_file="model-q8.gguf")
    assert "did you mean 'model-q8.gguf'?" in one(tmp_path, gguf_file="model-q4.gguf")
    (tmp_path / "model-q8.gguf").write_text(POINTER)
    assert "git lfs pull" in one(tmp_path, gguf_file="model-q8.gguf")
    (tmp_path / "model-q8.gguf").write_text("<html>")
    assert "is not a GGUF file" in one(tmp_path, gguf_file="model-q8.gguf")


def test_tokens_beyond_the_vocabulary(folder):
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    described = json.loads((folder / "tokenizer.json").read_text())
    token = {"id": size, "content": "[BEGIN]", "special": True}
    (folder / "tokenizer.json").write_text(
        json.dumps(described | {"added_tokens": [*described["added_tokens"], token]})
    )
    assert wrong(folder, ("masked_lm",)) == []
    own = json.loads((folder / "tokenizer_config.json").read_text())
    for written in ("[BEGIN]", {"content": "[BEGIN]"}):
        (folder / "tokenizer_config.json").write_text(json.dumps(own | {"bos_token": written}))
        assert f"the tokenizer's [BEGIN] has the number {size}" in one(folder)


def test_embeddings_of_another_number_than_config_json_says(folder):
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    config(folder, vocab_size=size + 3)
    reason = one(folder)
    assert f"word_embeddings.weight has {size} rows in the file, and config.json says vocab_size {size + 3}; " in reason


@pytest.mark.parametrize("said", [1, 3])
def test_blocks_of_another_number_than_config_json_says(folder, said):
    config(folder, num_hidden_layers=said)
    assert f"2 blocks (bert.encoder.layer.…) are in the file, and config.json says {said}; take the" in one(folder)


def test_a_block_that_is_missing_in_the_middle(folder):
    path = folder / "model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if "layer.0." not in k}, path)
    assert "1 blocks (bert.encoder.layer.…) are in the file, and config.json says 2; " in one(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_codes_of_quantized_weights_are_not_taken_for_weights(folder, kind):
    path, names = folder / "model.safetensors", ("query.weight", "key.weight")
    save_file({k: v.to(kind) if k.endswith(names) else v for k, v in load_file(path).items()}, path)
    reason = one(folder)
    assert "key.weight and 3 more in the file: numbers of type " in reason and "`quantization_config`" in reason
    config(folder, quantization_config={"quant_method": "gptq"})
    assert not any("codes of quantized weights" in each for each in wrong(folder, ("masked_lm",)))


def test_a_model_that_reads_fewer_tokens_than_a_text_has(folder):
    config(folder, max_position_embeddings=8)
    assert "reads 8 tokens at most" in one(folder)


@pytest.mark.parametrize("name", [*zoo.ENCODERS, *zoo.VARIANTS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS])
def test_nothing_is_wrong_with_models_of_all_architectures(name, tmp_path):
    head = next(head for head in ("masked_lm", "causal_lm", "encoder") if zoo.has_class(name, head))
    assert wrong(zoo.model_folder(name, head, tmp_path), (head,)) == []


def test_no_tokenizer_and_no_json(folder):
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer" in one(folder)
    (folder / "config.json").write_text("[1]")
    assert "not a JSON object" in one(folder)
