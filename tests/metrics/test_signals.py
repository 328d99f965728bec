"""What a verdict needs from a metric: clusters, and the headline as a functional of signals with a neutral contrast."""

import inspect

import numpy as np
import pytest
from metric_case import described, scored, settings, with_signals

from fairshrink import registry
from fairshrink.contracts import BIAS_KINDS
from fairshrink.documenting import cards
from fairshrink.metrics.bias_nli import metric as bias_nli
from fairshrink.metrics.stereoset.scores import log_ratio
from fairshrink.stats.reflection import decompose, parts
from fairshrink.stats.signals import Margin, OwnSkill, Signal, kept

METRICS = registry.names("metrics")
OF_BIAS = [name for name in METRICS if registry.load("metrics", name).KIND in BIAS_KINDS]
WITHOUT_SIGNAL = {"disco", "honest", "profanity", "toxicity"}
"""Metrics whose headline is no functional of numbers that are linear in what the model says: their card says so."""
SIGNALED = [name for name in OF_BIAS if name not in WITHOUT_SIGNAL]
OWN_INTERCEPT = {"bias_nli", "crows_pairs", "aul", "aula", "bias_in_bios"}
"""Metrics whose null has the level of the contrast."""


def load(name):
    return registry.load("metrics", name)


def signal(name, items) -> Signal:
    found = load(name).signal(items, settings(name))
    assert found is not None
    return found


def headline(name, items):
    """The statistic that tables show, and its value."""
    wanted = load(name).HEADLINE
    (found,) = [each for each in load(name).summarize(items, settings(name)) if (each.name, each.group) == wanted]
    return found.value(len(items))


def functional(name, items):
    found = signal(name, items)
    return float(found.functional(found.values[None, :], np.ones((1, len(items))))[0])


def parted(name, baseline, checkpoint):
    """The parts of a change, in the order of `Decomposition`, without errors."""
    before, after = signal(name, baseline), signal(name, checkpoint)
    line = kept(before.contrasts[0], after.contrasts[0])
    carrying = ~np.isnan(before.values)
    estimate = parts(before.functional, before.values, after.values, line, null=before.null, mask=carrying)
    return np.asarray(estimate(np.ones((1, len(baseline)))))[:, 0]


@pytest.mark.parametrize("name", METRICS)
def test_clusters_are_columns_of_the_items_without_gaps(name, real):
    columns = load(name).CLUSTERS
    assert isinstance(columns, tuple) and len(columns) in (1, 2)
    for column in columns:
        assert real[name][column].notna().all()
        assert (real[name][column].astype(str) != "").all()
    assert "cluster" in columns


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_bias_offer_what_a_verdict_needs(name):
    offered = {each for each in ("signal", "MARGIN", "OWN_SKILL") if hasattr(load(name), each)}
    assert offered == ({"signal", "MARGIN", "OWN_SKILL"} if name in OF_BIAS else set())
    if name in OF_BIAS:
        assert list(inspect.signature(load(name).signal).parameters) == ["items", "settings"]
        assert isinstance(load(name).MARGIN, Margin) and load(name).MARGIN.value(1.0, 1.0) > 0
        assert "Signal" in cards.of("metrics", name).fields
        assert "Contrast:" in cards.of("metrics", name).fields["Signal"] or name in {"crows_pairs", *WITHOUT_SIGNAL}
        assert "ntercept" in cards.of("metrics", name).fields["Signal"]
        assert "imit" in cards.of("metrics", name).fields["Signal"]


@pytest.mark.parametrize("name", sorted(WITHOUT_SIGNAL))
def test_metrics_without_a_signal_say_so(name, real):
    assert load(name).signal(real[name], settings(name)) is None
    assert cards.of("metrics", name).fields["Signal"].startswith("None: ")
    assert np.isfinite(headline(name, real[name]))


@pytest.mark.parametrize("name", OF_BIAS)
def test_what_a_metric_presupposes_is_one_of_its_statistics(name, real):
    own = load(name).OWN_SKILL
    assert own is None or isinstance(own, OwnSkill)
    if own:
        found = {(each.name, each.group): each for each in load(name).summarize(real[name], settings(name))}
        # A guesser's: models with random weights need not have it, as texts of BBQ's options differ in length.
        assert found[own.statistic, own.group].random in (own.reference, None if name == "bbq" else own.reference)


def test_some_metrics_presuppose_skill_of_their_own():
    assert {name: load(name).OWN_SKILL for name in OF_BIAS if load(name).OWN_SKILL} == {
        "stereoset": OwnSkill("language_modeling_score", "all", 50.0),
        "bbq": OwnSkill("accuracy_disambiguated", "all", 1 / 3),
        "subgroup_auc": OwnSkill("auc", "all", 0.5),
    }


def test_margins():
    assert {name: load(name).MARGIN for name in OF_BIAS} == {
        "crows_pairs": Margin(absolute=5.0),
        "aul": Margin(absolute=5.0),
        "aula": Margin(absolute=5.0),
        "lpbs": Margin(absolute=0.1),
        "bec_pro": Margin(absolute=0.1),
        "winobias": Margin(absolute=5.0),
        "winogender": Margin(absolute=5.0),
        "stereoset": Margin(absolute=5.0),
        "bias_nli": Margin(absolute=0.02),
        "weat": Margin(absolute=0.2),
        "seat": Margin(absolute=0.2),
        "sentiment_gap": Margin(of_baseline=0.1, of_labels=0.02),
        "bias_sts": Margin(absolute=0.005, of_baseline=0.1),
        "bbq": Margin(absolute=0.05),
        "disco": Margin(absolute=5.0),
        "honest": Margin(absolute=0.02),
        "profanity": Margin(absolute=0.02),
        "toxicity": Margin(absolute=0.02),
        "subgroup_auc": Margin(absolute=0.02),
        "bias_in_bios": Margin(absolute=0.05),
        "matched_guise": Margin(absolute=0.1),
    }


@pytest.mark.parametrize("name", OF_BIAS)
def test_headlines_are_signed_or_shares(name):
    assert "absolute" not in load(name).HEADLINE[0]


@pytest.mark.parametrize("name", SIGNALED)
def test_the_functional_of_the_signals_is_the_headline(name, real):
    for items in (real[name], with_signals(name), with_signals(name, 0.3)):
        assert functional(name, items) == pytest.approx(headline(name, items), rel=1e-10, abs=1e-12)
        assert np.isfinite(headline(name, items))


@pytest.mark.parametrize("name", SIGNALED)
def test_a_model_that_returns_nan_has_an_unknown_functional(name):
    """One value of a scored item that carries the headline."""
    items = with_signals(name)
    column = {
        "sentiment_gap": "prediction_first", "bias_sts": "similarity_man", "bias_nli": "p_neutral",
        "crows_pairs": "more", "aul": "more", "aula": "more", "lpbs": "male_given", "bec_pro": "given",
        "winobias": "pro", "winogender": "male", "stereoset": "stereotype",
        "weat": "association", "seat": "association",
        "bbq": "biased", "subgroup_auc": "logit", "bias_in_bios": "margin",
        "matched_guise": "dialect",
    }[name]  # fmt: skip
    at = len(items) - 1 if name in ("weat", "seat") else 0
    items.loc[at, column] = np.nan
    assert np.isnan(functional(name, items)) and np.isnan(headline(name, items))


@pytest.mark.parametrize("name", SIGNALED)
def test_signals_and_contrasts_have_a_value_for_each_row(name, real):
    for items in (real[name], with_signals(name)):
        found = signal(name, items)
        assert len(found.values) == len(items)
        assert np.isfinite(found.values[~np.isnan(found.values)]).all()
        assert found.contrasts and len({each.name for each in found.contrasts}) == len(found.contrasts)
        for each in found.contrasts:
            assert len(each.values) == len(items)
            assert np.isfinite(each.values[~np.isnan(each.values)]).all()
            assert (~np.isnan(each.values)).sum() > 2
        assert found.contrasts[0].applies_intercept == (name in OWN_INTERCEPT)


@pytest.mark.parametrize("name", SIGNALED)
def test_half_of_the_contrast_is_half_of_the_signal_kept(name):
    before, after = (signal(name, with_signals(name, scale)).contrasts for scale in (1.0, 0.5))
    for one, other in zip(before, after, strict=True):
        slope, intercept = kept(one, other)(np.ones((1, len(one.values))))[:, 0]
        assert slope == pytest.approx(0.5, abs=1e-10)
        assert intercept == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("scale", [1.0, 0.8, 0.5, 0.1])
@pytest.mark.parametrize("name", SIGNALED)
def test_signals_that_only_shrink_have_no_residual(name, scale):
    """Nothing but K times the signal is left: the null explains all of the change, whatever the functional."""
    baseline, checkpoint = with_signals(name), with_signals(name, scale)
    before, after, slope, intercept, null, explained, residual, change = parted(name, baseline, checkpoint)
    assert before == pytest.approx(headline(name, baseline)) and after == pytest.approx(headline(name, checkpoint))
    assert (slope, intercept) == (pytest.approx(scale), pytest.approx(0, abs=1e-10))
    assert null == pytest.approx(after) and residual == pytest.approx(0, abs=1e-9)
    assert explained == pytest.approx(change, abs=1e-9)


@pytest.mark.parametrize("name", SIGNALED)
def test_errors_of_a_decomposition_are_known_over_the_clusters(name):
    generator = np.random.default_rng(0)
    baseline, checkpoint = with_signals(name), with_signals(name, 0.5)
    before, after = signal(name, baseline), signal(name, checkpoint)
    noisy = after.values + 0.3 * generator.normal(size=len(after.values))
    carrying = ~np.isnan(before.values)
    found = decompose(
        before.functional,
        before.values,
        noisy,
        kept(before.contrasts[0], after.contrasts[0]),
        *(baseline[column] for column in load(name).CLUSTERS),
        null=before.null,
        mask=carrying,
    )
    assert found.residual.standard_error > 0 and found.residual.df >= 2
    assert abs(found.residual.value) < 5 * found.residual.standard_error


def test_signals_of_sentiment_worked_by_hand():
    items = with_signals("sentiment_gap").iloc[:3].reset_index(drop=True)
    items = items.assign(group=["gender", "race", "gender"])
    items = items.assign(prediction_first=[3.0, 5.0, 0.5], prediction_second=[1.0, 4.0, 1.0])
    found = signal("sentiment_gap", items)
    np.testing.assert_allclose(found.values, [2.0, np.nan, -0.5])
    (contrast,) = found.contrasts
    np.testing.assert_allclose(contrast.values, [2.0, np.nan, 0.75])
    assert (contrast.fits_intercept, contrast.applies_intercept) == (True, False)


def test_signals_of_similarity_worked_by_hand():
    items = with_signals("bias_sts").iloc[:2].reset_index(drop=True)
    items = items.assign(similarity_man=[0.9, 0.2], similarity_woman=[0.5, 0.4], similarity_other=[0.1, 0.3])
    found = signal("bias_sts", items)
    np.testing.assert_allclose(found.values, [0.4, -0.2])
    np.testing.assert_allclose(found.contrasts[0].values, [0.6, 0.0], atol=1e-15)
    assert not found.contrasts[0].fits_intercept


def test_signals_of_stereoset_worked_by_hand():
    items = with_signals("stereoset").iloc[:4].reset_index(drop=True)
    scores = {"stereotype": [8.0, 1.0, 0.0, 9.0], "anti_stereotype": [2.0, 1.0, 0.0, 9.0]}
    items = items.assign(**scores, unrelated=[1.0, 1.0, 1.0, 9.0], skipped=["", "", "", "too long"])
    found = signal("stereoset", items)
    np.testing.assert_allclose(found.values, [np.log(4), 0, 0, np.nan])
    np.testing.assert_allclose(found.contrasts[0].values[:2], [np.log(4), 0.0])
    logarithms = signal("stereoset", items.assign(method="causal"))
    np.testing.assert_allclose(logarithms.values, [6.0, 0, 0, np.nan])
    np.testing.assert_allclose(logarithms.contrasts[0].values, [4.0, 0.0, -1.0, np.nan])
    entailment = signal("stereoset", items.assign(method="entailment"))
    np.testing.assert_allclose(entailment.values, logarithms.values)
    assert not found.contrasts[0].fits_intercept


def test_the_logarithm_of_a_ratio_has_the_sign_of_the_difference():
    """However close two probabilities are, or however small."""
    generator = np.random.default_rng(1)
    one = np.r_[np.exp(-generator.exponential(size=500) * 30), 0.0, 0.0, 5e-324, 1e-320, 1.0]
    other = np.r_[np.nextafter(one[:500], 0), 0.0, 5e-324, 0.0, 1.0, 1e-320]
    found = log_ratio(one, other)
    assert (np.sign(found) == np.sign(one - other)).all()
    assert (log_ratio(other, one) == -found).all()
    far = one[:499] > 2 * one[1:500]
    assert found[502] > 0 and far.any()
    np.testing.assert_allclose(log_ratio(one[:499], one[1:500]), np.log(one[:499]) - np.log(one[1:500]), rtol=1e-9)
    assert np.isnan(log_ratio(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))).all()


def test_signals_of_crows_pairs_worked_by_hand():
    items = with_signals("crows_pairs").iloc[:3].reset_index(drop=True)
    items = items.assign(more=[-3.0, -4.0, np.nan], less=[-5.0, -4.0, np.nan], skipped=["", "", "too long"])
    found = signal("crows_pairs", items)
    np.testing.assert_allclose(found.values, [2.0, 0.0, np.nan])
    (contrast,) = found.contrasts
    np.testing.assert_array_equal(contrast.values, found.values)
    assert contrast.fits_intercept and contrast.applies_intercept


def test_signals_of_inference_worked_by_hand():
    items = with_signals("bias_nli").iloc[[0, 40, 41, 42]].reset_index(drop=True)
    assert list(items["label"]) == ["", "entailment", "neutral", "contradiction"]
    shares = [[1 / 3, 1 / 3, 1 / 3], [0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.9, 0.0, 0.1]]
    for at, label in enumerate(bias_nli.LABELS):
        items[f"p_{label}"] = [row[at] for row in shares]
    found = signal("bias_nli", items)
    np.testing.assert_allclose(found.values, [0, np.nan, np.nan, np.nan], atol=1e-12)
    neutral, own = found.contrasts
    np.testing.assert_allclose(neutral.values, [np.nan, np.nan, np.log(2), np.nan])
    np.testing.assert_allclose(own.values, [np.nan, np.log(8), np.log(2), np.log(2 / 9)])
    assert (neutral.fits_intercept, neutral.applies_intercept, own.fits_intercept) == (True, True, False)
    assert found.null == "shuffled"
    certain = items.assign(p_entailment=0.0, p_neutral=1.0, p_contradiction=0.0)
    assert np.isfinite(signal("bias_nli", certain).values[0])
    assert functional("bias_nli", certain) == headline("bias_nli", certain) == 1


def test_a_prior_that_moves_to_neutral_is_in_the_null_of_inference():
    """Each logit rises by one, those of the task's pairs too: no residual, though p(neutral) rises."""
    baseline = with_signals("bias_nli")
    odds = np.exp(1.0) * baseline["p_neutral"] / (1 - baseline["p_neutral"])
    rest = (1 / (1 + odds)) / (1 - baseline["p_neutral"])
    moved = baseline.assign(
        p_neutral=odds / (1 + odds), p_entailment=baseline["p_entailment"] * rest,
        p_contradiction=baseline["p_contradiction"] * rest,
    )  # fmt: skip
    before, after, slope, intercept, null, _, residual, _ = parted("bias_nli", baseline, moved)
    assert after > before + 0.05
    assert (slope, intercept) == (pytest.approx(1), pytest.approx(1))
    assert null == pytest.approx(after) and residual == pytest.approx(0, abs=1e-9)


def test_a_shift_of_all_predictions_is_no_signal_lost():
    baseline = with_signals("sentiment_gap")
    moved = baseline.assign(**{c: baseline[c] + 3 for c in ("prediction_first", "prediction_second")})
    *_, residual, change = parted("sentiment_gap", baseline, moved)
    assert residual == pytest.approx(0, abs=1e-9) and change == pytest.approx(0, abs=1e-9)


def test_bias_that_goes_alone_is_a_residual():
    """Half of the gap, all of the signal: nothing is explained."""
    baseline = with_signals("sentiment_gap")
    middle = (baseline["prediction_first"] + baseline["prediction_second"]) / 2
    gap = (baseline["prediction_first"] - baseline["prediction_second"]) / 2
    less = baseline.assign(prediction_first=middle + gap / 2, prediction_second=middle - gap / 2)
    *_, explained, residual, change = parted("sentiment_gap", baseline, less)
    assert explained == pytest.approx(0, abs=1e-9)
    assert residual == pytest.approx(change) == pytest.approx(-headline("sentiment_gap", baseline) / 2)


@pytest.mark.parametrize("name", ["weat", "seat"])
def test_neutral_associations_are_the_contrast_and_no_bias(name):
    items = with_signals(name)
    neutral = items["group"].isin([f"{name}1", f"{name}2"]).to_numpy()
    found = signal(name, items)
    np.testing.assert_array_equal(np.isnan(found.values), neutral)
    (contrast,) = found.contrasts
    np.testing.assert_array_equal(np.isnan(contrast.values), ~neutral)
    assert (contrast.fits_intercept, contrast.applies_intercept) == (True, False)
    statistics = {(s.name, s.group): s for s in load(name).summarize(items, settings(name))}
    d = [statistics["effect_size", f"{name}{number}"].value(len(items)) for number in ("6", "7", "7b")]
    assert headline(name, items) == pytest.approx(np.mean(d))
    without = load(name).summarize(items[~neutral].reset_index(drop=True), settings(name))
    for each in without:
        assert statistics[each.name, each.group].value(len(items)) == pytest.approx(each.value((~neutral).sum()))
        assert statistics[each.name, each.group].unbiased == each.unbiased
    assert statistics["effect_size", f"{name}1"].unbiased is None
    assert load(name).signal(items[neutral], settings(name)) is None


def test_associations_that_do_not_vary_have_no_signal():
    items = with_signals("weat")
    dead = items.assign(
        association=np.where(items["group"] == "weat6", 1e-8 * items["association"], items["association"])
    )
    assert np.isnan(headline("weat", dead)) and np.isnan(functional("weat", dead))


def test_held_out_pairs_are_rows_but_in_no_statistic_of_inference(real):
    items = real["bias_nli"]
    task = items[items["group"] == "task"]
    assert len(task) == 20 and set(task["label"]) == set(bias_nli.LABELS)
    assert (task["cluster"] == task["item"]).all() and (task["word"] == task["item"]).all()
    people = items[items["group"] != "task"].reset_index(drop=True)
    assert len(people) == 24 and (people["label"] == "").all()
    both = zip(*(load("bias_nli").summarize(each, settings("bias_nli")) for each in (items, people)), strict=True)
    for one, other in both:
        assert (one.name, one.group, one.n_items) == (other.name, other.group, other.n_items)
        assert one.value(len(items)) == pytest.approx(other.value(len(people)))


def test_the_number_of_held_out_pairs_is_a_setting(tmp_path):
    pairs = bias_nli.task_pairs(described(tmp_path, "classification"), bias_nli.Settings(task_items=7))
    assert [len(each) for each in pairs] == [7]


def test_inference_without_held_out_pairs_is_scored_but_has_no_signal(tmp_path, real):
    items = scored("bias_nli", tmp_path, task=False)
    assert set(items["group"]) == {"male", "female"}
    assert load("bias_nli").signal(items, settings("bias_nli")) is None
    assert headline("bias_nli", items) == pytest.approx(headline("bias_nli", real["bias_nli"]), abs=1e-6)


def test_statistics_that_are_shares_of_items_say_so():
    marked = {
        (name, each.name): each.share_of
        for name in SIGNALED
        for each in load(name).summarize(with_signals(name), settings(name))
        if each.share_of
    }
    assert marked == {
        ("bias_nli", "fraction_neutral"): 1.0,
        ("bias_nli", "threshold_0.5"): 1.0,
        ("bias_nli", "threshold_0.7"): 1.0,
        ("crows_pairs", "stereotype_share"): 100.0,
        ("crows_pairs", "differing_stereotype_share"): 100.0,
        ("aul", "stereotype_share"): 100.0,
        ("aula", "stereotype_share"): 100.0,
        ("winobias", "stereotype_share"): 100.0,
        ("winobias", "male_share"): 100.0,
        ("winogender", "stereotype_share"): 100.0,
        ("winogender", "male_share"): 100.0,
        ("winogender", "neutral_share"): 100.0,
        ("stereoset", "stereotype_score"): 100.0,
        ("stereoset", "language_modeling_score"): 100.0,
        ("bias_in_bios", "accuracy"): 1.0,
        ("matched_guise", "against_share"): 100.0,
        ("bbq", "accuracy_ambiguous"): 1.0,
        ("bbq", "accuracy_disambiguated"): 1.0,
        ("bbq", "unknown_rate_ambiguous"): 1.0,
        ("bbq", "unknown_rate_disambiguated"): 1.0,
        ("bbq", "refusal_rate"): 1.0,
        ("bbq", "unread_rate"): 1.0,
    }
