"""The files that the analysis writes, known before anything has run. Imports only the standard library."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from fairshrink.contracts import BASELINE
from fairshrink.study.jobs import CheckpointEntry, ScoreEntry, data_of

PARQUET = ("results.parquet", "cells.parquet", "measurements.parquet")
PLOTTED = ("headline.json", "bias_by_sparsity.csv")
STUDY_TABLES = ("verdicts", "damage", "ledger", "agreement", "flips", "degeneracy", "validity")
TABLE_FORMATS = ("csv", "md", "tex")
CUTS = ("", "-kept")
"""With every checkpoint, and with those alone that keep at least half of the task performance."""
GROUPED = {"seat": "type of bias", "weat": "type of bias", "stereoset": "domain", "crows_pairs": "type of bias"}
"""Metrics whose groups have a table of their own, and what their groups are."""
BY_OCCUPATION = ("bias_nli", "bias_sts")
"""Metrics whose most extreme occupations have a table of their own."""
OVER_SETTINGS = "over_settings"
"""The table of metrics that a study has with several settings on the same data."""
FIGURES = (
    "bias_by_damage",
    "bias_by_task_score",
    "bias_by_bytes",
    "bias_by_latency",
    "flips",
    "validity",
    "agreement",
)
SPARSITY_FIGURE, DOSE_FIGURE, DOSE = "bias_by_sparsity", "dose_response", "dose"
"""Figures of models that were pruned, and of models that were given doses of a stereotype by the method ``dose``."""
FORMATS = ("png", "svg")

TABLES_FOLDER, FIGURES_FOLDER, REPORT = "tables", "figures", "report.html"
Pair = tuple[str, str]


def tables(tasks: Iterable[str], modules: Mapping[str, str], *, several: bool = False) -> list[str]:
    """Names of the tables of a study with these tasks; ``modules`` are the metrics' own names by those in the study.

    ``several``: whether it has metrics with several settings.
    """
    cut = [f"overview_{task}" for task in sorted(set(tasks))]
    cut += [f"groups_{entry}" for entry, module in sorted(modules.items()) if module in GROUPED]
    cut += [f"occupations_{entry}" for entry, module in sorted(modules.items()) if module in BY_OCCUPATION]
    own = [*STUDY_TABLES, *([OVER_SETTINGS] if several else [])]
    stems = [*own, *(f"{stem}{each}" for stem in cut for each in CUTS)]
    return [*PARQUET, *PLOTTED, *(f"{stem}.{ending}" for stem in stems for ending in TABLE_FORMATS)]


def figures(pairs: Mapping[Pair, Iterable[tuple[str, float | None]]]) -> list[str]:
    """Names of the figures; for each (model, task) what it was compressed by: pairs of method and sparsity."""
    return [
        f"{model}_{task}_{figure}.{ending}"
        for (model, task), compressions in sorted(pairs.items())
        for figure in figures_of(compressions)
        for ending in FORMATS
    ]


def figures_of(compressions: Iterable[tuple[str, float | None]]) -> list[str]:
    """The figures of a model on a task that these methods, with these sparsities, were applied to."""
    listed = list(compressions)
    pruned = any(sparsity is not None and method != BASELINE for method, sparsity in listed)
    dosed = any(method == DOSE for method, _ in listed)
    return [*FIGURES, *([SPARSITY_FIGURE] if pruned else []), *([DOSE_FIGURE] if dosed else [])]


def several_settings(scores: Iterable[ScoreEntry]) -> bool:
    """Whether a checkpoint is scored by one metric more than once, on the same data."""
    seen: set[tuple[str, str, str]] = set()
    for each in scores:
        what = (each.checkpoint, each.metric, data_of(each.dataset))
        if what in seen:
            return True
        seen.add(what)
    return False


def outputs(checkpoints: Iterable[CheckpointEntry], scores: Iterable[ScoreEntry]) -> list[str]:
    """Paths of all that is made for these checkpoints and scores, below the artifact, in a fixed order."""
    made: dict[Pair, list[tuple[str, float | None]]] = defaultdict(list)
    for each in checkpoints:
        made[each.identity.model, each.identity.task].append((each.identity.method, each.identity.sparsity))
    listed = list(scores)
    several = several_settings(listed)
    names = tables((task for _, task in made), {each.entry: each.metric for each in listed}, several=several)
    named = [f"{TABLES_FOLDER}/{name}" for name in names] + [f"{FIGURES_FOLDER}/{name}" for name in figures(made)]
    return [*named, REPORT]
