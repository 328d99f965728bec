"""What a GGUF file says of its model is read as gguf's own reader reads it; what is wrong is told before."""

import gguf
import numpy as np
import pytest

from fairshrink.models import gguf_header
from fairshrink.models.folder import config_of, wrong
from fairshrink.models.support import ARCHITECTURES


def write(path, architecture="llama", tokens=100, rows=96, heads=4, **more):
    """A file with all kinds of values and two tensors."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_head_count(heads)
    writer.add_head_count_kv(2)
    writer.add_vocab_size(rows)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bool("a.bool", True)
    writer.add_array("a.few", [3, 4, 5])
    writer.add_array("a.texts", ["one", "zwölf"])
    writer.add_int64("a.long", -7)
    writer.add_float64("a.double", 0.1)
    for name, value in more.items():
        writer.add_uint16(name.replace("__", "."), value)
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"t{number}" for number in range(tokens)])
        writer.add_token_types([1] * tokens)
    writer.add_tensor("token_embd.weight", np.zeros((rows, 32), dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_it_is_what_the_reader_of_gguf_reads(tmp_path):
    path = write(tmp_path / "m.gguf")
    theirs, ours = gguf.GGUFReader(path), gguf_header.read(path)
    for name, field in theirs.fields.items():
        if name.startswith("GGUF."):
            continue
        value = field.contents()
        if isinstance(value, list):
            assert ours.counts[name] == len(value), name
        assert ours.fields.get(name, value) == value, name
    assert set(ours.fields) == {
        each
        for each in theirs.fields
        if not each.startswith(("GGUF.", "tokenizer.ggml.token_type", "tokenizer.ggml.tokens"))
    }
    assert {name: list(shape) for name, shape in ours.shapes.items()} == {
        each.name: each.shape.tolist() for each in theirs.tensors
    }
    assert ours.weights == sum(int(each.n_elements) for each in theirs.tensors) == 96 * 32 + 32


def test_a_file_that_is_cut_off_or_damaged_is_said_to_be(tmp_path):
    whole = write(tmp_path / "m.gguf").read_bytes()
    part = tmp_path / "part.gguf"
    for end in [*range(0, 900, 7), len(whole) - 200]:
        part.write_bytes(whole[:end])
        with pytest.raises(gguf_header.DamagedError):
            gguf_header.read(part)
    draw = np.random.default_rng(0)
    for place in draw.integers(4, 900, 200):
        part.write_bytes(whole[:place] + bytes([whole[place] ^ int(draw.integers(1, 256))]) + whole[place + 1 :])
        try:
            gguf_header.read(part)
        except gguf_header.DamagedError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architecture": "mamba"}, "the architecture 'mamba' is not supported in GGUF files; use one of bloom, "),
        ({"split__count": 3}, "it is one of 3 parts of a model; join them"),
        ({"tokens": 0}, "it has no tokenizer; "),
        ({"tokens": 97}, "its tokenizer has 97 tokens, the model embeddings for 96; "),
        ({"tokens": 96}, None),
    ],
)
def test_what_is_wrong_with_the_model_inside_is_told_before_any_job(tmp_path, changed, said):
    write(tmp_path / "m.gguf", **({"tokens": 96} | changed))
    found = wrong(tmp_path, ("causal_lm",), "m.gguf")
    assert (
        found == [] if said is None else [each for each in found if each.startswith(f"m.gguf: {said}")] == found != []
    )


def test_a_model_in_a_gguf_file_has_the_task_heads_of_its_architecture(tmp_path):
    write(tmp_path / "m.gguf", tokens=96)
    (reason,) = wrong(tmp_path, ("masked_lm",), "m.gguf")
    assert "cannot be used as a masked language model" in reason
    config = config_of(tmp_path, "m.gguf")
    assert (config["model_type"], config["num_attention_heads"], config["num_key_value_heads"]) == ("llama", 4, 2)


def test_the_architectures_are_those_that_transformers_reads_and_we_know():
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    assert set(gguf_header.ARCHITECTURES.values()) <= set(ARCHITECTURES)
    assert set(gguf_header.ARCHITECTURES) - {"t5encoder"} == {
        name
        for name in GGUF_SUPPORTED_ARCHITECTURES
        # llama.cpp calls Mistral models llama.
        if {"gemma3": "gemma3_text"}.get(name, name) in ARCHITECTURES and name != "mistral"
    }
