"""GGUF files: transformers' own reader gives the checkpoint's weights, outputs and tokens, or nothing is written."""

import copy
import dataclasses
import itertools
import json

import gguf
import numpy as np
import pytest
import tiny
import torch
import transformers
import zoo
from compression_case import as_stored_in, compress, context, few_of, logits, task
from gguf_files import plainly
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.convert_slow_tokenizer import generate_merges
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from fairshrink.compression.given_checkpoints import given
from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.exporting import format as formats
from fairshrink.exporting.formats import gguf as form
from fairshrink.exporting.formats.gguf import comparing, kinds, pieces, types, vocabulary
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import plain
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.study.jobs import PretrainedModel

GEMMA = {"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 4096, "layer_types": None}
AS_PUBLISHED = {
    "bloom": {},
    "gemma2": GEMMA | {"final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0},
    "gemma3_text": GEMMA | {"final_logit_softcapping": None},
    "gpt2": {"n_inner": None, "n_positions": 1024},
    "llama": {"attention_bias": False},
    "mistral": {"sliding_window": None},
    "phi3": {},
    "qwen2": {},
    "qwen3": {"head_dim": 128},
    "stablelm": {"qk_layernorm": False},
}
"""Settings of the tiny models that GGUF, or transformers' reader of it, has only one value for: the published one."""


def built(name: str, **config) -> Checkpoint:
    model = zoo.built(name, "causal_lm", **(AS_PUBLISHED.get(name, {}) | config))
    return Checkpoint(model, zoo._ALL[name].tokenizer(), "causal_lm")


@pytest.fixture(scope="module")
def llama() -> Checkpoint:
    """Fresh weights are drawn once; tests that change them take a copy."""
    return built("llama", intermediate_size=64)


def written(cp: Checkpoint, folder, weights="exact"):
    folder.mkdir()
    return form.write(cp, folder, weights)


def of(folder) -> gguf.GGUFReader:
    return gguf.GGUFReader(folder / "model.gguf")


def field(folder, name: str):
    return of(folder).fields[name].contents()


@pytest.mark.parametrize("name", sorted(kinds.KINDS))
def test_every_architecture_gives_the_same_outputs(name, tmp_path):
    cp = built(name)
    written(cp, tmp_path / "a")
    again = plainly(tmp_path / "a")
    torch.testing.assert_close(logits(dataclasses.replace(cp, model=again)), logits(cp), atol=1e-5, rtol=1e-5)
    written(cp, tmp_path / "b")
    assert (tmp_path / "a" / "model.gguf").read_bytes() == (tmp_path / "b" / "model.gguf").read_bytes()


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("llama", {"attention_bias": True}, "its attention_bias True, but False,"),
        ("llama", {"hidden_act": "gelu"}, "its hidden_act gelu, but silu,"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            "its rope_parameters",
        ),
        ("mistral", {"sliding_window": 8}, "sees 8 tokens of 64"),
        ("qwen3", {"head_dim": 16}, "its head_dim 16, but 128,"),
        ("gemma2", {"final_logit_softcapping": 3.0}, "its final_logit_softcapping 3.0, but 30.0,"),
        ("gpt2", {"n_inner": 48}, "layers are 48 wide"),
        ("stablelm", {"qk_layernorm": True}, "GGUF has no name for model.layers.0.self_attn.q_layernorm"),
        ("granite", {}, "does not read the architecture 'granite'"),
    ],
)
def test_what_the_reader_would_take_for_another_model_is_refused(name, config, reason, tmp_path):
    with pytest.raises(UserError, match=reason.replace(".", r"\.")):
        written(built(name, **config), tmp_path / "a")


def test_encoders_and_task_heads_are_refused(tmp_path):
    for head in ("encoder", "masked_lm", "classification"):
        cp = checkpoints.load(tiny.tiny_bert(head, tmp_path / f"of-{head}"))
        with pytest.raises(UserError, match=f"no causal language model but has the task head {head}"):
            written(cp, tmp_path / head)


@pytest.mark.parametrize(
    "method", ["int4_weight_only", "svd", "kmeans", "layer_dropping", "head_pruning", "int8_weight_only"]
)
def test_compressed_models_are_written_as_what_they_compute(method, tmp_path, llama):

    cp = compress(
        method, Checkpoint(tiny_copy(llama), llama.tokenizer, "causal_lm"), about_of(method, tmp_path), **few_of(method)
    )
    expected, dense = logits(cp), logits(dataclasses.replace(cp, model=plain.dense(cp)))
    written(cp, tmp_path / "a")
    found = logits(dataclasses.replace(cp, model=plainly(tmp_path / "a")))
    torch.testing.assert_close(found, dense, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)  # int8 is scaled after the product


def tiny_copy(cp: Checkpoint) -> torch.nn.Module:
    model = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(cp.model.config), dtype=torch.float32).eval()
    model.load_state_dict(cp.model.state_dict())
    return model


def about_of(method, folder):
    return context(task(folder, "causal_lm")) if method == "head_pruning" else context()


def test_sixteen_bits_stay_sixteen_bits(tmp_path, llama):
    cp = as_stored_in(Checkpoint(tiny_copy(llama), llama.tokenizer, "causal_lm"), "bfloat16")
    with torch.no_grad():
        cp.model.get_parameter("model.layers.0.mlp.up_proj.weight").mul_(2.0**-40)  # smaller than any of F16
    written(cp, tmp_path / "a")
    matrices = {each.name: each.tensor_type.name for each in of(tmp_path / "a").tensors if len(each.shape) > 1}
    assert matrices.pop("blk.0.ffn_up.weight") == "BF16" and set(matrices.values()) == {"F16"}
    assert field(tmp_path / "a", "general.file_type") == gguf.LlamaFileType.MOSTLY_F16
    assert {each.tensor_type.name for each in of(tmp_path / "a").tensors if len(each.shape) == 1} == {"F32"}


@pytest.mark.parametrize("kind", types.SMALLEST_FIRST)
def test_the_smallest_type_that_holds_a_matrix_is_taken(kind):
    """Blocks of 32 by ggml's description: (code - offset) x scale + minimum, scale and minimum in 16 bits."""
    random = np.random.default_rng(0)
    scales = np.float32(2.0) ** random.integers(-3, 3, (8, 1, 1))
    blocks = {
        "Q4_0": lambda: with_ends(random.integers(-8, 8, (8, 2, 32)), -8) * scales,
        "Q4_1": lambda: with_ends(random.integers(0, 16, (8, 2, 32)), 0, 15) * scales + np.float32(0.25),
        "Q5_0": lambda: with_ends(random.integers(-16, 16, (8, 2, 32)), -16) * scales,
        "Q5_1": lambda: with_ends(random.integers(0, 32, (8, 2, 32)), 0, 31) * scales + np.float32(0.25),
        "Q8_0": lambda: with_ends(random.integers(-127, 128, (8, 2, 32)), 127) * scales,
        "F16": lambda: random.normal(size=(8, 64)).astype(np.float16),
        "BF16": lambda: (
            torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).bfloat16().float().numpy() * 2.0**100
        ),
    }
    values = blocks[kind.name]().reshape(8, 64).astype(np.float32)
    assert types.exact("blk.0.ffn_up.weight", values) is kind
    np.testing.assert_array_equal(types.decoded(values, kind), values)
    values[7, 63] = np.nextafter(values[7, 63], np.float32(np.inf))
    assert types.exact("blk.0.ffn_up.weight", values) is types.Type.F32
    assert types.exact("output_norm.weight", values[0]) is types.Type.F32


def with_ends(codes: np.ndarray, *ends: int) -> np.ndarray:
    codes[..., : len(ends)] = ends
    return codes.astype(np.float32)


def test_what_rounding_changes_is_measured_and_said(tmp_path, llama):
    said = written(llama, tmp_path / "a", "q8_0").said
    sizes = {each.name: each.tensor_type.name for each in of(tmp_path / "a").tensors}
    assert sizes["blk.0.ffn_down.weight"] == "Q8_0" and sizes["output_norm.weight"] == "F32"
    again, ours, theirs = plainly(tmp_path / "a"), [], []
    assert "Weights are rounded to q8_0 here" in said
    with torch.inference_mode():
        for text in comparing.TEXTS:
            ids = torch.tensor([llama.tokenizer(text)["input_ids"][:32]])
            ours.append(llama.model(input_ids=ids).logits[0].double().softmax(-1))
            theirs.append(again(input_ids=ids).logits[0].double().softmax(-1))
    one, other = torch.cat(ours), torch.cat(theirs)
    nats = float((one * (one / other).log()).sum(1).mean())
    assert nats > 0 and f"by {nats:.2g} nats" in said
    assert f"up to {float((one.log() - other.log()).abs().max()):.2g}." in said
    assert "Each weight has exactly" in written(llama, tmp_path / "b", "f32").said


def test_rows_that_no_block_fits_have_sixteen_bits(tmp_path):
    written(built("llama"), tmp_path / "a", "q4_0")  # 48 inputs of the feed-forward layers' second matrix
    found = {each.name: each.tensor_type.name for each in of(tmp_path / "a").tensors}
    assert found["blk.1.ffn_down.weight"] == "F16" and found["blk.1.ffn_up.weight"] == "Q4_0"


def test_a_file_is_read_by_method_given(tmp_path, llama):
    written(llama, tmp_path / "a")
    brought = PretrainedModel(str(tmp_path / "a"), "model.gguf", "float32", "causal_lm", (), {}, False)
    about = dataclasses.replace(context(), brought=brought)
    made = given.compress(llama, given.Settings(download="a", file="model.gguf"), about)
    torch.testing.assert_close(logits(made), logits(llama), atol=1e-5, rtol=1e-5)


def test_tokens_are_what_the_tokenizer_says(tmp_path, llama):
    written(llama, tmp_path / "a")
    tokens, kinds_ = field(tmp_path / "a", "tokenizer.ggml.tokens"), field(tmp_path / "a", "tokenizer.ggml.token_type")
    assert dict(zip(tokens, range(len(tokens)), strict=True)) == llama.tokenizer.get_vocab()
    assert {token for token, kind in zip(tokens, kinds_, strict=True) if kind == gguf.TokenType.CONTROL} == {
        "<s>",
        "</s>",
    }
    own = json.loads(llama.tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    assert field(tmp_path / "a", "tokenizer.ggml.merges") == [" ".join(pair) for pair in own]
    assert field(tmp_path / "a", "tokenizer.ggml.pre") == "gpt-2"
    assert field(tmp_path / "a", "tokenizer.ggml.bos_token_id") == llama.tokenizer.bos_token_id
    assert field(tmp_path / "a", "tokenizer.ggml.eos_token_id") == llama.tokenizer.eos_token_id
    assert field(tmp_path / "a", "tokenizer.ggml.add_bos_token") is False
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "a", gguf_file="model.gguf")
    for text in tiny.SENTENCES:
        assert read(text)["input_ids"] == llama.tokenizer(text)["input_ids"]


def byte_level(split=None, *, bos_first=False, **model) -> transformers.PreTrainedTokenizerFast:
    said = json.loads(zoo._bytes().backend_tokenizer.to_str())["model"]
    made = Tokenizer(models.BPE(said["vocab"], [tuple(pair) for pair in said["merges"]], **model))
    made.pre_tokenizer = split or pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if bos_first:
        made.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", said["vocab"]["<s>"])])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


def by(pattern: str) -> pre_tokenizers.Sequence:
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), bytes_])


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [
        (lambda: byte_level(by(LLAMA3), ignore_merges=True), "llama-bpe"),
        (lambda: byte_level(by(LLAMA3)), "smaug-bpe"),
        (lambda: byte_level(by(LLAMA3.replace("{1,3}", ""))), "qwen2"),
        (
            lambda: byte_level(
                pre_tokenizers.Sequence(
                    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
                )
            ),
            "smollm",
        ),
    ],
)
def test_ways_of_splitting_have_their_names(tokenizer, name, tmp_path, llama):
    written(dataclasses.replace(llama, tokenizer=tokenizer()), tmp_path / "a")
    assert field(tmp_path / "a", "tokenizer.ggml.pre") == name


@pytest.mark.parametrize(
    "tokenizer",
    [
        lambda: byte_level(by(r"\w+")),
        lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        lambda: byte_level(ignore_merges=True),
    ],
)
def test_other_ways_of_splitting_are_refused(tokenizer, tmp_path, llama):
    with pytest.raises(UserError, match=r"splits texts in a way that llama\.cpp has no name for"):
        written(dataclasses.replace(llama, tokenizer=tokenizer()), tmp_path / "a")


def test_a_first_token_and_a_chat_template_are_written(tmp_path, llama):
    tokenizer = byte_level(bos_first=True)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    written(dataclasses.replace(llama, tokenizer=tokenizer), tmp_path / "a")
    assert field(tmp_path / "a", "tokenizer.ggml.add_bos_token") is True
    assert field(tmp_path / "a", "tokenizer.ggml.add_eos_token") is False
    assert field(tmp_path / "a", "tokenizer.chat_template") == tokenizer.chat_template


def test_embeddings_without_a_token_have_one_that_no_text_has(tmp_path):
    cp = built("llama", vocab_size=zoo._bytes().vocab_size + 3)
    written(cp, tmp_path / "a")
    tokens, kinds_ = field(tmp_path / "a", "tokenizer.ggml.tokens"), field(tmp_path / "a", "tokenizer.ggml.token_type")
    assert kinds_[-3:] == [gguf.TokenType.UNUSED] * 3 and len(tokens) == cp.model.config.vocab_size


def sentencepiece(words=("▁the", "▁doctor", "▁nurse", "▁is", "▁kind")) -> transformers.PreTrainedTokenizerFast:
    """A vocabulary with a token for each beginning of a word, and the merges that transformers makes of its scores."""
    begins = sorted(
        {word[:end] for word in words for end in range(2, len(word) + 1)}, key=lambda each: (len(each), each)
    )
    letters = sorted({letter for word in words for letter in word})
    vocabulary_ = {each: at for at, each in enumerate(["<unk>", "<s>", "</s>", *pieces.BYTES, *letters, *begins])}
    merges = generate_merges(vocabulary_, {each: -at for each, at in vocabulary_.items()})
    made = Tokenizer(models.BPE(vocabulary_, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def merged_by_scores(text: str, scores: dict[str, float]) -> list[str]:
    """llama.cpp's rule for such vocabularies: the pair whose token has the highest score, the first of equal ones."""
    symbols = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [(scores.get(a + b, -np.inf), -at) for at, (a, b) in enumerate(itertools.pairwise(symbols))]
        best = max(pairs, default=(-np.inf, 0))
        if best[0] == -np.inf:
            return symbols
        at = -best[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


def test_scores_of_pieces_merge_as_the_list_of_merges_does(tmp_path):
    tokenizer = sentencepiece()
    cp = dataclasses.replace(built("llama", vocab_size=len(tokenizer)), tokenizer=tokenizer)
    written(cp, tmp_path / "a")
    assert field(tmp_path / "a", "tokenizer.ggml.model") == "llama"
    assert field(tmp_path / "a", "tokenizer.ggml.add_space_prefix") is True
    tokens, kinds_ = field(tmp_path / "a", "tokenizer.ggml.tokens"), field(tmp_path / "a", "tokenizer.ggml.token_type")
    assert [kinds_[tokens.index(each)] for each in ("<unk>", "<s>", "<0x41>", "▁the")] == [2, 3, 6, 1]
    found = field(tmp_path / "a", "tokenizer.ggml.scores")
    scores = {token: score for token, score, kind in zip(tokens, found, kinds_, strict=True) if kind == 1}
    for text in ("the nurse is the doctor", "then the kin doc  tor", "isthe"):
        assert merged_by_scores(text, scores) == tokenizer.tokenize(text)


def test_merges_that_no_scores_give_are_refused():
    tokens = ["a", "b", "ab", "c", "bc", "abc"]
    assert pieces.scores(tokens, ["a b", "ab c", "a bc", "b c"]) == [-3.0, -3.0, 0.0, -3.0, -2.0, -1.0]
    with pytest.raises(UserError, match="in an order that scores"):
        pieces.scores(tokens, ["a b", "ab c", "b c", "a bc"])
    with pytest.raises(UserError, match="does not merge"):
        pieces.scores(tokens, ["a b", "ab c", "b c"])


def test_an_export_has_a_card_beside_the_file_and_leaves_nothing_of_what_it_refuses(tmp_path, llama):

    checkpoints.save(llama, tmp_path / "stored")
    (tmp_path / "stored" / "provenance.json").write_text(json.dumps({"key": "0123456789ab"}))
    assert form.WEIGHTS[0] == "exact" and "gguf" in formats.names()
    exporting.export(tmp_path / "stored", tmp_path / "out", form="gguf")
    assert "exactly the checkpoint's value" in (tmp_path / "out" / "README.md").read_text()
    assert not {each.name for each in tmp_path.iterdir()} - {"stored", "out"}
    with pytest.raises(UserError, match="gguf has no weights 'q3_k'; write one of exact, f32, f16"):
        exporting.export(tmp_path / "stored", tmp_path / "other", form="gguf", weights="q3_k")


def test_names_of_splitting_are_those_of_transformers():
    assert set(vocabulary.SPLITS) <= set(GGUF_PRE_TOKENIZER_SPLITS)
