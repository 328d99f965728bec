"""Removed layers are layers that are skipped, removed neurons are multiplied by 0; on every architecture, saved too."""

import copy

import numpy as np
import pytest
import torch
import zoo
from compression_case import compress, context, logits, reread, task
from every_architecture import ALL, built
from pydantic import ValidationError

from fairshrink import registry
from fairshrink.compression._shared.calibration import Text, calibration_texts
from fairshrink.compression._shared.settings import CalibratedSettings
from fairshrink.compression._shared.similarity import block_similarities
from fairshrink.errors import UserError
from fairshrink.models import task_heads
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.architecture.layers import keep_layers
from fairshrink.models.architecture.linear import matrix, sizes
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.ledger import ledger
from fairshrink.models.support import ARCHITECTURES

ITEMS = {"calibration_items": 6, "calibration_length": 12}
COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
FOUR = {
    "gemma2": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "smollm3": {"no_rope_layers": [1, 0, 1, 0]},
}
"""What else a config says of four layers."""
WITH_LAYERS = [name for name in ALL if name != "albert"]


@pytest.fixture(scope="module")
def about(tmp_path_factory):
    return context(task(tmp_path_factory.mktemp("structured"), "classification"))


def of_four_layers(name: str) -> Checkpoint:
    """With another task head in each turn."""
    heads = ARCHITECTURES[name].heads
    head = heads[ALL.index(name) % len(heads)]
    count = next(each for each in COUNTS if each in zoo._ALL[name].sizes)
    published = zoo.built(name, head, with_decoder=False, **{count: 4}, **FOUR.get(name, {}))
    model = task_heads.build(published.config, head)
    model.load_state_dict({key: value for key, value in published.state_dict().items() if key in model.state_dict()})
    return Checkpoint(model, zoo._ALL[name].tokenizer(), head, zoo.LABELS if head == "classification" else ())


def skipping(cp: Checkpoint, gone: set[int]) -> torch.Tensor:
    """Outputs of the model when these blocks give what they get."""
    model = copy.deepcopy(cp.model)
    for number in gone:
        module = model.get_submodule(blocks(model)[number].name)
        own = module.forward

        def skip(*args, own=own, **kw):
            answer = own(*args, **kw)
            given = args[0] if args else kw["hidden_states"]
            return (given, *answer[1:]) if isinstance(answer, tuple) else given

        module.forward = skip
    return logits(Checkpoint(model, cp.tokenizer, cp.head, cp.labels))


@pytest.mark.parametrize("name", WITH_LAYERS)
@pytest.mark.parametrize(
    ("order", "number", "gone"), [("top", 1, {3}), ("alternate", 2, {1, 3}), ("top", 3, {1, 2, 3})]
)
def test_dropped_layers_are_skipped(name, order, number, gone, tmp_path):
    cp = of_four_layers(name)
    before, wanted = ledger(cp, cp), skipping(cp, gone)
    assert (logits(cp) - wanted).abs().max() > 1e-3
    after = compress("layer_dropping", copy.deepcopy(cp), order=order, layers=number)
    torch.testing.assert_close(logits(after), wanted, rtol=1e-5, atol=1e-5)
    assert len(blocks(after.model)) == 4 - number and after.structure == {}
    again = reread(after, tmp_path / "after")
    assert torch.equal(logits(again), logits(after)) and len(blocks(again.model)) == 4 - number
    counted = ledger(after, cp)
    assert counted["prunable_params"] == before["prunable_params"] * (4 - number) / 4
    if cp.head in ("masked_lm", "causal_lm"):
        plain = zoo.loaded(tmp_path / "after", cp.head)
        torch.testing.assert_close(logits(Checkpoint(plain, cp.tokenizer, cp.head)), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gemma2", "gpt2", "opt", "t5"])
def test_the_least_changing_layers_are_redundant(name, about):
    cp = of_four_layers(name)
    for scaled in (blocks(cp.model)[2].output, blocks(cp.model)[2].down):  # the third block changes hardly anything
        layer = cp.model.get_submodule(scaled)
        torch.nn.init.zeros_(layer.weight)
        if getattr(layer, "bias", None) is not None:
            torch.nn.init.zeros_(layer.bias)
    after = compress("redundant_layers", copy.deepcopy(cp), about, layers=1, **ITEMS)
    torch.testing.assert_close(logits(after), skipping(cp, {2}), rtol=1e-5, atol=1e-5)


def test_similarity_one_text_at_a_time(monkeypatch):
    monkeypatch.setattr("fairshrink.compression._shared.calibration.TOKENS_PER_BATCH", 30)
    cp = built("qwen2", 0)
    texts = [Text([5, 6, 7, 8, 9]), Text([6]), Text([7, 9, 5, 11, 12, 13, 9])]
    cosines = []
    with torch.no_grad():
        for text in texts:
            states = cp.model.base_model(torch.tensor([text.ids]), output_hidden_states=True).hidden_states
            cosines += torch.cosine_similarity(states[0][0], states[1][0], dim=-1).tolist()
    assert block_similarities(cp, texts)[0] == pytest.approx(np.mean(cosines), abs=1e-5)


def closed(cp: Checkpoint, kept: list[list[int]]) -> torch.Tensor:
    """Outputs when the activations of all other neurons are multiplied by 0."""
    handles = []
    for block, neurons in zip(blocks(cp.model), kept, strict=True):
        factors = torch.zeros(block.neurons).index_fill(0, torch.tensor(neurons), 1.0)
        layer = cp.model.get_submodule(block.down)
        handles.append(layer.register_forward_pre_hook(lambda _, args, f=factors: (args[0] * f, *args[1:])))
    found = logits(cp)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("per_layer", [True, False])
def test_removed_neurons_are_closed(name, per_layer, about, tmp_path):
    cp = built(name, 0)
    scores = importance(cp, about)
    total = [len(each) for each in scores]
    if per_layer:
        kept = [sorted(np.argsort(each, kind="stable")[round(0.4 * len(each)) :].tolist()) for each in scores]
    else:
        ranked = sorted((s, i, n) for i, each in enumerate(scores) for n, s in enumerate(each / np.linalg.norm(each)))
        gone = {(i, n) for _, i, n in ranked[: round(0.4 * sum(total))]}
        kept = [[n for n in range(size) if (i, n) not in gone] for i, size in enumerate(total)]
    wanted, before = closed(cp, kept), logits(cp)
    after = compress("neuron_pruning", copy.deepcopy(cp), about, sparsity=0.4, per_layer=per_layer, **ITEMS)
    assert [block.neurons for block in blocks(after.model)] == [len(each) for each in kept]
    torch.testing.assert_close(logits(after), wanted, rtol=1e-4, atol=3e-5)
    assert (before - wanted).abs().max() > 1e-3
    assert torch.equal(logits(reread(after, tmp_path / "after")), logits(after))
    assert {sizes(after.model.get_submodule(block.down))[0] for block in blocks(after.model)} == {*map(len, kept)}
    assert ledger(after, cp)["params"] < ledger(cp, cp)["params"]


def importance(cp: Checkpoint, about) -> list[np.ndarray]:
    """‖a_n‖ ‖W_down[:, n]‖ with hooks, each text run by itself."""
    names = [block.down for block in blocks(cp.model)]
    seen = {name: [] for name in names}
    handles = [
        cp.model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: seen[name].append(args[0].reshape(-1, args[0].shape[-1]).double())
        )
        for name in names
    ]
    with torch.no_grad():
        for text in calibration_texts(cp, CalibratedSettings(**ITEMS), about, "neuron_pruning"):
            cp.model(input_ids=torch.tensor([text.ids]), attention_mask=torch.ones(1, len(text.ids), dtype=torch.long))
    for handle in handles:
        handle.remove()
    columns = {name: matrix(cp.model.get_submodule(name)).double().numpy() for name in names}
    return [
        np.array(
            [np.linalg.norm(x) * np.linalg.norm(columns[name][:, n]) for n, x in enumerate(torch.cat(rows).t().numpy())]
        )
        for name, rows in seen.items()
    ]


def test_heads_neurons_and_layers_one_after_the_other(about, tmp_path):
    """What is left of each layer keeps its sizes when layers before it go."""
    cp = of_four_layers("roberta")
    heads = compress("head_pruning", cp, about, sparsity=0.4) if cp.head == "classification" else cp
    fewer = compress("neuron_pruning", heads, about, sparsity=0.4, per_layer=False, **ITEMS)
    sizes_before = [(block.kv_heads, block.neurons) for block in blocks(fewer.model)]
    wanted = skipping(fewer, {1, 3})
    after = compress("layer_dropping", fewer, layers=2, order="alternate")
    assert [(block.kv_heads, block.neurons) for block in blocks(after.model)] == [sizes_before[0], sizes_before[2]]
    torch.testing.assert_close(logits(after), wanted, rtol=1e-5, atol=1e-5)
    assert torch.equal(logits(reread(after, tmp_path / "after")), logits(after))
    with pytest.raises(UserError, match=r"remove neurons before other compressions|is not dense"):
        compress("neuron_pruning", compress("int8_weight_only", after), about, sparsity=0.5, **ITEMS)
    with pytest.raises(UserError, match="remove layers before other compressions, here int8"):
        compress("layer_dropping", compress("int8_weight_only", of_four_layers("bert")), layers=1)


@pytest.mark.parametrize("method", ["neuron_pruning", "layer_dropping", "redundant_layers"])
def test_nothing_changes_where_nothing_goes(method, about):
    cp = built("bert", 0)
    nothing = {"sparsity": 0.0} if method == "neuron_pruning" else {"layers": 0}
    after = compress(method, copy.deepcopy(cp), about, **nothing)
    assert torch.equal(logits(after), logits(cp)) and after.structure == {}
    assert after.model.config.to_dict() == cp.model.config.to_dict()


def test_a_neuron_is_left_in_each_layer(about):
    after = compress("neuron_pruning", built("bert", 0), about, sparsity=0.999, **ITEMS)
    assert [block.neurons for block in blocks(after.model)] == [1, 1]


@pytest.mark.parametrize("name", ["albert", "gpt2"])
def test_layers_that_cannot_go_are_refused(name):
    cp = built("albert", 0) if name == "albert" else built("gpt2", 0)
    cp.model.config.scale_attn_by_inverse_layer_idx = True
    with pytest.raises(UserError, match=f"layers of the architecture '{name}' cannot be removed"):
        compress("layer_dropping", cp, layers=1)


def test_more_layers_than_there_are(about):
    with pytest.raises(UserError, match="2 layers cannot be removed of 2"):
        compress("layer_dropping", built("bert", 0), layers=2)
    config = {"model_type": "bert", "num_hidden_layers": 5}
    dropping, redundant = (registry.load("compression", each) for each in ("layer_dropping", "redundant_layers"))
    assert dropping.misfits(dropping.Settings(layers=4), config) == []
    ((setting, reason, remedy),) = dropping.misfits(dropping.Settings(layers=5), config)
    assert (setting, reason) == ("layers", "5 layers cannot go of 5, as the first stays") and remedy.startswith(
        "at most 4"
    )
    assert dropping.misfits(dropping.Settings(layers=3, order="alternate"), config)[0][2].startswith("at most 2")
    assert redundant.misfits(redundant.Settings(layers=5), config)
    with pytest.raises(ValidationError):
        dropping.Settings(layers=-1)
    with pytest.raises(ValueError, match="the first, and others"):
        keep_layers(built("bert", 0).model, [1])
