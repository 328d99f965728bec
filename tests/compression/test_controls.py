"""Controls: damage of a stated size, drawn anew for each seed; labels that teach nothing."""

import copy
import csv
import dataclasses
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from compression_case import MODELS, as_stored_in, compress, context, logits, task, tiny, weights
from pydantic import ValidationError
from task_case import task_of

from fairshrink import registry
from fairshrink.compression._shared.heads import without_least
from fairshrink.compression.controls._shared.seeds import combined
from fairshrink.compression.structured.head_pruning.gates import gated
from fairshrink.contracts import ALL_HEADS, CONTROLS, Control
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, linear_names
from fairshrink.models.checkpoint import from_source
from fairshrink.models.inference import batching
from fairshrink.models.inference.log_probs import causal_log_probs, compared_log_probs, masked_log_probs
from fairshrink.models.inference.outputs import sentence_embeddings, sequence_logits
from fairshrink.models.ledger import ledger

ALL = ("random_heads", "random_init", "shuffled_labels", "weight_noise")


def state(cp):
    return {name: value.clone() for name, value in cp.model.state_dict().items()}


def test_controls_are_a_family_of_their_own():
    found = {name for name in registry.names("compression") if registry.modules("compression").family(name) == CONTROLS}
    assert found >= set(ALL)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scope", ["encoder", "attention"])
def test_noise_has_the_stated_norm_in_every_matrix_and_nowhere_else(name, scope, tmp_path):
    cp = tiny(name, tmp_path)
    names, before = linear_names(cp.model, scope), state(cp)
    after = state(compress("weight_noise", cp, level=0.25, scope=scope))
    touched = {f"{each}.weight" for each in names}
    for key, value in after.items():
        change = (value - before[key]).double()
        if key in touched:
            assert (change.norm() / before[key].double().norm()).item() == pytest.approx(0.25, rel=1e-5)
        else:
            assert torch.equal(value, before[key]), key


def test_noise_is_gaussian_and_unrelated_to_the_weights_and_between_matrices(tmp_path):
    cp = tiny("bert", tmp_path, hidden_size=96, intermediate_size=192)
    names = linear_names(cp.model, "encoder")
    before = weights(cp, names)
    after = weights(compress("weight_noise", cp, level=0.5), names)
    drawn = [((after[each] - before[each]) / (after[each] - before[each]).std()).flatten() for each in names]
    every = torch.cat(drawn).double()
    assert abs(every.mean()) < 0.01  # 220,000 draws: standard error 0.002
    assert (every**4).mean().item() == pytest.approx(3.0, abs=0.1)
    old = torch.cat([(before[each] / before[each].std()).flatten() for each in names]).double()
    assert abs((every * old).mean()) < 0.01
    first, second = (each for each in drawn[:2])
    assert abs((first * second).mean()) < 0.05  # 9,216 draws: standard error 0.01


def test_noise_follows_both_seeds_and_only_these(tmp_path):
    def made(seed, **settings):
        return logits(compress("weight_noise", tiny("bert", tmp_path), context(seed=seed), level=0.2, **settings))

    first = made(1, control_seed=0)
    assert torch.equal(first, made(1, control_seed=0)) and torch.equal(first, made(1))
    torch.manual_seed(99)
    assert torch.equal(first, made(1))
    others = [made(1, control_seed=1), made(2, control_seed=0), made(2, control_seed=1), made(0, control_seed=1)]
    for i, one in enumerate([first, *others]):
        assert not any(torch.equal(one, other) for other in others[i:])


def test_levels_are_independent_draws(tmp_path):
    """A compression is compared with controls of several levels as with so many damages."""
    cp = tiny("bert", tmp_path)
    (name, *_) = linear_names(cp.model, "encoder")
    start = weights(cp, [name])[name]
    small, large = (
        (weights(compress("weight_noise", copy.deepcopy(cp), level=each), [name])[name] - start).flatten()
        for each in (0.1, 0.3)
    )
    assert float(large.norm()) == pytest.approx(3 * float(small.norm()), rel=1e-4)
    correlation = float(small @ large / (small.norm() * large.norm()))
    assert abs(correlation) < 4 / len(small) ** 0.5


@pytest.mark.parametrize(("name", "head"), [("bert", "masked_lm"), ("llama", "causal_lm")])
def test_levels_of_noise_are_a_ladder_of_damages_whatever_the_seed(name, head, tmp_path):
    cp = tiny(name, tmp_path, head, hidden_size=64, intermediate_size=128, initializer_range=0.2)
    draw = torch.Generator().manual_seed(0)
    sequences = torch.randint(5, cp.model.config.vocab_size, (40, 12), generator=draw).tolist()

    def kl(log_p, base, right):
        return (base.exp() * (base - log_p)).sum(1, keepdim=True)

    def damage(level, seed):
        made = compress("weight_noise", copy.deepcopy(cp), level=level, control_seed=seed)
        return compared_log_probs(made, cp, sequences, [[3, 7]] * 40, [[6, 6]] * 40, kl).mean()

    rungs = [[damage(level, seed) for seed in range(16)] for level in (0.05, 0.1, 0.2, 0.4)]
    assert all(max(lower) < min(higher) for lower, higher in pairwise(rungs))
    assert np.mean(rungs[1]) / np.mean(rungs[0]) == pytest.approx(4, rel=0.15)  # quadratic where it is small


def test_noise_is_rounded_to_the_stored_type(tmp_path):
    cp = compress("weight_noise", as_stored_in(tiny("llama", tmp_path), "bfloat16"), level=0.3)
    for parameter in cp.model.parameters():
        assert torch.equal(parameter, parameter.bfloat16().float())


def test_noise_needs_dense_layers_and_a_level(tmp_path):
    with pytest.raises(UserError, match="before quantizing"):
        compress("weight_noise", compress("int8_dynamic", tiny("bert", tmp_path)), level=0.1)
    for level in (0.0, -0.1):
        with pytest.raises(ValidationError):
            registry.load("compression", "weight_noise").Settings(level=level)


def kept_units(after, before):
    recorded = after.structure.get("removed_heads", {})
    units = [block.kv_heads for block in blocks(before.model)]
    return [recorded.get(str(i), list(range(n))) for i, n in enumerate(units)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("control_seed", [0, 1])
def test_a_model_without_random_heads_equals_one_with_their_gates_closed(name, control_seed, tmp_path):
    cp = tiny(name, tmp_path)
    after = compress("random_heads", copy.deepcopy(cp), sparsity=0.5, control_seed=control_seed)
    kept, units = kept_units(after, cp), [block.kv_heads for block in blocks(cp.model)]
    assert sum(map(len, kept)) == sum(units) - round(0.5 * sum(units))
    assert min(map(len, kept)) >= 1
    gates = [torch.tensor([float(u in left) for u in range(n)]) for left, n in zip(kept, units, strict=True)]
    with gated(cp.model, gates):
        behind_gates = logits(cp)
    torch.testing.assert_close(logits(after), behind_gates, rtol=1e-4, atol=1e-5)
    assert (logits(after) - logits(cp)).abs().max() > 0.01
    sizes = [after.model.get_submodule(block.query).out_features for block in blocks(after.model)]
    full = [
        cp.model.get_submodule(block.query).out_features // n for block, n in zip(blocks(cp.model), units, strict=True)
    ]
    assert sizes == [len(left) * each for left, each in zip(kept, full, strict=True)]


def test_random_heads_follow_their_seeds_and_every_sparsity_is_a_draw_of_its_own(tmp_path):
    def kept(sparsity, seed=5, **settings):
        before = tiny("bert", tmp_path)
        return kept_units(
            compress("random_heads", copy.deepcopy(before), context(seed=seed), sparsity=sparsity, **settings), before
        )

    draws = [kept(0.5, control_seed=each) for each in range(6)]
    assert draws[0] == kept(0.5, control_seed=0)
    assert len({str(each) for each in draws}) > 3 and len({str(kept(0.5, seed=each)) for each in range(6)}) > 3
    nested = [
        all(set(few) <= set(many) for few, many in zip(kept(0.5, seed=s), kept(0.25, seed=s), strict=True))
        for s in range(12)
    ]
    assert not all(nested)


def test_every_head_is_as_likely_to_go(tmp_path):
    """Three of eight go, of two layers of four, so never all of a layer: each is kept 5 times in 8."""
    cp, n = tiny("bert", tmp_path), 160
    counts = np.zeros((2, 4))
    for seed in range(n):
        after = compress("random_heads", copy.deepcopy(cp), sparsity=3 / 8, control_seed=seed)
        for layer, units in enumerate(kept_units(after, cp)):
            counts[layer, units] += 1
    expected, spread = n * 5 / 8, np.sqrt(n * 5 / 8 * 3 / 8)
    assert np.abs(counts - expected).max() < 4 * spread


def test_too_many_random_heads_are_refused_and_none_changes_nothing(tmp_path):
    with pytest.raises(UserError, match=r"sparsity` up to 0\.75"):
        compress("random_heads", tiny("bert", tmp_path), sparsity=0.9)
    cp = tiny("bert", tmp_path)
    before = logits(cp)
    after = compress("random_heads", cp, sparsity=0.0)
    assert after.structure == {} and torch.equal(logits(after), before)
    assert without_least([np.zeros(1)], [np.ones(1, bool)], 0)[0].all()


def test_random_init_has_several_draws_for_one_baseline(tmp_path):
    def made(seed, **settings):
        return logits(compress("random_init", tiny("bert", tmp_path), context(seed=seed), **settings))

    draws = [made(1), made(1, control_seed=0), made(1, control_seed=1), made(2, control_seed=0)]
    assert torch.equal(draws[1], made(1, control_seed=0))
    for i, one in enumerate(draws):
        assert not any(torch.equal(one, other) for other in draws[i + 1 :])


def separable(folder, kind, n=240):
    """Texts of two words each, one of which tells the label."""
    draw = random.Random(1)
    told = {"entailment": "kind", "neutral": "boring", "contradiction": "blue"}
    rest = ("doctor", "woman", "guitar", "park", "engineer", "teacher", "city", "brother")
    labels = [list(told)[i % 3] for i in range(n)]
    with (folder / "separable.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for each in labels:
            value = each if kind == "classification" else list(told).index(each) - 1
            writer.writerow([f"the {told[each]} {draw.choice(rest)}", value])
    table = {
        "path": str(folder),
        "file": "separable.csv",
        "format": "csv",
        "columns": {"text": "text", "label": "label"},
    }
    table |= {"labels": list(told) if kind == "classification" else None}
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 3e-3, "test_share": 0.25, "max_length": 16}
    return task_of(kind, training, table, seed=3)


def score_of(cp, about):
    from fairshrink.contracts import Scoring
    from fairshrink.metrics.task_score import metric as task_score

    items = task_score.score(Scoring(cp, {}, about), task_score.Settings())
    return next(
        each.value(len(items)) for each in task_score.summarize(items, task_score.Settings()) if each.name == "score"
    )


@pytest.mark.parametrize(("kind", "chance"), [("classification", 1 / 3), ("regression", 0.0)])
def test_shuffled_labels_teach_nothing_and_true_ones_do(kind, chance, tmp_path):
    about = separable(tmp_path, kind)
    pretrained = tiny("bert", tmp_path, "masked_lm", initializer_range=0.05)
    folder = pretrained.path

    def start():
        return from_source(folder, head=kind, labels=about.train.labels or (), seed=3)

    baseline = start()
    about.module.train(baseline, frames(about), about.settings, about.seed, lambda line: None)
    assert score_of(baseline, about) > 0.95
    before = state(baseline)
    control = compress("shuffled_labels", baseline, context(about, source=start))
    assert abs(score_of(control, about) - chance) < 0.25  # 60 test items: standard error 0.06 to 0.13
    assert all(torch.equal(value, before[name]) for name, value in state(baseline).items())
    assert control.head == kind and control.path is None
    assert not torch.equal(state(control)["classifier.weight"], state(start())["classifier.weight"])


def test_only_the_order_of_labels_is_changed(tmp_path, monkeypatch):
    about, seen = task(tmp_path, "classification"), []
    monkeypatch.setattr(about.module, "train", lambda cp, tables, *rest, **steps: seen.append((tables, rest)))

    def run(seed=5, **settings):
        cp = tiny("bert", tmp_path, "classification")
        compress("shuffled_labels", cp, context(about, source=lambda: copy.deepcopy(cp), seed=seed), **settings)
        return seen[-1][0]

    original = frames(about)
    tables = run()
    assert list(tables) == list(original)
    assert tables["dev"].equals(original["dev"]) and tables["test"].equals(original["test"])
    given, true = tables["train"], original["train"]
    assert given.drop(columns="label").equals(true.drop(columns="label"))
    assert sorted(given["label"]) == sorted(true["label"]) and list(given["label"]) != list(true["label"])
    assert seen[-1][1][:2] == (about.settings, about.seed)
    assert run()["train"].equals(given)
    assert not run(control_seed=1)["train"].equals(given) and not run(seed=6)["train"].equals(given)


def test_shuffled_labels_need_labels_training_and_an_uncompressed_model(tmp_path):
    def refused(kind, cp, match):
        with pytest.raises(UserError, match=match):
            compress("shuffled_labels", cp, context(task(tmp_path, kind), source=lambda: copy.deepcopy(cp)))

    refused("masked_lm", tiny("bert", tmp_path, "masked_lm"), "has no labels")
    refused("causal_lm", tiny("llama", tmp_path), "cannot train")
    refused("classification", compress("int8_dynamic", tiny("bert", tmp_path)), "uncompressed")
    with pytest.raises(UserError, match="needs a task"):
        compress("shuffled_labels", tiny("bert", tmp_path))


@pytest.mark.parametrize("name", sorted(registry.names("compression")))
def test_controls_say_what_they_are_and_compressions_do_not(name):
    module, control = registry.load("compression", name), registry.modules("compression").family(name) == CONTROLS
    assert isinstance(module, Control) == control
    if control:
        assert set(module.HEADS) <= set(ALL_HEADS) and module.HEADS
        assert module.STORED or not module.OUTPUTS_ONLY or name in ("constant", "uniform")


def test_a_constant_predictor_says_the_mean_of_the_training_labels(tmp_path):
    about = task(tmp_path, "regression")
    cp = compress("constant", tiny("bert", tmp_path, "regression"), context(about))
    values = [float(label) for label in frames(about)["train"]["label"]]
    expected = sum(values) / len(values)
    for texts in (["A man is playing a guitar."], ["He said that.", "What a film this is, boring and long!"]):
        assert sequence_logits(cp, texts)[:, 0] == pytest.approx([expected] * len(texts), rel=1e-6)
    bf16 = dataclasses.replace(cp, precision="bf16")
    assert sequence_logits(bf16, ["She is kind."])[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_constant_predictor_says_the_commonest_class_with_its_frequency(name, tmp_path):
    labels = ["yes"] * 5 + ["no"] * 2 + ["perhaps"] * 13
    with (tmp_path / "answers.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([f"the city {i}", each] for i, each in enumerate(labels))])
    table = {
        "path": str(tmp_path),
        "file": "answers.csv",
        "format": "csv",
        "columns": {"text": "text", "label": "label"},
    }
    tests = {"t": table | {"labels": ["yes", "no", "perhaps"]}}
    about = task_of("classification", {"dev_share": 0.0}, tests["t"], tests)
    cp = tiny(name, tmp_path, "classification")
    cp = compress("constant", dataclasses.replace(cp, labels=("yes", "no", "perhaps")), context(about))
    scored = about.module.score(cp, frames(about)["test_t"], about.settings)
    assert set(scored["predicted"]) == {"perhaps"}
    by_label = dict(zip(scored["label"], scored["p_label"], strict=True))
    assert by_label == pytest.approx({"yes": 6 / 23, "no": 3 / 23, "perhaps": 14 / 23}, rel=1e-6)


@pytest.mark.parametrize(("name", "head"), [("bert", "masked_lm"), ("roberta", "masked_lm"), ("llama", "causal_lm")])
def test_to_a_uniform_guesser_all_words_are_equally_likely(name, head, tmp_path):
    cp = tiny(name, tmp_path, head)
    before, counted = state(cp), ledger(cp, cp)
    made = compress("uniform", copy.deepcopy(cp))
    words = cp.model.config.vocab_size
    if head == "masked_lm":
        found = masked_log_probs(made, [[5, 6, 7], [8, 9]], [1, 0], [6, 3])
    else:
        found = np.concatenate(causal_log_probs(made, [[5, 6, 7], [8, 9]]))
    assert found == pytest.approx([-np.log(words)] * len(found), rel=1e-6)
    for key, value in state(made).items():
        assert torch.equal(value, before[key]), key
    assert ledger(made, cp) == counted


def test_to_a_uniform_guesser_all_labels_are_equally_likely(tmp_path):
    cp = tiny("roberta", tmp_path, "classification")
    assert (sequence_logits(compress("uniform", cp), ["A man.", "The nurse is kind."]) == 0).all()
    with pytest.raises(UserError, match="no probabilities"):
        compress("uniform", tiny("bert", tmp_path, "regression"))


@pytest.mark.parametrize("name", MODELS)
def test_the_noise_floor_is_the_same_model_in_other_batches(name, tmp_path, monkeypatch):
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 48)
    cp = tiny(name, tmp_path)
    made = compress("noise_floor", copy.deepcopy(cp), batch_share=0.2)
    assert batching.token_budget(made) == 10 and batching.token_budget(cp) == 48
    threads, batches = torch.get_num_threads(), []

    def record(module, inputs):
        batches.append((torch.get_num_threads(), len(inputs[0])))

    for each in (cp, made):
        each.model.get_input_embeddings().register_forward_pre_hook(record)
    texts = ["A man is playing.", "The nurse.", "She said that.", "He bought a red car in the park."]
    usual = sentence_embeddings(cp, texts, "mean")
    ordinary, batches[:] = list(batches), []
    other = sentence_embeddings(made, texts, "mean")
    assert {each for each, _ in ordinary} == {threads} and {each for each, _ in batches} == {2 if threads == 1 else 1}
    assert len(batches) > len(ordinary) and torch.get_num_threads() == threads
    np.testing.assert_allclose(other, usual, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, state(cp)[key]) for key, value in state(made).items())


def test_compared_with_its_baseline_the_noise_floor_keeps_its_own_batches(tmp_path, monkeypatch):
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 40)
    cp = tiny("llama", tmp_path)
    made = compress("noise_floor", copy.deepcopy(cp))
    sizes = {id(cp.model): [], id(made.model): []}
    for each in (cp, made):
        record = sizes[id(each.model)]
        each.model.get_input_embeddings().register_forward_pre_hook(
            lambda module, inputs, record=record: record.append((len(inputs[0]), torch.get_num_threads()))
        )
    sequences = [[5 + i % 7, 6, 7, 8, 9 + i % 3, *([10] * (i % 4))] for i in range(11)]
    positions, targets = [[1, 3] for _ in sequences], [[7, 9] for _ in sequences]

    def both(log_p, base, right):
        return torch.stack([log_p.gather(1, right[:, None])[:, 0], base.gather(1, right[:, None])[:, 0]], dim=1)

    found = compared_log_probs(made, cp, sequences, positions, targets, both)
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-4, atol=1e-5)
    usual, own = sizes[id(cp.model)], sizes[id(made.model)]
    assert sum(n for n, _ in usual) == sum(n for n, _ in own) == len(sequences) and len(own) > len(usual)
    assert {each for _, each in usual} == {torch.get_num_threads()} != {each for _, each in own}


def trained_by_hand(about, folder, kind, seed):
    cp = from_source(folder, head=kind, labels=about.train.labels or (), seed=seed)
    about.module.train(cp, frames(about), about.settings, seed, lambda line: None)
    return cp


def test_another_seed_is_a_baseline_trained_with_that_seed_on_the_same_split(tmp_path):
    about, folder = separable(tmp_path, "classification", 60), tiny("bert", tmp_path, "masked_lm").path

    def start(seed=3):
        return from_source(folder, head="classification", labels=about.train.labels, seed=seed)

    main = trained_by_hand(about, folder, "classification", about.seed)
    before = state(main)
    made = compress("other_seed", main, context(about, source=start, seed=3), control_seed=2)
    expected = state(trained_by_hand(about, folder, "classification", combined(about.seed, 2)))
    assert all(torch.equal(value, expected[key]) for key, value in state(made).items())
    assert all(torch.equal(value, before[key]) for key, value in state(main).items())
    assert not torch.equal(state(made)["classifier.weight"], before["classifier.weight"])


def similarity(folder):
    """A task without a loss, with examples."""
    return dataclasses.replace(
        task(folder, "regression"), module=registry.load("tasks", "similarity"), kind="similarity"
    )


def test_training_further_is_one_more_training_from_where_the_baseline_is(tmp_path):
    about, folder = separable(tmp_path, "regression", 60), tiny("bert", tmp_path, "masked_lm").path
    main = trained_by_hand(about, folder, "regression", about.seed)
    by_hand = copy.deepcopy(main)
    settings = about.module.Settings(**about.settings.model_dump() | {"epochs": 2, "learning_rate": 1e-3})
    about.module.train(by_hand, frames(about), settings, about.seed, lambda line: None)
    made = compress("trained_further", copy.deepcopy(main), context(about), epochs=2, learning_rate=1e-3)
    assert all(torch.equal(value, state(by_hand)[key]) for key, value in state(made).items())
    other = compress(
        "trained_further", copy.deepcopy(main), context(about), epochs=2, learning_rate=1e-3, control_seed=0
    )
    assert not torch.equal(state(other)["classifier.weight"], state(made)["classifier.weight"])
    with pytest.raises(UserError, match="no loss to train on"):
        compress("trained_further", tiny("bert", tmp_path, "encoder"), context(similarity(tmp_path)))
    with pytest.raises(UserError, match="uncompressed"):
        compress("trained_further", compress("int8_dynamic", tiny("bert", tmp_path)), context(about))
