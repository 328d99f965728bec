"""Oracle: one prompt, one token at a time by a whole forward pass without cache, a token chosen in plain Python."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import tiny
import torch
import zoo

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import batching, generation
from fairshrink.models.inference.batching import causal_ids
from fairshrink.models.inference.generation import Sampling, continuations
from fairshrink.models.support import ARCHITECTURES

CAUSAL = sorted(name for name, each in ARCHITECTURES.items() if each.family == "causal")
PROMPTS = ("The doctor", "She said that the engineer bought a", "My brother and my sister", "He")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 12)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path_factory.mktemp("llama")))


def ids_of(cp):
    return [causal_ids(cp, text) for text in PROMPTS]


def slow(cp, prompt, sampling, draw=0):
    """Ids that follow, the end token left out."""
    words = np.frombuffer(hashlib.sha256(np.asarray(prompt, dtype="<i8").tobytes()).digest(), dtype="<u4")
    numbers = np.random.default_rng([sampling.seed, draw, *words.tolist()]).random(sampling.tokens)
    ids = list(prompt)
    for number in numbers:
        with torch.no_grad():
            logits = cp.model(torch.tensor([ids])).logits[0, -1].double().numpy()
        ids.append(int(logits.argmax()) if sampling.temperature == 0 else choose(logits, number, sampling))
        if ids[-1] == cp.tokenizer.eos_token_id:
            return ids[len(prompt) : -1]
    return ids[len(prompt) :]


def choose(logits, number, sampling):
    odds = np.exp((logits - logits.max()) / sampling.temperature)
    ranked = sorted(((share, token) for token, share in enumerate(odds / odds.sum())), key=lambda p: (-p[0], p[1]))
    nucleus, mass = [], 0.0
    for share, token in ranked:
        nucleus.append((share, token))
        mass += share
        if mass >= sampling.top_p:
            break
    below = 0.0
    for share, token in nucleus:
        below += share / mass
        if number < below:
            return token
    return nucleus[-1][1]


@pytest.mark.parametrize("name", CAUSAL)
def test_every_architecture_continues_as_its_plain_forward_pass_does(name, tmp_path):
    """Prompts of different lengths share a batch, so padding on the left and the cache are in it."""
    cp = checkpoints.from_source(zoo.model_folder(name, "causal_lm", tmp_path), head="causal_lm")
    for sampling in (Sampling(tokens=6, temperature=0), Sampling(tokens=6, temperature=0.7, top_p=0.8, seed=3)):
        found = continuations(cp, ids_of(cp), sampling)
        expected = [slow(cp, prompt, sampling) for prompt in ids_of(cp)]
        assert found == [[cp.tokenizer.decode(ids, skip_special_tokens=True)] for ids in expected]


def test_continuations_depend_on_neither_batch_nor_order(llama, monkeypatch):
    sampling = Sampling(tokens=8, draws=3, seed=5)
    together = continuations(llama, ids_of(llama), sampling)
    assert together == [continuations(llama, [prompt], sampling)[0] for prompt in ids_of(llama)]
    assert together == continuations(llama, ids_of(llama)[::-1], sampling)[::-1]
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 4000)
    assert together == continuations(llama, ids_of(llama), sampling)


def test_draws_and_seeds_differ_and_fewer_draws_are_the_first(llama):
    three = continuations(llama, ids_of(llama), Sampling(tokens=8, draws=3))
    assert all(len(set(each)) == 3 for each in three)
    assert [each[:1] for each in three] == continuations(llama, ids_of(llama), Sampling(tokens=8))
    assert three != continuations(llama, ids_of(llama), Sampling(tokens=8, draws=3, seed=1))
    assert all(len(set(each)) == 1 for each in continuations(llama, ids_of(llama), Sampling(8, 0, draws=3)))


def test_shares_of_tokens_are_their_probabilities():
    logits = torch.log(torch.tensor([[0.1, 0.5, 0.4]]))
    numbers = (torch.arange(1000) + 0.5) / 1000

    def counted(temperature, top_p):
        tokens = generation.picked(logits.expand(1000, 3), numbers, temperature, top_p)
        return torch.bincount(tokens, minlength=3).tolist()

    assert counted(1.0, 1.0) == [100, 500, 400]
    assert counted(1.0, 0.9) == [0, 556, 444]
    assert counted(1.0, 0.49) == [0, 1000, 0]
    assert counted(0.5, 1.0) == [24, 595, 381]  # squares: 0.01, 0.25, 0.16


def test_a_number_just_below_one_picks_the_last_token():
    logits = torch.zeros(1, 7)
    assert generation.picked(logits, torch.tensor([np.nextafter(1.0, 0.0)]), 1.0, 1.0).tolist() == [6]


def test_a_continuation_ends_before_the_end_token(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path))
    prompts, greedy = ids_of(cp), Sampling(tokens=8, temperature=0)
    plain = [slow(cp, prompt, greedy) for prompt in prompts]
    end = plain[0][2]
    cp.tokenizer.eos_token = cp.tokenizer.convert_ids_to_tokens(end)
    cut = [ids[: ids.index(end)] if end in ids else ids for ids in plain]
    assert len(cut[0]) <= 2 and max(map(len, cut)) == 8
    assert continuations(cp, prompts, greedy) == [[cp.tokenizer.decode(ids)] for ids in cut]


def test_what_cannot_be_continued_is_said(llama, tmp_path):
    with pytest.raises(UserError, match="leaves no room for 61"):
        continuations(llama, ids_of(llama), Sampling(tokens=61))
    with pytest.raises(UserError, match="empty prompt"):
        continuations(llama, [[]], Sampling(tokens=1))
    with pytest.raises(UserError, match="masked_lm"):
        continuations(checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path)), [[1]], Sampling(tokens=1))
    assert continuations(llama, [], Sampling(tokens=1)) == []
