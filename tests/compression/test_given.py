"""Given checkpoints as checkpoints: distilled ones, fine-tuned as their original was, and GGUF files."""

import dataclasses
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from compression_case import context, logits, reread, task
from gguf_files import write_gguf
from tiny import _write, tiny_bert, tiny_llama

from fairshrink.compression.given_checkpoints import given
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.study.jobs import PretrainedModel


def distilbert(head: str, folder: Path, tokenizer, **sizes) -> Path:
    """A tiny DistilBERT of one layer with the tokenizer of its original."""
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=1, n_heads=4, hidden_dim=48, max_position_embeddings=64, **sizes
    )
    return _write(config, tokenizer, head, folder, (), seed=2)


def about(folder: Path, original: checkpoints.Checkpoint, *, trained: bool, file: str | None = None) -> PretrainedModel:
    return PretrainedModel(str(folder), file, "float32", original.head, original.labels, {}, trained)


def bring(original, folder, *, of=None, file=None):
    told = dataclasses.replace(context(of), brought=about(folder, original, trained=of is not None, file=file))
    return given.compress(original, given.Settings(download=str(folder), file=file), told)


@pytest.fixture
def original(tmp_path):
    return checkpoints.load(tiny_bert("regression", tmp_path / "bert"))


def test_another_architecture_is_fine_tuned_as_its_original_was(original, tmp_path):
    folder = distilbert("encoder", tmp_path / "distilbert", original.tokenizer)
    about_task = task(tmp_path, "regression", epochs=1)
    made = bring(original, folder, of=about_task)
    expected = checkpoints.from_source(folder, head="regression", seed=about_task.seed)
    about_task.module.train(expected, frames(about_task), about_task.settings, about_task.seed, lambda line: None)
    assert made.model.config.model_type == "distilbert"
    assert torch.equal(logits(made), logits(expected))
    assert torch.equal(logits(reread(made, tmp_path / "saved")), logits(made))
    # Once it is trained it is stored here, and no longer as its maker stored it.
    assert made.made is None
    counts, whole = ledger.ledger(made, original), ledger.ledger(original, original)
    assert counts["bytes"] < whole["bytes"]
    assert counts["effective_bits"] == pytest.approx(32 * counts["prunable_params"] / whole["prunable_params"])


def test_a_model_of_the_task_is_used_as_it_is(original, tmp_path):
    folder = distilbert("regression", tmp_path / "distilbert", original.tokenizer)
    made = bring(original, folder)
    loaded = checkpoints.load(folder)
    assert all(torch.equal(value, loaded.model.state_dict()[name]) for name, value in made.model.state_dict().items())
    # Its weights lie where the file has them in memory, and products of matrices round by where these begin.
    torch.testing.assert_close(logits(made), logits(loaded), rtol=0, atol=1e-6)
    headless = distilbert("encoder", tmp_path / "headless", original.tokenizer)
    with pytest.raises(UserError, match="head"):
        bring(original, headless)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_blocks_of_gguf_are_scale_times_code(kind, tmp_path):
    cp = checkpoints.load(tiny_llama("causal_lm", tmp_path / "a"))
    dense = {}

    def add(writer, name, tensor):
        if "blk." not in name or tensor.ndim < 2 or tensor.shape[1] % 32:
            writer.add_tensor(name, tensor)
        else:
            dense[name], packed = blocks_of(kind, tensor)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType[kind])

    write_gguf(cp, tmp_path / "b" / "model.gguf", add)
    made = bring(cp, tmp_path / "b", file="model.gguf")
    state = made.model.state_dict()
    for layer in range(2):
        for theirs, ours in (("attn_v", "self_attn.v_proj"), ("ffn_up", "mlp.up_proj")):
            found = state[f"model.layers.{layer}.{ours}.weight"].numpy()
            np.testing.assert_allclose(found, dense[f"blk.{layer}.{theirs}.weight"], atol=1e-6)
    size = {"Q8_0": 34, "Q4_0": 18}[kind]
    whole = sum(each.numel() for name, each in state.items() if "proj" in name)
    packed = sum(each.size for each in dense.values())
    bits = 8 * packed // 32 * size + 32 * (whole - packed)
    assert ledger.ledger(made, cp)["effective_bits"] == pytest.approx(bits / whole)


def blocks_of(kind: str, tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix in blocks of 32 with a float16 scale: what its codes stand for, and the bytes, from ggml's description.

    Q8_0: scale, 32 signed bytes. Q4_0: scale, 16 bytes; byte k has code k low and code k + 16 high, each less 8.
    """
    dense, rows = np.empty_like(tensor), []
    for at, row in enumerate(tensor):
        content = b""
        for start in range(0, len(row), 32):
            values = row[start : start + 32]
            most = 127 if kind == "Q8_0" else 7
            scale = np.float16(np.abs(values).max() / most)
            codes = np.clip(np.round(values / np.float32(scale)), -most, most).astype(int)
            dense[at, start : start + 32] = codes * np.float32(scale)
            content += scale.tobytes()
            if kind == "Q8_0":
                content += codes.astype(np.int8).tobytes()
            else:
                content += bytes(int(codes[k] + 8) | int(codes[k + 16] + 8) << 4 for k in range(16))
        rows.append(np.frombuffer(content, np.uint8))
    return dense, np.stack(rows)
