"""Every supported architecture is computed as plain transformers computes it, one unpadded text at a time."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import transformers
import zoo

from fairshrink import registry
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import batching, log_probs, outputs
from fairshrink.training import masking

TEXTS = (*tiny.SENTENCES[:2], "She", "kind men", "A man is a man is a man is a man is a man is a man.")
PAIRS = TEXTS[::-1]
ENCODERS = (*zoo.ENCODERS, *zoo.VARIANTS)
TOKEN_HEADS = [*((name, "masked_lm") for name in ENCODERS), *((name, "causal_lm") for name in zoo.CAUSAL)]
EVERY = [
    *((name, head) for name in ENCODERS for head in ("encoder", "masked_lm", "classification")),
    ("bert", "regression"),  # in all architectures a classifier with one output
    ("roberta", "regression"),
    *((name, head) for name in zoo.CAUSAL for head in ("causal_lm", "classification") if zoo.has_class(name, head)),
    *((name, "encoder") for name in zoo.ENCODER_DECODERS),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of an architecture and a head: the published folder, the checkpoint made of it, and plain transformers' model."""

    @cache
    def make(name: str, head: str) -> SimpleNamespace:
        folder = zoo.model_folder(name, head, tmp_path_factory.mktemp(f"{name}-{head}"))
        labels = zoo.LABELS if head == "classification" else ()
        cp = checkpoints.from_source(folder, head=head, labels=labels, trained=False)
        return SimpleNamespace(folder=folder, cp=cp, maker=zoo.loaded(folder, head))

    return make


def plain(maker, ids, **more):
    """What plain transformers says of a sequence."""
    with torch.inference_mode():
        return maker(input_ids=torch.tensor([ids]), **more)


def equal(ours, theirs):
    theirs = np.asarray(theirs, dtype=np.float64)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


def plain_log_probs(maker, ids):
    return plain(maker, ids).logits[0].double().log_softmax(-1)


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_outputs_equal_plain_transformers(name, head, made):
    cp, maker = made(name, head).cp, made(name, head).maker
    if head == "causal_lm":
        sequences = [batching.causal_ids(cp, text) for text in TEXTS]
        for ids, values in zip(sequences, log_probs.causal_log_probs(cp, sequences), strict=True):
            equal(values, plain_log_probs(maker, ids)[range(len(ids) - 1), ids[1:]])
    elif head == "masked_lm":
        sequences, positions, targets, _ = batching.each_masked(cp, TEXTS[1:])
        found = log_probs.masked_log_probs(cp, sequences, positions, targets)
        every = zip(sequences, positions, targets, strict=True)
        equal(found, [plain_log_probs(maker, ids)[at, token] for ids, at, token in every])
    elif head == "encoder":
        found = outputs.sentence_embeddings(cp, TEXTS, "mean_all")
        equal(found, [plain(maker, batching.token_ids(cp, text))[0][0].mean(0) for text in TEXTS])
    else:
        equal(outputs.sequence_logits(cp, TEXTS), [plain(maker, batching.token_ids(cp, t)).logits[0] for t in TEXTS])
        found = outputs.sequence_logits(cp, TEXTS, PAIRS)
        for one, other, values in zip(TEXTS, PAIRS, found, strict=True):
            types = getattr(maker.config, "type_vocab_size", 0) > 1
            options = {"truncation": "longest_first", "max_length": 64, "return_token_type_ids": types}
            encoded = cp.tokenizer(one, other, return_attention_mask=False, return_tensors="pt", **options)
            with torch.inference_mode():
                equal(values, maker(**encoded).logits[0])


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_weights_are_bit_equal_to_plain_transformers(name, head, made):
    """Each by itself in memory, row by row; a pooler that nothing uses is left out."""
    ours, theirs = made(name, head).cp.model, made(name, head).maker
    weights, given = ours.state_dict(), theirs.state_dict()
    assert {key for key in given.keys() - weights.keys() if "pooler." not in key} == set()
    for key, value in weights.items():
        assert value.dtype == given[key].dtype
        assert torch.equal(value, given[key]), key
        assert value.is_contiguous()
    parameters = [each.data_ptr() for each in ours.parameters()]
    assert len(set(parameters)) == len(parameters)
    assert groups(weights) == {frozenset(group & weights.keys()) for group in groups(given)} - {frozenset()}


def groups(weights):
    """Names of weights that are one tensor."""
    places = {key: value.data_ptr() for key, value in weights.items()}
    return {frozenset(key for key in places if places[key] == place) for place in places.values()}


@pytest.mark.parametrize(("name", "head"), EVERY)
def test_saved_and_loaded_again_nothing_changes(name, head, made, tmp_path):
    cp = made(name, head).cp
    checkpoints.save(cp, tmp_path / "first")
    again = checkpoints.load(tmp_path / "first")
    checkpoints.save(again, tmp_path / "second")
    for file in sorted((tmp_path / "first").iterdir()):
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes(), file.name
    assert type(again.model) is type(cp.model)
    weights, before = again.model.state_dict(), cp.model.state_dict()
    assert weights.keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in weights.items())
    ids = batching.token_ids(cp, TEXTS[0])
    equal(plain(zoo.loaded(tmp_path / "first", head), ids)[0], plain(made(name, head).maker, ids)[0])


LEARNED = {*ENCODERS, "gpt2", "gpt_neo", "opt"} - {"deberta-v2", "modernbert"}
"""Architectures with a table of positions."""


@pytest.mark.parametrize("name", [*ENCODERS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS])
def test_max_tokens_is_where_the_positions_end(name, made):
    cp = made(name, "causal_lm" if name in zoo.CAUSAL else "encoder").cp
    token, limit = batching.token_ids(cp, "kind", add_special_tokens=False)[0], checkpoints.max_tokens(cp)
    assert limit == 64
    assert torch.isfinite(plain(cp.model, [token] * limit)[0]).all()
    if name in LEARNED:
        with pytest.raises((IndexError, RuntimeError)):
            plain(cp.model, [token] * (limit + 1))


@pytest.mark.parametrize("name", [*ENCODERS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS])
def test_attention_received(name, made):
    own = made(name, "causal_lm" if name in zoo.CAUSAL else "encoder")
    sequences = [batching.token_ids(own.cp, text) for text in TEXTS]
    before = own.cp.model.config._attn_implementation
    values = outputs.attention_received(own.cp, sequences)
    assert own.cp.model.config._attn_implementation == before
    own.maker.set_attn_implementation("eager")
    for ids, each in zip(sequences, values, strict=True):
        maps = torch.stack(plain(own.maker, ids, output_attentions=True).attentions)[:, 0]
        equal(each, maps.mean((0, 1, 2)))
        assert each.sum() == pytest.approx(1, abs=1e-5)
    own.maker.set_attn_implementation(before)


@pytest.mark.parametrize(("name", "head"), TOKEN_HEADS)
def test_losses_and_gradients_of_language_models_are_their_makers(name, head, made, tmp_path, monkeypatch):
    """The maker's own loss, for the same tokens in one padded batch."""
    cp, maker = checkpoints.load(saved(made(name, head).cp, tmp_path)), zoo.loaded(made(name, head).folder, head)
    task = registry.CATALOG.tasks[head]
    seen, choose = [], masking.choose_masked
    monkeypatch.setattr(masking, "choose_masked", lambda *given: seen.append(choose(*given)) or seen[-1])
    loss = task.loss(cp, pd.DataFrame({"text": TEXTS}), task.Settings())
    if head == "causal_lm":
        sequences = [batching.causal_ids(cp, text) for text in TEXTS]
        inputs = batching.collate(cp, sequences)
        labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    ours = loss(range(len(TEXTS)), 3)
    if head == "masked_lm":
        (chosen, masked), sequences = seen[0], batching.encode(cp, TEXTS)["input_ids"]
        inputs = batching.collate(cp, sequences)
        labels = inputs["input_ids"].masked_fill(~chosen, -100)
        inputs["input_ids"] = masked
    theirs = maker(**inputs, labels=labels).loss
    equal(ours.item(), theirs.item())
    ours.backward()
    theirs.backward()
    for (key, one), other in zip(cp.model.named_parameters(), maker.parameters(), strict=True):
        if other.grad is None:
            assert one.grad is None, key
        else:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", [*ENCODERS, *(name for name in zoo.CAUSAL if zoo.has_class(name, "regression"))])
def test_a_classifier_learns(name, made, tmp_path):
    """Fine-tuning changes the weights of every layer, and they stay finite."""
    cp = checkpoints.load(saved(made(name, "classification").cp, tmp_path))
    before = {key: value.clone() for key, value in cp.model.named_parameters()}
    task = registry.CATALOG.tasks["classification"]
    frame = pd.DataFrame({"text": TEXTS, "label": [zoo.LABELS[i % 3] for i in range(len(TEXTS))]})
    settings = task.Settings(epochs=2, batch_size=4, learning_rate=1e-3, warmup=0)
    task.train(cp, {"train": frame}, settings, 1, lambda line: None)
    after = dict(cp.model.named_parameters())
    assert all(torch.isfinite(value).all() for value in after.values())
    unchanged = [key for key, value in after.items() if torch.equal(value, before[key])]
    assert [key for key in unchanged if "position" not in key and "rel_embeddings" not in key] == []


def saved(cp, folder):
    checkpoints.save(cp, folder)
    return folder


@pytest.mark.parametrize("with_decoder", [True, False])
def test_the_encoder_of_an_encoder_decoder_is_read_with_or_without_its_decoder(with_decoder, tmp_path):
    folder = zoo.model_folder("t5", "encoder", tmp_path, with_decoder=with_decoder)
    cp = checkpoints.from_source(folder, head="encoder", trained=False)
    assert type(cp.model) is transformers.T5EncoderModel
    whole = transformers.T5Model.from_pretrained(folder) if with_decoder else zoo.loaded(folder, "encoder")
    ids = torch.tensor([batching.token_ids(cp, TEXTS[0])])
    with torch.inference_mode():
        expected = whole.get_encoder()(input_ids=ids).last_hidden_state[0].mean(0)
    equal(outputs.sentence_embeddings(cp, TEXTS[:1], "mean_all")[0], expected)


def test_both_language_model_heads_of_deberta(tmp_path):
    for legacy in (True, False):
        folder = zoo.model_folder("deberta-v2", "masked_lm", tmp_path / str(legacy), legacy=legacy)
        cp = checkpoints.from_source(folder, head="masked_lm", trained=False)
        ids = batching.token_ids(cp, TEXTS[0])
        found = log_probs.masked_log_probs(cp, [ids] * 3, [1, 2, 3], [7, 8, 9])
        theirs = plain_log_probs(zoo.loaded(folder, "masked_lm"), ids)
        equal(found, [theirs[at, token] for at, token in ((1, 7), (2, 8), (3, 9))])
