"""What the tables state of a random model is what models with random weights score, on average over seeds.

Every metric that states such a value is scored on tiny models of each family that it takes, initialized afresh as the
control `random_init` does, and on the control `uniform`. A statement that is not so may not be made: it is None, and
the control measures it.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
from functools import cache
from typing import NamedTuple

import metric_case
import numpy as np
import pytest
import tiny
import torch

from fairshrink import registry
from fairshrink.contracts import BIAS_KINDS, Context, Scoring
from fairshrink.documenting import cards
from fairshrink.metrics._shared.continuing import UNIFORM_TEXTS
from fairshrink.models import checkpoint as checkpoints

SEEDS = 8
MOST = 5.0
"""Standard errors between a statement and the mean over seeds: with seven degrees of freedom, 1 in 600 by chance."""
WIDTH = 0.07
"""Of initial weights: logits of 32 dimensions then vary as those of 384 do at the usual 0.02."""
PEOPLE = ("doctor", "nurse", "engineer", "patient", "man", "woman", "sister", "brother", "teacher", "people")
SAID = ("poor", "boring", "clever", "happy", "old", "moving", "red", "wonderful", "playing")


class Case(NamedTuple):
    """A metric on a model of a family, and the settings that change what it states."""

    metric: str
    build: str
    head: str
    settings: dict = {}  # noqa: RUF012
    seeds: int = SEEDS

    @property
    def name(self) -> str:
        return "-".join([self.metric, self.build, self.head, *(f"{k}={v}" for k, v in self.settings.items())])


MASKED, CAUSAL = (("tiny_bert", "masked_lm"), ("tiny_roberta", "masked_lm")), (("tiny_llama", "causal_lm"),)
BERT = "tiny_bert"
CASES = [
    *(
        Case(name, *model)
        for name in ("crows_pairs", "winobias", "winogender", "stereoset", "honest")
        for model in (*MASKED, *CAUSAL)
    ),
    *(Case(name, *model) for name in ("aul", "aula", "bec_pro", "disco") for model in MASKED),
    *(Case("matched_guise", *model, {"sample": 32}, 6) for model in (MASKED[0], *CAUSAL)),
    Case("lpbs", *MASKED[0], {}, 3),
    Case("crows_pairs", *CAUSAL[0], {"causal": "per_token"}),
    Case("stereoset", BERT, "classification"),
    Case("perplexity", *CAUSAL[0]),
    *(Case(name, *CAUSAL[0], {"sample": 16}) for name in ("profanity", "toxicity")),
    Case("pseudo_perplexity", *MASKED[0]),
    *(
        Case("bbq", *CAUSAL[0], each)
        for each in ({}, {"option_score": "sum"}, {"answer": "letter", "prompt": "{context} {question} {options}"})
    ),
    Case("bbq", *CAUSAL[0], {"form": "generative", "tokens": 6}, 3),
    *(Case(name, BERT, "classification") for name in ("bbq", "bias_nli", "bias_in_bios", "subgroup_auc", "task_score")),
    Case("task_score", BERT, "regression"),
    *(Case("bias_sts", BERT, head, {"sample": 40}) for head in ("regression", "encoder")),
]
DRAWN = {"profanity", "toxicity"}
"""Their values, between 0 and 1, are of texts that are drawn, for each seed of a model with a seed of its own."""
WITHOUT = {"weat", "seat", "sentiment_gap", "fidelity"}
"""Their values have the scale of the model: they state nothing, and the control measures it."""


def pairs(folder):
    draw, rows = random.Random(4), []
    for number in range(24):
        one, other = draw.sample(PEOPLE, 2)
        about, place = draw.sample(SAID, 2), draw.choice(("is", "was", "bought a car and is"))
        texts = (f"The {each} {place} {' and '.join(about)}." for each in (one, other))
        rows.append((*texts, ("stereo", "antistereo")[number % 4 == 0], ("gender", "age")[number % 2]))
    path = folder / "pairs.csv"
    path.write_text("sent_more,sent_less,stereo_antistereo,bias_type\n" + "\n".join(map(",".join, rows)) + "\n")
    return path


def contexts(folder):
    draw, entries = random.Random(5), []
    for number, term in enumerate(PEOPLE[:8]):
        for turn, text in enumerate(("The {} is BLANK.", "My {} said that it is BLANK here.", "A BLANK {} watched.")):
            words = draw.sample(SAID, 3)
            context = text.format(term)
            entries.append(
                {"id": f"{term}{turn}", "target": term, "bias_type": ("gender", "profession")[number % 2]}
                | {"context": context, "sentences": [
                    {"id": f"{term}{turn}{label}", "sentence": context.replace("BLANK", word), "gold_label": label}
                    for label, word in zip(("stereotype", "anti-stereotype", "unrelated"), words, strict=True)]}
            )  # fmt: skip
    path = folder / "contexts.json"
    path.write_text(json.dumps({"data": {"intrasentence": entries}}))
    return path


def data_of(name, folder):
    if name in ("crows_pairs", "aul", "aula"):
        return {"items": [pairs(folder)]}
    if name == "stereoset":
        return {"items": [contexts(folder)]}
    found = metric_case._data(name, folder)
    if name == "disco":
        (folder / "persons.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip("bcdfgh", "jklmnp", strict=True)))
        (folder / "templates.txt").write_text("PERSON is BLANK.\nPERSON bought a BLANK car.\nPERSON was BLANK.\n")
        found |= {"persons": [folder / "persons.tsv"], "templates": [folder / "templates.txt"]}
    return found


class Scored(NamedTuple):
    """Of each statistic the value and the statement, by (name, group); of each seed, and of the uniform control."""

    seeds: list[dict]
    uniform: dict | None
    higher_is: dict


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    @cache
    def of(at: int) -> Scored:
        case = CASES[at]
        folder = tmp_path_factory.mktemp(case.metric)
        module = registry.load("metrics", case.metric)
        chosen = {**metric_case.SETTINGS.get(case.metric, {}), **case.settings}
        base = checkpoints.load(getattr(tiny, case.build)(case.head, folder / "m", initializer_range=WIDTH))
        data = data_of(case.metric, folder)
        task = metric_case.described(folder, case.head) if case.metric in ("task_score", "bias_nli") else None
        directions: dict = {}

        def values(control: str, seed: int) -> dict:
            method = registry.load("compression", control)
            context = Context(seed, None, lambda *_: base, lambda line: None)
            made = method.compress(copy.deepcopy(base), method.Settings(), context)
            settings = module.Settings(**chosen, **({"seed": seed} if case.metric in DRAWN else {}))
            rows = module.score(Scoring(made, data, task), settings)
            found = module.summarize(rows, settings)
            directions.update({(each.name, each.group): each.higher_is for each in found})
            return {(each.name, each.group): (each.value(len(rows)), each.random, each.n_items) for each in found}

        seeds = [values("random_init", seed) for seed in range(case.seeds)]
        heads = registry.load("compression", "uniform").HEADS
        return Scored(seeds, values("uniform", 0) if case.head in heads else None, directions)

    return of


def apart(found: list[float], stated: list[float], least: float = 0.0) -> float:
    """Standard errors between the mean of what was found and what is stated, 0 where they are equal.

    ``least``: an error that chance has at least; over few seeds a rare event may have none.
    """
    differences = np.array(found) - np.array(stated)
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return float("nan")
    mean, error = differences.mean(), max(differences.std(ddof=1) / np.sqrt(len(differences)), least)
    return 0.0 if abs(mean) < 1e-6 else float(mean / error) if error > 1e-9 else float(np.sign(mean) * np.inf)


def statements(seeds):
    return [key for key in seeds[0] if all(each.get(key, (0, None))[1] is not None for each in seeds)]


def every(metric_kinds):
    return [
        pytest.param(at, id=case.name)
        for at, case in enumerate(CASES)
        if registry.load("metrics", case.metric).KIND in metric_kinds
    ]


def test_every_metric_is_here():
    assert {case.metric for case in CASES} | WITHOUT == set(registry.names("metrics"))
    assert not {case.metric for case in CASES} & WITHOUT


@pytest.mark.parametrize("at", every(BIAS_KINDS))
def test_the_stated_value_is_the_mean_of_models_with_random_weights(at, scored):
    seeds, wrong = scored(at).seeds, {}
    for key in statements(seeds):
        stated, least = [each[key][1] for each in seeds], 0.0
        if CASES[at].metric in DRAWN:
            name = key[0] if key[0] != "gap" else CASES[at].metric
            n = sum(each[name, key[1]][2] for each in seeds)
            p = np.mean([each[name, key[1]][1] for each in seeds])
            least = np.sqrt(p * (1 - p) * (1 / UNIFORM_TEXTS + 1 / max(n, 1)))  # what is stated is of texts drawn too
        away = apart([each[key][0] for each in seeds], stated, least)
        if abs(away) > MOST:
            wrong[key] = (away, np.mean([each[key][0] for each in seeds]), seeds[0][key][1])
    assert not wrong, wrong


@pytest.mark.parametrize("at", every(("task", "damage")))
def test_no_random_model_is_better_than_the_reference_of_a_skill(at, scored):
    found = scored(at)
    for key in statements(found.seeds):
        sign = {"better": 1, "worse": -1}[found.higher_is[key]]
        away = apart([sign * each[key][0] for each in found.seeds], [sign * each[key][1] for each in found.seeds])
        assert np.isnan(away) or away < MOST, (key, away)


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_what_has_the_scale_of_the_model_states_nothing(name, tmp_path):
    rows = metric_case.scored(name, tmp_path)
    found = registry.load("metrics", name).summarize(rows, metric_case.settings(name))
    assert all(each.random is None for each in found)


UNIFORM = {
    "crows_pairs": {"stereotype_share": 0.0, "differing_stereotype_share": 0.0},
    "aul": {"stereotype_share": 0.0},
    "stereoset": {"stereotype_score": 0.0, "language_modeling_score": 0.0, "icat": 0.0},
    "lpbs": {"stereotype_difference": 0.0, "mean_score": 0.0, "mean_absolute": 0.0},
    "bec_pro": {"stereotype_difference": 0.0, "gap": 0.0, "male_association": 0.0},
    "matched_guise": {"negative_difference": 0.0, "mean_association": 0.0, "against_share": 0.0},
    "bbq": {"s_amb": 0.0, "accuracy_ambiguous": 1 / 3, "accuracy_disambiguated": 1 / 3, "alignment_gap": 0.0},
    "bias_nli": {"net_neutral": 1 / 3, "fraction_neutral": 1 / 3, "threshold_0.5": 0.0, "net_neutral_gap": 0.0},
    "bias_in_bios": {"stereotype_gap": 0.0, "tpr_gap": 0.0, "rms_gap": 0.0, "accuracy": 0.0},
    "subgroup_auc": {"mean_shift": 0.0, "shift": 0.0, "auc": 0.5, "subgroup_auc": 0.5, "final_score": 0.5},
    "disco": {"associated_share": 0.0, "associated_fills": 0.0},
}
"""What the cards say of a uniform scorer, which ties in every item."""
BY_LENGTH = {"bbq-tiny_llama-causal_lm-option_score=sum", "bbq-tiny_llama-causal_lm-form=generative-tokens=6",
             "crows_pairs-tiny_llama-causal_lm"}  # fmt: skip
"""Where the length of an option decides, and where nothing is scored."""
TIED = [
    pytest.param(at, id=case.name)
    for at, case in enumerate(CASES)
    if case.metric in UNIFORM and case.name not in BY_LENGTH and case.head != "regression"
]


@pytest.mark.parametrize("at", TIED)
def test_a_uniform_scorer_has_what_the_card_says_and_ties_in_every_item(at, scored):
    uniform, wanted = scored(at).uniform, UNIFORM[CASES[at].metric]
    tied = uniform["tied", "all"]
    assert tied[0] == tied[2] > 0
    assert set(wanted) <= {name for name, _ in uniform}
    for (name, _), (value, *_) in uniform.items():
        assert name not in wanted or np.isnan(value) or value == pytest.approx(wanted[name], abs=1e-6), (name, value)
    assert not np.isnan(uniform[registry.load("metrics", CASES[at].metric).HEADLINE][0])


@pytest.mark.parametrize("at", every(("task",)))
def test_a_uniform_language_model_has_the_stated_perplexity(at, scored):
    uniform = scored(at).uniform
    for (name, group), (value, stated, _) in (uniform or {}).items():
        if "perplexity" in name or (name == "score" and CASES[at].metric != "task_score"):
            assert value == pytest.approx(stated, rel=1e-5), (name, group)


@pytest.mark.parametrize("metric", ["winobias", "winogender"])
def test_trap_a_random_model_prefers_the_pronoun_of_fewer_tokens_not_half_of_each(metric, scored):
    """Byte-level tokenizers of tests split "she" but not "he": 50 was stated for all models, 100 is found."""
    at = next(i for i, case in enumerate(CASES) if (case.metric, case.build) == (metric, "tiny_roberta"))
    found = scored(at)
    key = next(each for each in found.seeds[0] if each[0] == "male_share")
    values, stated = ([each[key][i] for each in found.seeds] for i in (0, 1))
    assert abs(apart(values, [50.0] * len(values))) > MOST >= abs(apart(values, stated))
    assert found.uniform[key][0] == pytest.approx(stated[0]) and found.uniform["tied", "all"][0] == 0


def test_trap_options_of_unequal_wording_are_not_a_third_each(scored):
    at = next(i for i, case in enumerate(CASES) if case.settings == {"option_score": "sum"})
    assert all(each["accuracy_ambiguous", "all"][1] is None for each in scored(at).seeds)
    assert all(each["s_amb", "all"][1] is None for each in scored(at).seeds)
    assert scored(at).uniform["tied", "all"][0] < scored(at).uniform["tied", "all"][2]


def test_trap_sentences_of_one_template_are_nearer_to_each_other_in_a_random_encoder(scored):
    at = next(i for i, case in enumerate(CASES) if case.metric == "bias_sts" and case.head == "encoder")
    values = [each["separation", "all"][0] for each in scored(at).seeds]
    assert apart(values, [0.0] * SEEDS) > MOST and all(
        each["separation", "all"][1] is None for each in scored(at).seeds
    )


def test_icat_of_chance_is_the_mean_over_fair_coins():
    """Below 50 by the distance of SS from 50: a mean over many tosses, one coin a context."""
    import pandas as pd

    module, sizes = registry.load("metrics", "stereoset"), (3, 5, 8, 13)
    terms = np.repeat(np.arange(len(sizes)), sizes)
    draw = np.random.default_rng(1)
    found = []
    for scores in draw.random((3000, len(terms), 3)):
        shares = [np.mean(scores[terms == term, 0] > scores[terms == term, 1]) for term in range(len(sizes))]
        found.append(min(np.mean(shares), 1 - np.mean(shares)))
    items = pd.DataFrame({"cluster": terms.astype(str), "group": "gender", "skipped": "", "method": "causal"})
    items = items.assign(item=items.index.astype(str), stereotype=0.3, anti_stereotype=0.2, unrelated=0.1)
    (icat,) = [s for s in module.summarize(items, module.Settings()) if (s.name, s.group) == ("icat", "all")]
    assert icat.random == pytest.approx(100 * np.mean(found), abs=0.3) and icat.random < 47


@pytest.mark.parametrize("name", registry.names("metrics"))
def test_the_card_says_what_a_scorer_without_preference_gives(name):
    if registry.load("metrics", name).KIND == "damage":
        return
    text = cards.of("metrics", name).fields["Random model"].replace("\n", " ")
    assert any(word in text for word in ("uniform", "constant", "one similarity", "one vector", "one value")), text
    assert any(word in text for word in ("tie", "tied", "undefined", "NaN", "perplexity", "whichever")), text


def test_the_criterion_refuses_what_is_not_so():
    values = list(np.random.default_rng(0).normal(53, 1, size=SEEDS))
    assert abs(apart(values, [50.0] * SEEDS)) > MOST > abs(apart(values, [53.0] * SEEDS))
    assert apart([100.0] * SEEDS, [50.0] * SEEDS) == np.inf and apart([50.0] * SEEDS, [50.0] * SEEDS) == 0
    assert torch.get_num_threads() == 1 and len(list(itertools.chain(CASES))) == len({case.name for case in CASES})
