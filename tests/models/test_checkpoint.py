from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny
import torch
import transformers
import zoo
from compression_case import tensor_bytes
from gguf_files import write_gguf

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import task_heads
from fairshrink.models.inference import batching, log_probs

MADE = [
    (tiny.tiny_bert, "encoder"),
    (tiny.tiny_bert, "masked_lm"),
    (tiny.tiny_bert, "classification"),
    (tiny.tiny_roberta, "masked_lm"),
    (tiny.tiny_roberta, "regression"),
    (tiny.tiny_llama, "causal_lm"),
    (tiny.tiny_llama, "classification"),
]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("make", "head"), MADE)
def test_saved_and_loaded_again_nothing_changes(make, head, tmp_path):
    first = make(head, tmp_path / "a" / "first")
    cp = checkpoints.load(first)
    checkpoints.save(cp, tmp_path / "second")
    assert files(first) == files(tmp_path / "second")
    assert cp.head == head
    assert cp.labels == (tiny.LABELS if head == "classification" else ())
    assert not cp.model.training


@pytest.mark.parametrize(("make", "head"), MADE)
def test_plain_transformers_reads_the_same_model(make, head, tmp_path):
    path = make(head, tmp_path)
    cp = checkpoints.load(path)
    auto = {
        "encoder": transformers.AutoModel,
        "masked_lm": transformers.AutoModelForMaskedLM,
        "causal_lm": transformers.AutoModelForCausalLM,
    }.get(head, transformers.AutoModelForSequenceClassification)
    other = auto.from_pretrained(path).eval()
    ids = transformers.AutoTokenizer.from_pretrained(path)(tiny.SENTENCES[0], return_tensors="pt").input_ids
    assert ids[0].tolist() == batching.token_ids(cp, tiny.SENTENCES[0])
    with torch.no_grad():
        torch.testing.assert_close(cp.model(ids)[0], other(ids)[0])
    if head == "classification":
        assert tuple(other.config.id2label[i] for i in range(3)) == tiny.LABELS


def plain_encoder(folder, seed=3):
    """A folder as published: a bare BertModel in safetensors with its tokenizer."""
    cp = checkpoints.load(tiny.tiny_bert("encoder", folder / "made", seed=seed))
    transformers.BertModel(cp.model.config)  # has a pooler, which the checkpoint lacks
    cp.model.save_pretrained(folder / "published")
    cp.tokenizer.save_pretrained(folder / "published")
    return folder / "published", cp


def test_bare_encoder_gets_a_masked_lm_head_from_the_seed(tmp_path):
    folder, encoder = plain_encoder(tmp_path)
    one, same, other = (checkpoints.from_source(folder, head="masked_lm", seed=seed) for seed in (5, 5, 6))
    head = "cls.predictions.transform.dense.weight"
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, same.model.state_dict()[name]), name
    assert not torch.equal(one.model.state_dict()[head], other.model.state_dict()[head])
    for name, value in encoder.model.state_dict().items():
        assert torch.equal(value, one.model.state_dict()[f"bert.{name}"]), name
    decoder = one.model.cls.predictions.decoder
    assert decoder.weight is one.model.bert.embeddings.word_embeddings.weight
    assert not decoder.bias.any()


def test_from_source_does_not_change_the_random_state(tmp_path):
    folder, _ = plain_encoder(tmp_path)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    checkpoints.from_source(folder, head="regression", seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_a_published_head_is_kept_in_the_order_of_the_labels(tmp_path):
    published = checkpoints.load(tiny.tiny_bert("classification", tmp_path / "a"))
    published.model.save_pretrained(tmp_path / "b")
    published.tokenizer.save_pretrained(tmp_path / "b")
    weight = published.model.classifier.weight
    same = checkpoints.from_source(tmp_path / "b", head="classification", labels=tiny.LABELS)
    turned = checkpoints.from_source(tmp_path / "b", head="classification", labels=tiny.LABELS[::-1])
    assert torch.equal(same.model.classifier.weight, weight)
    assert torch.equal(turned.model.classifier.weight, weight.flip(0))
    assert turned.model.config.id2label == dict(enumerate(tiny.LABELS[::-1]))
    assert torch.equal(
        turned.model.bert.encoder.layer[0].output.dense.weight,
        published.model.bert.encoder.layer[0].output.dense.weight,
    )


def test_bfloat16_is_rounded_once_and_halves_the_file(tmp_path):
    folder, _ = plain_encoder(tmp_path)
    full, half = (checkpoints.from_source(folder, head="encoder", dtype=dtype) for dtype in ("float32", "bfloat16"))
    sizes = {}
    for name, cp in (("full", full), ("half", half)):
        checkpoints.save(cp, tmp_path / name)
        sizes[name] = tensor_bytes(tmp_path / name)
    again = checkpoints.load(tmp_path / "half")
    assert sizes["half"] < 0.6 * sizes["full"]
    for name, value in again.model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, half.model.state_dict()[name])
        assert torch.equal(value, full.model.state_dict()[name].bfloat16().float())


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta])
def test_max_tokens_is_where_the_position_table_ends(make, tmp_path):
    cp = checkpoints.load(make("encoder", tmp_path))
    cp.tokenizer.model_max_length = 10**30
    limit = checkpoints.max_tokens(cp)
    token = batching.token_ids(cp, "kind")[1]
    with torch.no_grad():
        cp.model(torch.tensor([[token] * limit]))
        with pytest.raises((IndexError, RuntimeError)):
            cp.model(torch.tensor([[token] * (limit + 1)]))


def test_truncation_and_padding_saved_in_a_tokenizer_are_switched_off(tmp_path):
    folder, _ = plain_encoder(tmp_path)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    tokenizer["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]",
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    cp = checkpoints.from_source(folder, head="encoder")
    checkpoints.save(cp, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer.json").read_text())
    assert saved["truncation"] is None
    assert saved["padding"] is None
    assert len(batching.token_ids(cp, tiny.SENTENCES[0])) > 9
    assert len(batching.token_ids(cp, "kind")) == 3


def test_gguf_file_gives_the_model_it_was_written_from(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "a"))
    write_gguf(cp, tmp_path / "b" / "model.gguf")
    read = checkpoints.from_source(tmp_path / "b", head="causal_lm", gguf_file="model.gguf")
    assert batching.token_ids(read, tiny.SENTENCES[1]) == batching.token_ids(cp, tiny.SENTENCES[1])
    sequences = [batching.token_ids(cp, text) for text in tiny.SENTENCES]
    for one, other in zip(*(log_probs.causal_log_probs(each, sequences) for each in (cp, read)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_reinitialize_depends_on_the_seed_alone(tmp_path):
    path = tiny.tiny_bert("masked_lm", tmp_path)
    one, two, three = (checkpoints.load(path) for _ in range(3))
    before = one.model.bert.embeddings.word_embeddings.weight.clone()
    checkpoints.reinitialize(one, 11)
    checkpoints.reinitialize(two, 11)
    checkpoints.reinitialize(three, 12)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert torch.equal(one.model.state_dict()[name], two.model.state_dict()[name])
    assert not torch.equal(one.model.state_dict()[name], three.model.state_dict()[name])
    assert not torch.equal(one.model.bert.embeddings.word_embeddings.weight, before)


def test_unreadable_checkpoints_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="not a complete checkpoint"):
        checkpoints.load(tmp_path / "absent")
    path = tiny.tiny_bert("encoder", tmp_path / "cut")
    weights = path / "model-attention.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="not a complete checkpoint"):
        checkpoints.load(path)
    weights.unlink()
    with pytest.raises(UserError, match=r"do not match \(at .*attention"):
        checkpoints.load(path)
    for each in path.glob("*.safetensors"):
        each.unlink()
    with pytest.raises(UserError, match=r"not a complete checkpoint \(no file model-\*"):
        checkpoints.load(path)
    path = tiny.tiny_bert("encoder", tmp_path / "old")
    about = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps({**about, "format": 0}))
    with pytest.raises(UserError, match="format 0"):
        checkpoints.load(path)
    shutil.copy(tiny.tiny_bert("encoder", tmp_path / "wide", hidden_size=64) / "config.json", path / "config.json")
    (path / "checkpoint.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="do not match"):
        checkpoints.load(path)
    with pytest.raises(UserError, match="precision 'int3'"):
        checkpoints.load(path, precision="int3")


def test_unusable_sources_are_reported(tmp_path):
    folder, cp = plain_encoder(tmp_path)
    with pytest.raises(UserError, match="choose one of encoder, masked_lm"):
        checkpoints.from_source(folder, head="regresion")
    with pytest.raises(UserError, match="at least two labels"):
        checkpoints.from_source(folder, head="classification")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"layer\.2\..* is missing"):
        checkpoints.from_source(folder, head="encoder")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").unlink()
    torch.save(cp.model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be read"):
        checkpoints.from_source(folder, head="encoder")


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    folder, _ = plain_encoder(tmp_path)
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own:\n    pass\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    with pytest.raises(UserError, match="'own' is not supported"):
        checkpoints.from_source(folder, head="encoder")
    (folder / "config.json").write_text(json.dumps(config | own | {"model_type": "bert"}))
    assert type(checkpoints.from_source(folder, head="encoder").model) is transformers.BertModel
    assert not ran.exists()


@pytest.mark.parametrize("head", ["causal_lm", "classification"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_tied_is_one_parameter_and_what_is_not_is_several(head, tied, dtype, tmp_path):
    folder = zoo.model_folder("llama", "causal_lm", tmp_path, tie_word_embeddings=tied)
    before = files(folder)
    cp = checkpoints.from_source(folder, head=head, labels=("no", "yes"), dtype=dtype)
    maker, own = zoo.loaded(folder, head).state_dict(), dict(cp.model.named_parameters())
    for name, value in cp.model.state_dict().items():
        if not name.startswith("score."):
            assert torch.equal(value, maker[name].to(getattr(torch, dtype)).float()), name
    assert ("lm_head.weight" in own) == (head == "causal_lm" and not tied)
    assert len({each.data_ptr() for each in own.values()}) == len(own)
    with torch.no_grad():
        for each in own.values():
            each.add_(1)
    assert files(folder) == before  # weights may be mapped from the files, which nothing writes to


def test_rotary_frequencies_are_not_rounded_with_the_weights(tmp_path):
    """They are no part of the file: the model that was read computes as the same one when it is loaded."""
    cp = checkpoints.from_source(
        zoo.model_folder("llama", "causal_lm", tmp_path / "a"), head="causal_lm", dtype="bfloat16"
    )
    checkpoints.save(cp, tmp_path / "b")
    ids = [[1, *range(5, 60)]]
    again = checkpoints.load(tmp_path / "b")
    assert np.array_equal(log_probs.causal_log_probs(cp, ids)[0], log_probs.causal_log_probs(again, ids)[0])


@pytest.mark.parametrize("trained", [False, True])
def test_weights_are_the_makers_own_tensors_unless_they_are_trained(trained, tmp_path, monkeypatch):
    """A file decides where its tensors begin, and so how products are rounded: training does not depend on that."""
    folder, published, read = zoo.model_folder("gpt2", "causal_lm", tmp_path), [], checkpoints.read_folder
    monkeypatch.setattr(checkpoints, "read_folder", lambda *given: (published.append(read(*given)), published[-1])[1])
    cp = checkpoints.from_source(folder, head="causal_lm", trained=trained, dtype="bfloat16")
    theirs = {each.data_ptr() for each in published[0].model.parameters()}
    mine = {each.data_ptr() for each in cp.model.parameters()}
    assert mine.isdisjoint(theirs) if trained else mine == theirs


def test_new_heads_are_those_of_their_seed(tmp_path):
    """A head is drawn after all that the architecture draws before it, as of a model without a file."""
    folder, drawn = zoo.model_folder("bert", "encoder", tmp_path), []
    for seed in (5, 6):
        cp = checkpoints.from_source(folder, head="classification", labels=("no", "yes"), seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = task_heads.build(cp.model.config, "classification")
        assert torch.equal(cp.model.classifier.weight, fresh.classifier.weight)
        drawn.append(cp.model.classifier.weight)
    assert not torch.equal(*drawn)
