"""A rounded cache of keys and values: each number by hand, token by token, after other methods, in the ledger."""

import copy

import pytest
import torch
from compression_case import compress, context, logits, reread, task, tiny
from every_architecture import built
from pydantic import ValidationError

from fairshrink import registry
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, head_outputs
from fairshrink.models.inference.batching import causal_ids
from fairshrink.models.inference.log_probs import causal_log_probs
from fairshrink.models.ledger import ledger
from fairshrink.models.stored_forms import kv_cache
from fairshrink.study.chain_checks import forms
from fairshrink.study.schema import CompressionKeys
from fairshrink.study.study import CompressionEntry

TEXTS = ("The doctor helped the patient because she was kind.", "A man is playing a guitar.")


def by_hand(vector: list[float], bits: int) -> list[float]:
    """One head's key or value of one token."""
    half = lambda number: float(torch.tensor(number).half())  # noqa: E731
    low, step = half(min(vector)), half((max(vector) - min(vector)) / (2**bits - 1))
    return [low + step * min(max(round((number - low) / step), 0), 2**bits - 1) for number in vector]


def outputs(cp, name: str) -> torch.Tensor:
    """What a layer gives for three texts of twelve tokens."""
    found = []
    hook = cp.model.get_submodule(name).register_forward_hook(lambda layer, inputs, out: found.append(out.clone()))
    logits(cp)
    hook.remove()
    return found[0]


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "phi3"])
def test_each_number_of_each_head_is_rounded_by_its_own_token(name):
    """Separate matrices with shared key heads, and the ways of fusing them; queries stay."""
    cp = built(name, next(turn for turn in range(4) if built(name, turn).head == "causal_lm"))
    before = copy.deepcopy(cp)
    block = blocks(cp.model)[0]
    made = compress("kv_cache", cp, bits=3)
    raw = {role: outputs(before, getattr(block, role)) for role in ("query", "key", "value")}
    rounded = {role: outputs(made, getattr(block, role)) for role in ("query", "key", "value")}
    for role in ("key", "value"):
        for head in head_outputs(block, role):
            for text, token in ((0, 0), (1, 5), (2, 11)):
                vector = raw[role][text, token, head].tolist()
                expected = torch.tensor(by_hand(vector, 3))
                torch.testing.assert_close(rounded[role][text, token, head], expected, atol=2e-3, rtol=1e-3)
    channels = head_outputs(block, "query").flatten()
    assert torch.equal(rounded["query"][..., channels], raw["query"][..., channels])
    for key, value in before.model.state_dict().items():
        assert torch.equal(made.model.state_dict()[key], value)


@pytest.mark.parametrize("method", ["kv_cache", "kv_cache_channel"])
def test_a_pass_over_a_text_equals_reading_it_token_by_token(method, tmp_path):
    cp = tiny("llama", tmp_path)
    whole = logits(cp)
    made = compress(method, cp, context(task(tmp_path, "causal_lm")), bits=3)
    assert not torch.allclose(logits(made), whole, atol=1e-2)
    ids = torch.tensor([causal_ids(made, TEXTS[0], 64)])
    with torch.inference_mode():
        at_once, past, steps = made.model(input_ids=ids).logits[0], None, []
        for token in ids[0]:
            out = made.model(input_ids=token.view(1, 1), past_key_values=past, use_cache=True)
            past = out.past_key_values
            steps.append(out.logits[0, 0])
    torch.testing.assert_close(torch.stack(steps), at_once, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["kv_cache", "kv_cache_channel"])
def test_it_is_read_back_and_scored_alike_in_any_batch(method, tmp_path):
    made = compress(method, tiny("llama", tmp_path), context(task(tmp_path, "causal_lm")), bits=4)
    again = reread(made, tmp_path / "saved")
    assert torch.equal(logits(again), logits(made))
    assert not list((tmp_path / "saved").glob("model*"))  # plain transformers would not round
    sequences = [causal_ids(made, text, 64) for text in TEXTS]
    together = causal_log_probs(again, sequences)
    for one, ids in zip(together, sequences, strict=True):
        assert abs(one - causal_log_probs(again, [ids])[0]).max() < 1e-5
    plain = causal_log_probs(tiny("llama", tmp_path), sequences)
    assert max(abs(one - other).max() for one, other in zip(together, plain, strict=True)) > 1e-3


def test_levels_of_channels_are_the_range_of_the_calibration_texts(tmp_path):
    cp = tiny("llama", tmp_path)
    about = task(tmp_path, "causal_lm")
    from fairshrink.compression._shared.calibration import calibration_texts

    settings = registry.load("compression", "kv_cache_channel").Settings(bits=2, calibration_items=6)
    texts = calibration_texts(cp, settings, context(about), "kv_cache_channel")
    block = blocks(cp.model)[1]
    found = []
    hook = cp.model.get_submodule(block.key).register_forward_hook(lambda layer, inputs, out: found.append(out[0]))
    with torch.inference_mode():
        for text in texts:
            cp.model(input_ids=torch.tensor([list(text.ids)]))
    hook.remove()
    keys = torch.cat(found)
    made = compress("kv_cache_channel", cp, context(about), bits=2, calibration_items=6)
    layer = made.model.get_submodule(block.key)
    torch.testing.assert_close(layer.cache_low, keys.amin(0).half().float(), atol=1e-2, rtol=1e-3)
    distance = (keys.amax(0) - keys.amin(0)) / 3
    torch.testing.assert_close(layer.cache_scale, distance, atol=1e-3, rtol=1e-3)
    assert ledger(made, cp)["params"] == ledger(tiny("llama", tmp_path), cp)["params"]


@pytest.mark.parametrize("keys", ["token", "channel"])
def test_levels_lie_where_the_model_is(keys, tmp_path):
    """As on a GPU, which a device without memory stands for."""
    model = tiny("llama", tmp_path).model.to("meta")
    kv_cache.apply(model, {"bits": 4, "keys": keys})
    assert {each.device.type for name, each in model.named_buffers() if "cache_" in name} <= {"meta"}
    assert any("cache_low" in name for name, _ in model.named_buffers()) == (keys == "channel")


def test_the_ledger_counts_bytes_of_a_token(tmp_path):
    """2 layers, 2 heads for keys and values, each 8 wide."""
    cp = tiny("llama", tmp_path)
    numbers = 2 * 2 * 2 * 8
    assert ledger(cp, cp)["cache_bytes_per_token"] == numbers * 4
    made = compress("kv_cache", tiny("llama", tmp_path), bits=4)
    assert ledger(made, cp)["cache_bytes_per_token"] == (numbers * 4 + 2 * 2 * 2 * 32) // 8
    by_channel = compress("kv_cache_channel", tiny("llama", tmp_path), context(task(tmp_path, "causal_lm")), bits=4)
    assert ledger(by_channel, cp)["cache_bytes_per_token"] == (numbers * 4 + 2 * 2 * 32) // 8
    assert ledger(made, cp)["bytes"] == ledger(cp, cp)["bytes"]
    encoder = tiny("bert", tmp_path)
    assert ledger(encoder, encoder)["cache_bytes_per_token"] == 0


@pytest.mark.parametrize("first", ["int8_weight_only", "int4_weight_only", "svd"])
def test_it_follows_any_form_of_weights(first, tmp_path):
    settings = {"svd": {"parameters_kept": 0.5}, "int4_weight_only": {"group": 16}}.get(first, {})
    before = compress(first, tiny("llama", tmp_path), **settings)
    made = compress("kv_cache", copy.deepcopy(before), bits=3)
    assert not torch.allclose(logits(made), logits(before), atol=1e-3)
    assert torch.equal(logits(reread(made, tmp_path / "saved")), logits(made))


def test_what_makes_no_sense_is_refused(tmp_path):
    module = registry.load("compression", "kv_cache")
    for bits in (0, 9, None):
        with pytest.raises(ValidationError):
            module.Settings(bits=bits)
    with pytest.raises(UserError, match="only causal language models"):
        compress("kv_cache", tiny("bert", tmp_path), bits=4)
    with pytest.raises(UserError, match="already"):
        compress("kv_cache", compress("kv_cache", tiny("llama", tmp_path), bits=4), bits=4)
    settings = module.Settings(bits=4)
    (found,) = module.misfits(settings, {"model_type": "bert"})
    assert "is an encoder" in found[1]
    assert module.misfits(settings, {"model_type": "llama"}) == []
    # What replaces layers would drop what rounds, so no method that changes weights takes what it leaves.
    left = forms(CompressionEntry("kv_cache", module, settings, CompressionKeys(method="kv_cache"))).after("baseline")
    for name in registry.names("compression"):
        other = registry.load("compression", name)
        if registry.modules("compression").family(name) != "controls" and not name.startswith("kv_cache"):
            taken = getattr(other, "FORMS", None)
            assert left not in (taken.takes if taken else {"baseline", "dense"}), name
