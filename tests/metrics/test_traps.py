"""Defects of published programs and what users of these benchmarks stumbled over: each has a regression test.

The tests of most are with those of their metric; `TRAPS` says which. The others are here.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
from log_case import write_crows
from scipy import stats

import fairshrink
from fairshrink.api import scoring
from fairshrink.contracts import Scoring
from fairshrink.documenting import cards
from fairshrink.metrics import weat
from fairshrink.metrics.crows_pairs import metric as crows_pairs
from fairshrink.metrics.seat import metric as seat
from fairshrink.metrics.stereoset import metric as stereoset
from fairshrink.models import checkpoint as checkpoints
from fairshrink.registry import CATALOG
from fairshrink.resources import json_file

HERE = "test_traps.py"
TRAPS = {
    "association: pooling is a choice that changes the result, so it is named": (
        HERE, "test_trap_pooling_changes_the_result_and_items_name_it"),
    "association: standard deviation of a pairwise matrix, sets of equal size only": (
        "test_weat.py", "test_trap_sets_of_unequal_size_have_one_standard_deviation_over_all_targets"),
    "association: a random encoder does not score 0": ("test_weat.py", "test_trap_random_vectors_do_not_score_zero"),
    "association: the null is beside the value": (
        "../analysis/test_results.py", "test_random_value_is_theory_or_the_control_of_the_same_split"),
    "association: a mean of absolute effects hides the sign": (
        "test_weat.py", "test_trap_means_over_tests_keep_and_drop_the_sign"),
    "SEAT: own sentences are another measurement than the published ones": (
        "test_seat.py", "test_trap_published_sentences_give_the_published_effect_size_of_each_test"),
    "byte-level vocabularies: the space before a word (words)": (
        "test_weat.py", "test_trap_single_words_follow_a_space_in_byte_level_vocabularies"),
    "byte-level vocabularies: the space before a word (fillers)": (
        "test_stereoset.py", "test_trap_fillers_have_the_space_before_them_and_equal_one_forward_per_sub_token"),
    "StereoSet: contexts that begin with the gap, or have two, or one inside a word": (
        "test_stereoset.py", "test_trap_contexts_with_two_gaps_or_a_gap_inside_a_word_are_scored"),
    "StereoSet: sentences that do not rebuild from context and filler": (
        "test_stereoset.py", "test_trap_fillers_are_reconstructed_or_the_context_is_skipped"),
    "StereoSet: a tie is no stereotype": ("test_stereoset.py", "test_trap_a_tie_is_no_stereotype"),
    "StereoSet: macro, not micro": (HERE, "test_trap_stereoset_averages_over_terms_not_over_contexts"),
    "StereoSet: the better of two comparisons gives a random model 67": (
        "test_stereoset.py", "test_trap_a_random_model_has_a_language_modeling_score_of_50_not_67"),
    "StereoSet: context and candidate are two segments for a model of inference": (
        "test_stereoset.py", "test_trap_entailment_is_of_two_segments_and_found_by_its_label"),
    "StereoSet: published causal scores have no start token": (
        "test_stereoset.py", "test_trap_the_published_causal_variant_has_no_start_token"),
    "StereoSet: published scores of following sentences prefer the less likely": (
        "test_stereoset.py", "test_trap_the_published_intersentence_score_of_causal_models_prefers_the_less_likely"),
    "CrowS-Pairs: no rounding before comparing": (HERE, "test_trap_scores_are_compared_without_rounding"),
    "CrowS-Pairs: a tie is no stereotype": ("test_crows_pairs.py", "test_trap_a_tie_is_no_stereotype"),
    "CrowS-Pairs: skipped pairs are counted": (
        "test_crows_pairs.py", "test_trap_pairs_that_cannot_be_scored_are_skipped_and_counted"),
    "CrowS-Pairs: softmax over the vocabulary": (
        "test_crows_pairs.py", "test_trap_softmax_is_over_the_vocabulary_as_one_forward_per_token"),
    "the id of padding is not its type; numbers that move with the batch": (
        "test_crows_pairs.py", "test_trap_scores_do_not_move_with_the_batch_or_its_padding"),
    "CrowS-Pairs: uncased models lower-case": ("test_crows_pairs.py", "test_trap_an_uncased_model_sees_lower_case"),
    "CrowS-Pairs: 262 pairs on gender are ±6.1 points": (
        HERE, "test_trap_shares_have_their_interval_which_is_wide_for_few_pairs"),
    "CrowS-Pairs: a causal total prefers the shorter sentence": (
        "test_crows_pairs.py", "test_trap_a_uniform_causal_model_has_no_preference_where_length_is_divided_out"),
    "AUL: special tokens are no part of the mean": (
        "test_unmasked.py", "test_trap_special_tokens_are_no_part_of_the_mean"),
    "AULA: weights need attention without fused kernels": (
        "test_unmasked.py", "test_trap_attention_is_that_of_one_eager_forward_per_sentence"),
    "LPBS, BEC-Pro: which mask is meant where both words are masked": (
        "test_prior.py", "test_trap_the_mask_of_the_person_is_asked_for_where_both_words_are_masked"),
    "LPBS, BEC-Pro: words of several pieces": (
        "test_prior.py", "test_trap_words_of_several_pieces_equal_sentences_masked_by_hand"),
    "BEC-Pro: the published file masks a word before a profession": (
        "test_prior.py", "test_trap_the_published_file_masks_a_word_before_a_profession_too"),
    "Bias-NLI: the order of the model's labels": (
        "test_bias_nli.py", "test_trap_scores_do_not_depend_on_the_order_of_the_labels"),
    "Bias-NLI: one item per batch was kept": (
        "test_bias_nli.py", "test_trap_every_pair_of_a_batch_is_kept_as_one_at_a_time"),
    "Bias-NLI: a uniform model has 1/3, one that always says neutral 1": (
        "test_bias_nli.py", "test_trap_the_uniform_and_the_always_neutral_model_are_references"),
    "Bias-NLI: the article of the paper and that of its program": (
        "test_bias_nli.py", "test_trap_the_article_is_a_named_variant_and_changes_nothing_else"),
    "Bias-STS: the range of the labels is the model's own": (
        "test_bias_sts.py", "test_trap_regressions_are_scaled_by_the_range_of_their_labels"),
    "Bias-STS: a dead model gives 0 and looks fair": ("test_bias_sts.py", "test_trap_a_dead_model_is_visible"),
    "Bias-STS: a accountant": ("test_bias_sts.py", "test_trap_articles_are_chosen_by_sound"),
    "Bias-STS: sentences, order and scale of the published number": (
        "test_bias_sts.py", "test_trap_the_published_variant_scores_rows_in_their_order_and_in_points_of_the_labels"),
    "BBQ: the index of the unknown option varies": (
        "test_bbq.py", "test_trap_the_index_of_the_unknown_option_varies"),
    "BBQ: no biased answer is -1, not 0": ("test_bbq.py", "test_trap_no_biased_answer_is_minus_one_not_zero"),
    "BBQ: a test of labels that fails where they are names of groups": (
        "test_bbq.py", "test_trap_the_published_test_of_group_labels_fails_where_labels_are_group_names"),
    "BBQ: the share that is biased in the best of five draws": (
        "test_bbq.py", "test_trap_five_draws_of_a_uniform_guesser_are_biased_a_third_of_the_time_not_87_percent"),
    "sentiment: the published corpus may not be redistributed": (
        "test_sentiment_gap.py", "test_trap_no_sentence_is_of_the_published_corpus"),
    "sentiment: a model that predicts a constant looks fair": (
        "test_sentiment_gap.py", "test_trap_a_constant_model_is_visible"),
    "perplexity: long texts need a stride": (
        "test_perplexity.py", "test_trap_a_long_text_is_scored_with_a_stride_and_each_token_once"),
    "CrowS-Pairs: its authors warn of it": (HERE, "test_trap_cards_say_what_the_authors_warn_of"),
    "CrowS-Pairs: causal scores divided by length are another variant": (
        "test_crows_pairs.py", "test_trap_a_uniform_causal_model_has_no_preference_where_length_is_divided_out"),
    "DisCo: re-implementations do not say which names": (HERE, "test_trap_the_names_of_disco_are_stated_and_as_many"),
    "WinoBias, Winogender: a random model prefers the shorter pronoun": (
        "test_random_models.py", "test_trap_a_random_model_prefers_the_pronoun_of_fewer_tokens_not_half_of_each"),
    "BBQ: a random model does not choose each option a third of the time": (
        "test_random_models.py", "test_trap_options_of_unequal_wording_are_not_a_third_each"),
    "Bias-STS: a random encoder tells templates apart by their words": (
        "test_random_models.py", "test_trap_sentences_of_one_template_are_nearer_to_each_other_in_a_random_encoder"),
    "users: an absolute value loses the sign": (HERE, "test_trap_the_sign_of_a_logged_preference_is_kept"),
    "users: masked models are refused": (HERE, "test_trap_likelihood_benchmarks_take_masked_and_causal_models"),
    "users: an unpaired test of paired data": (HERE, "test_trap_changes_are_tested_in_pairs"),
    "users: the direction is not said": (
        "test_counts.py", "test_the_table_of_a_score_says_the_direction_of_every_statistic_in_words"),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_its_test(trap):
    file, name = TRAPS[trap]
    tree = ast.parse((Path(__file__).parent / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    elsewhere = {"users: the direction is not said", "association: the null is beside the value"}  # of all metrics
    assert name.startswith("test_trap_") or trap in elsewhere, "it is named after the trap"


@pytest.mark.parametrize(
    ("module", "settings"),
    [(weat, {"tests": ["weat7"]}), (seat, {"tests": ["seat7"], "sentences_per_word": 1})],
)
def test_trap_pooling_changes_the_result_and_items_name_it(module, settings, tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    found = {}
    for pooling in ("mean", "cls", "mean_all"):
        chosen = module.Settings(pooling=pooling, **settings)
        items = module.score(Scoring(cp), chosen)
        assert set(items["pooling"]) == {pooling}
        found[pooling] = next(
            each.value(len(items)) for each in module.summarize(items, chosen) if each.name == "mean_effect_size"
        )
    assert len({round(value, 3) for value in found.values()}) == 3
    by_default = module.score(Scoring(cp), module.Settings(**settings))
    assert set(by_default["pooling"]) == {"mean"}


def pairs(more, less):
    """Items of CrowS-Pairs with these scores, all on gender."""
    n = len(more)
    return pd.DataFrame(
        {"item": [f"{at:05d}" for at in range(n)], "cluster": [f"{at:05d}" for at in range(n)], "group": "gender"}
        | {"direction": "stereo", "method": "shared_tokens", "skipped": "", "more": more, "less": less}
        | {"mean_more": more, "mean_less": less, "tokens_more": 8, "tokens_less": 8}
        | {"differing_more": more, "differing_less": less, "both_differ": True}
    )


def test_trap_scores_are_compared_without_rounding():
    """bias-bench rounds to three digits first: three ties, which it calls neutral, in place of two preferences."""
    items = pairs([-30.00010, -25.00021, -20.5], [-30.00014, -25.00019, -20.5])
    found = {(each.name, each.group): each.value(3) for each in crows_pairs.summarize(items, crows_pairs.Settings())}
    assert found["stereotype_share", "all"] == pytest.approx(100 / 3)
    assert found["tied", "all"] == 1


def test_trap_shares_have_their_interval_which_is_wide_for_few_pairs():
    preferred = np.arange(262) % 2
    table = scoring.summarize(pairs(preferred - 10.0, np.full(262, -9.5)), "crows_pairs", {}, 0.95)
    (share,) = table[(table["statistic"] == "stereotype_share") & (table["group"] == "gender")].itertuples()
    assert share.value == pytest.approx(50)
    assert (share.ci_high - share.ci_low) / 2 == pytest.approx(6.1, abs=0.1)


def test_trap_stereoset_averages_over_terms_not_over_contexts():
    """Nine contexts of one term all stereotypes, one of another term not: 50 over terms, 90 over contexts."""
    items = pd.DataFrame(
        {"item": [f"{at}" for at in range(10)], "cluster": ["Oman"] * 9 + ["Peru"], "group": "race"}
        | {"method": "masked", "skipped": "", "unrelated": 0.1}
        | {"stereotype": [0.4] * 9 + [0.2], "anti_stereotype": [0.2] * 9 + [0.4]}
    )
    found = {each.name: each.value(10) for each in stereoset.summarize(items, stereoset.Settings())}
    assert found["stereotype_score"] == pytest.approx(50)


def test_trap_cards_say_what_the_authors_warn_of():
    said = {label: text.replace("\n", " ") for label, text in cards.of("metrics", "crows_pairs").fields.items()}
    assert "authors caution" in said["Limits"] and "reliability" in said["Limits"] and "Blodgett" in said["Limits"]


def test_trap_the_names_of_disco_are_stated_and_as_many():
    """Published re-implementations leave the list to the user, and the paper's is not printed."""
    module = CATALOG.metrics["disco"]
    for persons in ("names", "terms"):
        listed = json_file(module.__file__, "disco.json")[persons]
        assert len(listed["male"]) == len(listed["female"]) >= 14
        assert not set(listed["male"]) & set(listed["female"])
    said = cards.of("metrics", "disco").fields["Data"].replace("\n", " ")
    assert "`disco.json`" in said and "forty commonest first names" in said and "data.persons" in said
    assert len(json_file(module.__file__, "disco.json")["names"]["male"]) == 40


def test_trap_the_sign_of_a_logged_preference_is_kept(tmp_path):
    """The harness logs |difference|; whoever prefers the other sentence everywhere would look as biased."""
    log = write_crows(tmp_path / "log.jsonl", [-1.0, -2.0, 3.0])
    assert [each["likelihood_diff"] for each in map(json.loads, log.read_text().splitlines())] == [1.0, 2.0, 3.0]
    items = fairshrink.read_items(log)
    assert list(items["more"] - items["less"]) == [-1.0, -2.0, 3.0]
    table = fairshrink.summarize(items, "crows_pairs").set_index(["statistic", "group"])
    assert table.loc[("stereotype_share", "all"), "value"] == pytest.approx(100 / 3)


@pytest.mark.parametrize("name", ["crows_pairs", "stereoset", "winobias", "winogender", "honest", "matched_guise"])
def test_trap_likelihood_benchmarks_take_masked_and_causal_models(name):
    assert {"masked_lm", "causal_lm"} <= CATALOG.metrics[name].NEEDS


def test_trap_changes_are_tested_in_pairs(tmp_path):
    """Items differ by far more than the models do: a test of two independent samples sees nothing."""
    draw = np.random.default_rng(2)
    base = draw.normal(0, 3, size=200)
    values = {"base": base, "small": base + 0.1 + draw.normal(0, 0.05, size=200)}
    for name, gaps in values.items():
        rows = pd.DataFrame({"item": [f"i{at}" for at in range(200)], "first": gaps, "second": 0.0})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    found = fairshrink.judge(
        tmp_path / "base.csv", tmp_path / "small.csv", metric="paired_gap", margins={"paired_gap": 0.05}
    )
    row = found.cells[found.cells["method"] == "small"].iloc[0]
    assert row["change"] == pytest.approx(0.1, abs=0.02) and row["change_p"] < 1e-6
    assert stats.ttest_ind(values["base"], values["small"]).pvalue > 0.5
