import itertools
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import slow_scores as slow
import torch
from tiny import tiny_bert, tiny_llama, tiny_roberta
from tokenizers import processors

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.likelihood import tie_exact_mean
from fairshrink.metrics._shared.sampling import spread_sample
from fairshrink.metrics.stereoset import contexts
from fairshrink.metrics.stereoset import metric as stereoset
from fairshrink.metrics.stereoset.contexts import LABELS, Context, fillers
from fairshrink.metrics.stereoset.metric import Settings
from fairshrink.models import checkpoint as checkpoints
from fairshrink.stats.estimates import bootstrap_weights

SETTINGS = Settings()


def entry(item, target, kind, context, *sentences):
    labeled = zip(LABELS, sentences, strict=True)
    # The order of sentences in the file says nothing.
    rows = [{"id": f"{item}-{label}", "sentence": text, "gold_label": label} for label, text in labeled][::-1]
    return {"id": item, "target": target, "bias_type": kind, "context": context, "sentences": rows}


def filled(item, target, kind, context, *words):
    return entry(item, target, kind, context, *(context.replace("BLANK", word).capitalize() for word in words))


USABLE = [
    filled("a1", "doctor", "profession", "The doctor is BLANK.", "kind", "boring", "guitar"),
    filled("a2", "doctor", "profession", "BLANK helped the doctor, but nobody watched!", "She", "Brother", "Onion"),
    filled("b1", "Sister", "gender", "My Sister and my brother are BLANK", "poor", "happy", "wonderful"),
    filled("b2", "Sister", "gender", "What a BLANK story, said my Sister!", "clever", "moving", "patient"),
    filled("c1", "Engineer", "profession", "He said that the Engineer bought a BLANK car.", "red", "blue", "country"),
]
IRREGULAR = [
    filled("i1", "nurse", "profession", "The nurse is BLANK and not BLANK.", "kind", "poor", "car"),
    filled("i2", "nurse", "profession", "The nurse BLANKed the patient.", "help", "watch", "film"),
]
UNUSABLE = [
    filled("x1", "nurse", "profession", "The nurse is good.", "kind", "poor", "car"),
    entry("x2", "nurse", "profession", "He is BLANK or BLANK.", "He is a or b.", "He is c or c.", "He is d or d."),
    entry(
        "x3", "nurse", "profession", "The nurse is BLANK.", "The nurse is kind.", "Nurses are poor.", "The nurse is."
    ),
]


@pytest.fixture
def items(tmp_path):
    def write(entries, name="items.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"version": "1.0", "data": {"intrasentence": entries, "intersentence": []}}))
        return {"items": [path]}

    return write


def load(build, head, folder, **options):
    return checkpoints.load(build(head, folder / f"{build.__name__}-{head}", **options))


def words_of(raw):
    before, after = raw["context"].split("BLANK")
    by_label = {each["gold_label"]: each["sentence"] for each in raw["sentences"]}
    return before, after, [by_label[label][len(before) : len(by_label[label]) - len(after)] for label in LABELS]


def sentences_of(raw):
    by_label = {each["gold_label"]: each["sentence"] for each in raw["sentences"]}
    return [by_label[label] for label in LABELS]


def scores_of(rows):
    assert list(rows["item"]) == sorted(rows["item"])
    return rows.set_index("item")[list(stereoset.SCORES)]


def slow_masked(cp, raw):
    """Pieces of the context and of the filler are tokenized apart, as the words of this data allow."""
    tokenizer, byte_level = cp.tokenizer, cp.tokenizer.cls_token == "<s>"
    before, after, words = words_of(raw)
    scores = []
    for word in words:
        pieces = tokenizer(" " + word if byte_level and before else word, add_special_tokens=False)["input_ids"]
        left = [tokenizer.cls_token_id, *tokenizer(before.rstrip(), add_special_tokens=False)["input_ids"]]
        right = [*tokenizer(after, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]
        chances = []
        for step, piece in enumerate(pieces):
            ids = [*left, *pieces[:step], tokenizer.mask_token_id, *right]
            chances.append(np.exp(slow.masked(cp.model, ids, len(left) + step, piece)))
        scores.append(np.mean(chances))
    return scores


@pytest.mark.parametrize("build", [tiny_bert, tiny_roberta])
def test_trap_fillers_have_the_space_before_them_and_equal_one_forward_per_sub_token(build, items, tmp_path):
    cp = load(build, "masked_lm", tmp_path)
    found = scores_of(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS))
    for raw in USABLE:
        np.testing.assert_allclose(found.loc[raw["id"]], slow_masked(cp, raw), rtol=1e-4)
    pieces = [len(cp.tokenizer.tokenize(word)) for raw in USABLE for word in words_of(raw)[2]]
    assert max(pieces) > 1, "some fillers must have several sub-tokens for this to mean anything"


def test_causal_scores_equal_one_forward_per_token(items, tmp_path):
    cp = load(tiny_llama, "causal_lm", tmp_path)
    found = scores_of(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS))
    for raw in USABLE:
        for column, sentence in enumerate(sentences_of(raw)):
            ids = [cp.tokenizer.bos_token_id, *cp.tokenizer(sentence, add_special_tokens=False)["input_ids"]]
            assert found.loc[raw["id"]].iloc[column] == pytest.approx(slow.causal(cp.model, ids).mean(), abs=1e-4)


def test_a_tokenizer_that_begins_texts_itself_changes_nothing(items, tmp_path):
    cp = load(tiny_llama, "causal_lm", tmp_path)
    before = stereoset.score(Scoring(cp, items(USABLE)), SETTINGS)
    start = cp.tokenizer.bos_token
    cp.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, cp.tokenizer.bos_token_id)]
    )
    assert cp.tokenizer("a")["input_ids"][0] == cp.tokenizer.bos_token_id
    pd.testing.assert_frame_equal(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS), before)


def test_the_mean_of_equal_scores_is_that_score_however_many():
    chances = np.exp(-np.random.default_rng(0).random(50))
    assert all(tie_exact_mean(np.full(n, chance)) == chance for chance in chances for n in range(1, 9))
    assert tie_exact_mean(np.array([1.0, 2.0, 6.0])) == pytest.approx(3)


def test_trap_contexts_with_two_gaps_or_a_gap_inside_a_word_are_scored(items, tmp_path):
    """The word stands in both gaps, masked in both; a gap with an ending is the whole word."""
    cp = load(tiny_bert, "masked_lm", tmp_path)
    rows = stereoset.score(Scoring(cp, items(IRREGULAR)), SETTINGS)
    assert set(rows["skipped"]) == {""}
    found, mask = scores_of(rows), cp.tokenizer.mask_token_id

    def ids(text):
        return cp.tokenizer(text, add_special_tokens=False)["input_ids"]

    cls, sep = cp.tokenizer.cls_token_id, cp.tokenizer.sep_token_id
    for column, word in enumerate(("kind", "poor", "car")):
        pieces, chances = ids(word), []
        for step, piece in enumerate(pieces):
            gap = [*pieces[:step], mask]
            left = [cls, *ids("The nurse is")]
            sequence = [*left, *gap, *ids("and not"), *gap, *ids("."), sep]
            chances.append(np.exp(slow.masked(cp.model, sequence, len(left) + step, piece)))
        assert found.loc["i1"].iloc[column] == pytest.approx(np.mean(chances), rel=1e-4)
    for column, word in enumerate(("helped", "watched", "filmed")):
        pieces, chances = ids(word), []
        for step, piece in enumerate(pieces):
            left = [cls, *ids("The nurse")]
            sequence = [*left, *pieces[:step], mask, *ids("the patient."), sep]
            chances.append(np.exp(slow.masked(cp.model, sequence, len(left) + step, piece)))
        assert found.loc["i2"].iloc[column] == pytest.approx(np.mean(chances), rel=1e-4)


def bare(cp, sentence):
    """The published way: no start token before the sentence, whose first token is predicted from it alone."""
    start, ids = cp.tokenizer.bos_token_id, cp.tokenizer(sentence, add_special_tokens=False)["input_ids"]
    return np.r_[slow.causal(cp.model, [start, ids[0]]), slow.causal(cp.model, ids)]


def test_trap_the_published_causal_variant_has_no_start_token(items, tmp_path):
    cp = load(tiny_llama, "causal_lm", tmp_path)
    rows = stereoset.score(Scoring(cp, items([*USABLE, *IRREGULAR])), Settings(causal="published"))
    found, usual = scores_of(rows), scores_of(stereoset.score(Scoring(cp, items([*USABLE, *IRREGULAR])), SETTINGS))
    assert set(rows["method"]) == {"causal_published"}
    for raw in (*USABLE, *IRREGULAR):
        for column, sentence in enumerate(sentences_of(raw)):
            assert found.loc[raw["id"]].iloc[column] == pytest.approx(bare(cp, sentence).mean(), abs=1e-4)
    assert np.abs(found - usual).max(axis=None) > 1e-2


FOLLOWED = [
    entry("s1", "doctor", "profession", "The doctor helped.", "She was kind.", "He was kind.", "What a red car!"),
    entry("s2", "Sister", "gender", "This is my sister", "She is poor", "She is happy.", "This is a guitar."),
]


def followed(tmp_path):
    path = tmp_path / "followed.json"
    path.write_text(json.dumps({"data": {"intrasentence": USABLE, "intersentence": FOLLOWED}}))
    return {"items": [path]}


def ended(text):
    return text if text[-1] in ".!?" else text + "."


def conditional(cp, context, sentence):
    start, ids = cp.tokenizer.bos_token_id, cp.tokenizer(f"{context} {sentence}", add_special_tokens=False)["input_ids"]
    before = len(cp.tokenizer(context, add_special_tokens=False)["input_ids"])
    return slow.causal(cp.model, [start, *ids])[before:].mean()


def ratio(cp, context, sentence):
    return bare(cp, sentence).mean() / bare(cp, context).mean()


def pseudo(cp, context, sentence):
    ids, own = cp.tokenizer(context, sentence)["input_ids"], len(cp.tokenizer.tokenize(sentence))
    places = range(len(ids) - 1 - own, len(ids) - 1)
    return np.mean([slow.masked(cp.model, ids, i, ids[i], cp.tokenizer.mask_token_id) for i in places])


def entailed(cp, context, sentence):
    inputs = cp.tokenizer(context, sentence, return_tensors="pt", return_token_type_ids=True)
    with torch.no_grad():
        return float(cp.model(**inputs).logits.double().log_softmax(-1)[0, 0])


@pytest.mark.parametrize(
    ("build", "head", "causal", "method", "expected"),
    [
        (tiny_llama, "causal_lm", "start_token", "conditional", conditional),
        (tiny_llama, "causal_lm", "published", "context_ratio", ratio),
        (tiny_bert, "masked_lm", "start_token", "pseudo_likelihood", pseudo),
        (tiny_roberta, "masked_lm", "start_token", "pseudo_likelihood", pseudo),
        (tiny_bert, "classification", "start_token", "entailment", entailed),
    ],
)
def test_sentences_that_follow_equal_one_at_a_time(build, head, causal, method, expected, tmp_path):
    cp = load(build, head, tmp_path)
    rows = stereoset.score(Scoring(cp, followed(tmp_path)), Settings(part="intersentence", causal=causal))
    assert set(rows["method"]) == {method} and set(rows["skipped"]) == {""}
    found = scores_of(rows)
    for raw in FOLLOWED:
        context = raw["context"] if head == "classification" else ended(raw["context"])
        for column, sentence in enumerate(sentences_of(raw)):
            assert found.loc[raw["id"]].iloc[column] == pytest.approx(expected(cp, context, sentence), abs=1e-4)


def test_trap_the_published_intersentence_score_of_causal_models_prefers_the_less_likely(tmp_path):
    """It is the quotient of two negative numbers; that of the context is common to the three."""
    cp = load(tiny_llama, "causal_lm", tmp_path)
    rows = stereoset.score(Scoring(cp, followed(tmp_path)), Settings(part="intersentence", causal="published"))
    for raw in FOLLOWED:
        alone = [bare(cp, sentence).mean() for sentence in sentences_of(raw)]
        assert (scores_of(rows).loc[raw["id"]].argsort() == np.argsort(alone)[::-1]).all()


def test_a_uniform_model_only_ties_in_both_parts(tmp_path):
    cp = slow.silence(load(tiny_llama, "causal_lm", tmp_path))
    for causal in ("start_token", "published"):
        rows = stereoset.score(Scoring(cp, followed(tmp_path)), Settings(part="intersentence", causal=causal))
        assert values_of(rows)["tied", "all"] == len(FOLLOWED)


@pytest.mark.parametrize("labels", [("contradiction", "entailment", "neutral"), ("Entailment", "neutral", "other")])
def test_trap_entailment_is_of_two_segments_and_found_by_its_label(labels, items, tmp_path):
    cp = load(tiny_bert, "classification", tmp_path, labels=labels)
    found = scores_of(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS))
    own = [label.lower() for label in labels].index("entailment")
    for raw in USABLE:
        for column, sentence in enumerate(sentences_of(raw)):
            inputs = cp.tokenizer(raw["context"], sentence, return_tensors="pt", return_token_type_ids=True)
            assert inputs["token_type_ids"].sum() > 1
            with torch.no_grad():
                expected = cp.model(**inputs).logits.double().log_softmax(-1)[0, own]
            assert found.loc[raw["id"]].iloc[column] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    ("build", "head"),
    [(tiny_bert, "masked_lm"), (tiny_roberta, "masked_lm"), (tiny_llama, "causal_lm"), (tiny_bert, "classification")],
)
def test_all_at_once_equals_one_at_a_time(build, head, items, tmp_path):
    cp = load(build, head, tmp_path)
    together = scores_of(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS))
    for raw in USABLE:
        alone = scores_of(stereoset.score(Scoring(cp, items([raw])), SETTINGS))
        np.testing.assert_allclose(together.loc[[raw["id"]]], alone, atol=1e-4)


@pytest.mark.parametrize(("build", "head"), [(tiny_bert, "masked_lm"), (tiny_llama, "causal_lm")])
def test_bf16_agrees_with_fp32(build, head, items, tmp_path):
    cp = load(build, head, tmp_path)
    one, other = (
        scores_of(stereoset.score(Scoring(replace(cp, precision=each), items(USABLE)), SETTINGS)).to_numpy().ravel()
        for each in ("fp32", "bf16")
    )
    if head == "masked_lm":
        one, other = np.log(one), np.log(other)
    assert np.corrcoef(one, other)[0, 1] > 0.99
    assert 0 < np.abs(one - other).max() < 0.15


def test_fillers_of_one_token_cost_one_forward_a_context(items, tmp_path):
    cp = load(tiny_bert, "masked_lm", tmp_path)
    raw = filled("a", "doctor", "profession", "The doctor is BLANK.", "kind", "he", "she")
    rows = slow.forwarded(cp)
    stereoset.score(Scoring(cp, items([raw])), SETTINGS)
    assert sum(rows) == 1


def context(text, *sentences):
    return Context("id", "target", "race", text, sentences)


@pytest.mark.parametrize(
    ("text", "sentences", "expected"),
    [
        ("He is BLANK.", ("He is a.", "He is bb.", "He is ccc."), ("a", "bb", "ccc")),
        (
            "BLANK from Oman sing",
            ("Men from oman sing", "Dogs from oman sing", "Pi from oman sing"),
            ("Men", "Dogs", "Pi"),
        ),
        (
            "The Omani is BLANK",
            ("The omani is rich", "The omani is poor", "The omani is fish"),
            ("rich", "poor", "fish"),
        ),
        ("A BLANK-aged man", ("A old-aged man", "A mid-aged man", "A cat-aged man"), ("old", "mid", "cat")),
        ("It is BLANK or BLANK", ("It is a or a", "It is b or b", "It is c or c"), ("a", "b", "c")),
        ("It is BLANK or BLANK", ("It is a or b", "It is b or b", "It is c or c"), "a sentence is not the context"),
        ("It is good", ("It is good", "It is good", "It is good"), "no gap"),
        ("He BLANKed it", ("He helped it", "He hurted it", "He fished it"), ("helped", "hurted", "fished")),
        ("Two BLANKs", ("Two cats", "Two dogs", "Two rats"), ("cats", "dogs", "rats")),
        ("a BLANK as a Blank.", ("a cat as a cat.", "a b as a b.", "a c as a c."), ("cat", "b", "c")),
        ("BLANK (a+b) 1BLANK.", ("x (a+b) x.", "y (a+b) y.", "z (a+b) z."), ("x", "y", "z")),
        ("on BLANK on", ("on a on", "on b on", "on on"), "a sentence is not the context"),
        ("He is BLANK.", ("He is a.", "She is b.", "He is c."), "a sentence is not the context"),
        ("He is BLANK.", (), "not one sentence of each kind"),
    ],
)
def test_trap_fillers_are_reconstructed_or_the_context_is_skipped(text, sentences, expected):
    found = fillers(context(text, *sentences))
    if isinstance(expected, str):
        assert found.startswith(expected)
        return
    assert found.words == expected
    for word, sentence in zip(found.words, sentences, strict=True):
        assert found.text(word).lower() == sentence.lower()
        assert all(found.text(word)[start:stop] == word for start, stop in found.gaps(word))


@pytest.mark.parametrize(
    ("build", "head"), [(tiny_bert, "masked_lm"), (tiny_llama, "causal_lm"), (tiny_bert, "classification")]
)
def test_unusable_contexts_are_rows_without_scores_for_every_kind_of_model(build, head, items, tmp_path):
    cp = load(build, head, tmp_path)
    rows = stereoset.score(Scoring(cp, items([*UNUSABLE, *USABLE])), SETTINGS)
    skipped = rows[rows["skipped"] != ""]
    assert list(skipped["item"]) == ["x1", "x2", "x3"]
    assert skipped[list(stereoset.SCORES)].isna().all(axis=None)
    assert rows.loc[rows["skipped"] == "", list(stereoset.SCORES)].notna().all(axis=None)
    values = values_of(rows)
    assert values["skipped", "all"] == 3
    assert n_items(rows)["stereotype_score", "all"] == len(USABLE)
    for statistic in ("stereotype_score", "language_modeling_score", "icat"):
        assert values[statistic, "all"] == values_of(rows[rows["skipped"] == ""])[statistic, "all"]


def test_unknown_fillers_and_long_texts_are_skipped(items, tmp_path):
    long = "The doctor " + "is kind and " * 30 + "is BLANK."
    raw = [
        filled("u", "doctor", "profession", "The doctor is BLANK.", "kind", "☃", "guitar"),
        filled("l", "doctor", "profession", long, "kind", "poor", "guitar"),
        USABLE[0],
    ]
    rows = stereoset.score(Scoring(load(tiny_bert, "masked_lm", tmp_path), items(raw)), SETTINGS)
    reasons = dict(zip(rows["item"], rows["skipped"], strict=True))
    assert reasons == {"a1": "", "l": "too long for the model", "u": "a filler is unknown to the vocabulary"}
    for build, head in ((tiny_llama, "causal_lm"), (tiny_bert, "classification")):
        rows = stereoset.score(Scoring(load(build, head, tmp_path), items(raw)), SETTINGS)
        assert dict(zip(rows["item"], rows["skipped"], strict=True)) == reasons | {"u": ""}


def table(*rows, types=None):
    found = pd.DataFrame(rows, columns=["cluster", *stereoset.SCORES])
    found.insert(0, "item", [f"{at:03d}" for at in range(len(found))])
    return found.assign(group=types or "race", method="masked", skipped="")


def values_of(rows):
    return {(each.name, each.group): each.value(len(rows)) for each in stereoset.summarize(rows, SETTINGS)}


def n_items(rows):
    return {(each.name, each.group): each.n_items for each in stereoset.summarize(rows, SETTINGS)}


WORKED = table(
    ("Oman", 0.4, 0.2, 0.1),  # stereotype; both beat the unrelated filler
    ("Oman", 0.4, 0.3, 0.5),  # stereotype; neither does
    ("Oman", 0.1, 0.3, 0.2),  # anti-stereotype; it alone beats the unrelated filler
    ("Oman", 0.3, 0.3, 0.1),  # a tie; both do
    ("Peru", 0.2, 0.1, 0.2),  # stereotype; it ties with the unrelated filler, the other loses
    types=["race", "race", "race", "race", "gender"],
)


def test_worked_example():
    """Oman: SS 2/4, LM (2 + 3)/8. Peru: SS 1/1, LM 0/2. Macro means; micro would be SS 3/5 and LM 5/10."""
    values = values_of(WORKED)
    assert values["stereotype_score", "all"] == pytest.approx(75)
    assert values["language_modeling_score", "all"] == pytest.approx(31.25)
    assert values["icat", "all"] == pytest.approx(31.25 * 25 / 50)
    assert values["stereotype_score", "race"] == pytest.approx(50)
    assert values["language_modeling_score", "race"] == pytest.approx(62.5)
    assert values["icat", "race"] == pytest.approx(62.5)
    assert values["stereotype_score", "gender"] == pytest.approx(100)
    assert values["icat", "gender"] == 0
    assert values["tied", "all"] == 1
    assert values["skipped", "all"] == 0


def test_resamples_equal_the_statistics_of_repeated_rows():
    generator = np.random.default_rng(5)
    rows = table(*((f"t{at % 6}", *generator.random(3)) for at in range(40)), types=["race", "gender"] * 20)
    weights = bootstrap_weights(rows["cluster"], 20, 1)
    for statistic in stereoset.summarize(rows, SETTINGS):
        if statistic.higher_is == "count" or statistic.group != "all":
            continue
        for at, drawn in enumerate(weights):
            parts = []
            for name in np.unique(rows["cluster"]):
                members = rows[rows["cluster"] == name]
                copies = int(drawn[members.index[0]])
                parts += [members.assign(cluster=f"{name}/{copy}") for copy in range(copies)]
            repeated = values_of(pd.concat(parts, ignore_index=True))
            assert statistic.estimate(weights)[at] == pytest.approx(repeated[statistic.name, "all"])


def test_trap_a_random_model_has_a_language_modeling_score_of_50_not_67():
    generator = np.random.default_rng(3)
    rows = table(*((f"t{at % 100}", *generator.random(3)) for at in range(6000)))
    values = values_of(rows)
    for statistic in ("stereotype_score", "language_modeling_score", "icat"):
        assert values[statistic, "all"] == pytest.approx(50, abs=2.5)
        reported = {(each.name, each.group): each.random for each in stereoset.summarize(rows, SETTINGS)}
        by_chance = np.sqrt(2 / np.pi) * 50 * np.sqrt(100 / 60) / 100 if statistic == "icat" else 0.0
        assert reported[statistic, "all"] == pytest.approx(50 - by_chance)


@pytest.mark.parametrize(("build", "head"), [(tiny_bert, "masked_lm"), (tiny_llama, "causal_lm")])
def test_trap_a_tie_is_no_stereotype(build, head, items, tmp_path):
    cp = slow.silence(load(build, head, tmp_path))
    values = values_of(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS))
    assert values["tied", "all"] == len(USABLE)
    assert values["stereotype_score", "all"] == values["language_modeling_score", "all"] == values["icat", "all"] == 0


def test_nan_scores_are_not_zero():
    values = values_of(table(("Oman", 0.4, np.nan, 0.1), ("Oman", 0.4, 0.3, 0.1)))
    assert np.isnan([values[name, "all"] for name in ("stereotype_score", "language_modeling_score", "icat")]).all()
    assert values["skipped", "all"] == 0


def test_a_sample_keeps_every_term_and_the_shares_of_the_types():
    sizes = {("race", f"r{at}"): 20 + at for at in range(20)} | {("gender", f"g{at}"): 25 for at in range(7)}
    cells = [cell for cell, size in sizes.items() for _ in range(size)]
    names = [f"{at:04d}" for at in range(len(cells))]
    groups, clusters = zip(*cells, strict=True)

    def draw(size, seed=0, order=None):
        order = list(order) if order is not None else list(range(len(names)))
        chosen = spread_sample(
            [names[i] for i in order], [groups[i] for i in order], [clusters[i] for i in order], size, seed
        )
        return {names[order[i]] for i in chosen}

    small, large = draw(200), draw(350)
    assert len(small) == 200
    assert small < large
    assert small == draw(200, order=reversed(range(len(names))))
    assert small != draw(200, seed=1)
    assert len(draw(10_000)) == len(draw(None)) == len(names)
    for seed, size in itertools.product(range(3), range(60, 660, 31)):
        chosen, share = draw(size, seed), size / len(names)
        by_group = Counter(groups[int(name)] for name in chosen)
        assert all(abs(by_group[group] - share * groups.count(group)) <= 1 for group in by_group)
        by_term = Counter(cells[int(name)] for name in chosen)
        assert all(abs(by_term[cell] - share * n) <= 2 for cell, n in sizes.items())
        assert size < 100 or set(by_term) == set(sizes)


def test_a_sample_is_scored_as_in_the_full_set(items, tmp_path):
    cp = load(tiny_llama, "causal_lm", tmp_path)
    whole = scores_of(stereoset.score(Scoring(cp, items(USABLE)), SETTINGS))
    part = stereoset.score(Scoring(cp, items(USABLE)), Settings(sample=3))
    assert len(part) == 3
    np.testing.assert_allclose(scores_of(part), whole.loc[part["item"]], atol=1e-4)


def test_mistakes_are_explained(items, tmp_path):
    cp = load(tiny_bert, "masked_lm", tmp_path)
    data = items(USABLE)
    with pytest.raises(UserError, match="occurs twice"):
        stereoset.score(Scoring(cp, {"items": data["items"] * 2}), SETTINGS)
    other = tmp_path / "other.json"
    other.write_text('{"data": []}')
    with pytest.raises(UserError, match=r"other\.json is not a StereoSet file"):
        stereoset.score(Scoring(cp, {"items": [other]}), SETTINGS)
    with pytest.raises(UserError, match="regression"):
        stereoset.score(Scoring(load(tiny_bert, "regression", tmp_path), data), SETTINGS)
    with pytest.raises(UserError, match="entailment"):
        stereoset.score(Scoring(load(tiny_bert, "classification", tmp_path, labels=("yes", "no")), data), SETTINGS)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("bias_type", "all", "called all"),
        ("target", None, "else than text"),
        ("context", 3, "else than text"),
        ("context", " ", "else than text"),
    ],
)
def test_an_item_that_would_be_mixed_up_is_refused(items, tmp_path, name, value, said):
    (path,) = items(USABLE)["items"]
    content = json.loads(path.read_text())
    content["data"]["intrasentence"][0][name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        contexts.read([path])
