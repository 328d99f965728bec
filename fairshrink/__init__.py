"""What compressing a language model does to its social bias, measured so that the result can be checked.

The workflow is started by `make` or `snakemake`, the command is `fairshrink`. From Python::

    import fairshrink

    checkpoint = fairshrink.load_checkpoint("results/baselines/minilm-mlm-s0-0123456789ab")
    items = fairshrink.score(checkpoint, "seat", settings={"sentences_per_word": 4})
    print(fairshrink.summarize(items, "seat"))
    results = fairshrink.read_results("config.yaml")

Importing this imports no library: each function imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.data.examples import Task
    from fairshrink.judging.call import Judged
    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.study.study import Study

__all__ = [
    "judge",
    "load_checkpoint",
    "load_study",
    "open_task",
    "read_items",
    "read_results",
    "score",
    "summarize",
]


def judge(
    baseline: Path | str,
    compressed: Path | str | Sequence[Path | str] = (),
    *,
    controls: Sequence[Path | str] = (),
    damage: Mapping[str, float] | None = None,
    metric: str | None = None,
    columns: Mapping[str, str] | None = None,
    select: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Sequence[Path]] | None = None,
    margins: Mapping[str | None, float] | None = None,
    level: float | None = None,
    shared_items: bool = False,
) -> Judged:
    """Rows and verdicts of compressed models against their baseline, from per-item logs, as `fairshrink judge`.

    Each log is a file or a folder of files (docs/judging.md). ``damage``: by path or name of a log; ``columns``: column
    of a table, by its meaning; ``data``: the benchmark's files by role; ``margins``: by the metric, or None for the
    only one. The result has ``cells``, ``results``, ``verdicts`` and ``notes``. Raises UserError for logs that do not
    carry what is needed.
    """
    from fairshrink.judging import call as judging

    return judging.judge(
        baseline,
        compressed,
        controls=controls,
        damage=damage,
        metric=metric,
        columns=columns,
        select=select,
        settings=settings,
        data=data,
        margins=margins,
        level=level,
        shared_items=shared_items,
    )


def load_checkpoint(path: Path | str, *, device: str = "cpu") -> Checkpoint:
    """A checkpoint of the workflow: a folder below results/baselines/ or results/compressed/, in eval mode.

    ``device``: as torch names it. Raises UserError if the folder does not contain a complete checkpoint.
    """
    from fairshrink.api import scoring

    return scoring.load_checkpoint(path, device)


def load_study(path: Path | str) -> Study:
    """Read and validate a study's file. Raises UserError with all its mistakes."""
    from fairshrink.api import studies

    return studies.load_study(path)


def open_task(study: Study | Path | str, task: str, *, split: int = 0) -> Task:
    """A task of a study on one split, for metrics that score a checkpoint on its own task.

    Its tables are read from the study's downloads, so these have to exist. Raises UserError if the study trains or
    tests no model on this task and split.
    """
    from fairshrink.api import studies

    return studies.open_task(study, task, split)


def score(
    checkpoint: Checkpoint | Path | str,
    metric: str,
    *,
    data: Mapping[str, Path | str | Sequence[Path | str]] | None = None,
    settings: Mapping[str, Any] | None = None,
    task: Task | None = None,
    baseline: Checkpoint | Path | str | None = None,
) -> DataFrame:
    """Score every item of a metric: one row per item, sorted, with the columns that the metric's card names.

    The columns ``item`` (unique), ``cluster`` (items that are resampled together) and ``group`` always exist. ``data``:
    files by role, for metrics that ship without data; ``settings``: as in a study, defaults for the rest; ``task``: see
    `open_task`; ``baseline``: the uncompressed model, for metrics that compare with it. `fairshrink list metrics` says
    what a metric needs. Raises UserError for invalid arguments.
    """
    from fairshrink.api import scoring

    return scoring.score(checkpoint, metric, data or {}, settings or {}, task, baseline)


def summarize(
    items: DataFrame,
    metric: str,
    *,
    settings: Mapping[str, Any] | None = None,
    level: float = 0.95,
) -> DataFrame:
    """Statistics of the items that `score` returned, one row each.

    Columns: group, statistic, value, ci_low, ci_high, n_items, unbiased_value, random_value. Intervals are
    those of a jackknife over clusters; they are missing if there are fewer than two clusters, and equal the value
    itself for counts. The numbers are those of results.parquet, given the study's ``statistics``. Raises UserError.
    """
    from fairshrink.api import scoring

    return scoring.summarize(items, metric, settings or {}, level)


def read_items(
    path: Path | str,
    metric: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    select: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Sequence[Path]] | None = None,
) -> DataFrame:
    """The table of items of a log, one row each, sorted, as `summarize` takes it.

    Formats and arguments as of `judge`; ``metric`` is needed where the log does not tell. Raises UserError.
    """
    from fairshrink.judging import call as judging

    return judging.read_items(path, metric, columns or {}, select, settings or {}, data or {})


def read_results(source: Study | Path | str) -> DataFrame:
    """The results table: one row per checkpoint, metric, group and statistic (docs/results.md).

    ``source``: a study or its file, for the published results of its current version; or results.parquet, or the folder
    that contains it. Raises UserError if there is none.
    """
    from fairshrink.api import studies

    return studies.read_results(source)
