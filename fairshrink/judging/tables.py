"""Tables of items from the files of one checkpoint: which format, which metric, which benchmark."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pandas as pd

from fairshrink.contracts import AnyMetric
from fairshrink.data.json_text import JsonError, parse
from fairshrink.errors import UserError, brief
from fairshrink.judging.benchmarks import bbq, crows_pairs, stereoset, winobias, winogender
from fairshrink.judging.formats import columns, every_eval_ever, inspect_log, lm_eval
from fairshrink.judging.records import SETTINGS, UNEXPECTED, Log, Record, json_file, json_lines
from fairshrink.judging.scorers import paired_gap, paired_share, stated_damage
from fairshrink.registry import CATALOG
from fairshrink.settings import Settings
from fairshrink.study.mistakes import Mistake, suggestion
from fairshrink.study.mistakes import checked as check_settings

SCORERS: Mapping[str, ModuleType] = {
    "paired_share": paired_share,
    "paired_gap": paired_gap,
    "stated_damage": stated_damage,
}
BENCHMARKS: Mapping[str, ModuleType] = {
    "bbq": bbq,
    "crows_pairs": crows_pairs,
    "winobias": winobias,
    "winogender": winogender,
}
ENDINGS = (".jsonl", ".json", ".csv", ".parquet")


@dataclass(frozen=True)
class Options:
    """How files are read. ``metric``: None to take it from the file. ``select`` and ``names`` as the formats say.

    ``data``: the benchmark's own files by role, for logs that do not carry what is in them.
    """

    metric: str | None = None
    select: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Sequence[Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The items of one metric on one checkpoint.

    ``entry``: the metric's name in a study, else the metric. ``where``: the place of each item. ``content``: of each
    item whose text is in the log, a digest of it, so that equal names of different items are noticed.
    """

    entry: str
    metric: str
    items: pd.DataFrame
    where: Mapping[str, str]
    content: Mapping[str, str] = field(default_factory=dict)
    dataset: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tells it from the other tables of its checkpoint."""
        return f"{self.entry} on {self.dataset}" if self.dataset else self.entry


def module(name: str) -> AnyMetric:
    """A metric, or a scorer of tables, by its name; UserError if there is none."""
    if name in SCORERS:
        return cast(AnyMetric, SCORERS[name])
    if name not in CATALOG.metrics:
        raise UserError(f"there is no metric '{name}'; {suggestion(name, [*CATALOG.metrics.names(), *SCORERS])}")
    return CATALOG.metrics[name]


def read(path: Path, options: Options) -> Table:
    """The one table of a file. UserError as `read_all`, and if there are several."""
    found = read_all(path, options)
    if len(found) > 1:
        names = ", ".join(each.entry for each in found)
        raise UserError(f"{path}: it holds several tables, {names}; choose by --settings part=PART")
    return found[0]


def read_all(path: Path, options: Options) -> list[Table]:
    """The tables of items of a file. UserError for what is no per-item log, or does not carry what its metric needs."""
    if path.suffix not in ENDINGS:
        hint = "; convert it: `inspect log convert --to json`" if path.suffix == ".eval" else ""
        what = f"no format is called '{path.suffix}'" if path.suffix else "its ending does not say which format"
        raise UserError(f"{path}: {what}; one of {', '.join(ENDINGS)}{hint}")
    if path.suffix in (".csv", ".parquet"):
        return [_of_columns(path, options)]
    if path.suffix == ".json" and stereoset.fits(json_file(path)):
        return _of_predictions(path, options)
    return [_of_log(_log(path, options.select), options)]


def read_folder(paths: Sequence[Path], options: Options) -> Iterator[tuple[Path, Table]]:
    """The tables of items of files that belong together, each with a file that it is of.

    Logs of tasks that have one version of each sentence are one table: ``winogender_male`` and ``winogender_female``.
    """
    parts: dict[tuple[str, str], list[Log]] = {}
    for path in paths:
        log = _log(path, options.select) if _is_log(path) else None
        whole = _whole_task(log, options.metric) if log else None
        if log is None or whole is None:
            yield from ((path, each) for each in ([_of_log(log, options)] if log else read_all(path, options)))
        else:
            parts.setdefault(whole, []).append(log)
    for (_, task), logs in parts.items():
        records = [each for log in logs for each in log.records]
        yield logs[0].path, _of_log(replace(logs[0], task=task, records=records), options)


def _is_log(path: Path) -> bool:
    return path.suffix == ".jsonl" or (path.suffix == ".json" and not stereoset.fits(json_file(path)))


def _whole_task(log: Log, metric: str | None) -> tuple[str, str] | None:
    """Benchmark and task that a log has one version of; None for any other log."""
    if any(each.row is not None for each in log.records):
        return None
    name = metric or _metric_of(log)
    for ending in getattr(BENCHMARKS.get(name), "PARTS", ()):
        if log.task.endswith(f"_{ending}"):
            return name, log.task.removesuffix(f"_{ending}")
    return None


def _log(path: Path, select: str | None) -> Log:
    if path.suffix == ".jsonl":
        first = next((line for _, line in json_lines(path)), None)
        if first is None:
            raise UserError(f"{path}: the log has no items")
        for form in (lm_eval, every_eval_ever):
            if form.fits(first):
                return form.read(path, select)
        raise UserError(
            f"{path}: neither samples of lm-evaluation-harness (`doc_id`, `filtered_resps`) nor instances of Every "
            f"Eval Ever (`sample_id`, `evaluation_name`); its lines have {', '.join(sorted(first))}"
        )
    content = json_file(path)
    if inspect_log.fits(content):
        return inspect_log.read(path, select)
    if every_eval_ever.is_aggregate(content):
        raise UserError(f"{path}: aggregate results, without items; give the file of instances (.jsonl) beside it")
    raise UserError(f"{path}: no log of Inspect, which has `eval`, `status` and `samples`")


def _of_columns(path: Path, options: Options) -> Table:
    if options.metric is None:
        raise UserError(f"{path}: a table does not say what its columns are; write `--metric NAME`")
    items, places = columns.read(path, options.names)
    where = dict(zip(items["item"], places, strict=True))
    twice = items["item"].duplicated()
    if twice.any():
        at = int(twice.to_numpy().argmax())
        first = places[list(items["item"]).index(items["item"][at])]
        raise UserError(f"{places[at]}: item {items['item'][at]!r} occurs twice, first at {first}")
    return checked(Table(options.metric, options.metric, items, where, settings=options.settings), str(path))


def _of_predictions(path: Path, options: Options) -> list[Table]:
    if options.metric not in (None, "stereoset"):
        raise UserError(f"{path}: predictions of StereoSet, which {options.metric} does not read")
    found = stereoset.tables(path, options.data.get("items", ()), options.settings.get("part"))
    return [
        checked(
            Table(f"stereoset_{part}", "stereoset", items, {}, settings={**options.settings, "part": part}), str(path)
        )
        for part, items in found.items()
    ]


def with_both_parts(found: Sequence[Table]) -> list[Table]:
    """The tables, and after the two parts of StereoSet both together, as its evaluation reports them."""
    if {each.entry for each in found} != {f"stereoset_{part}" for part in stereoset.PARTS}:
        return list(found)
    items = pd.concat([each.items for each in found], ignore_index=True)
    return [*found, Table("stereoset_both", "stereoset", items, {}, settings=found[0].settings)]


def _of_log(log: Log, options: Options) -> Table:
    metric = options.metric or _metric_of(log)
    where = {each.item: each.where for each in log.records}
    rows = [each.row for each in log.records if each.row is not None]
    if len(rows) == len(log.records):
        table = _of_rows(rows, list(where.values()))
        return checked(Table(metric, metric, table, where, settings=options.settings), str(log.path))
    if rows:
        odd = next(each.where for each in log.records if each.row is None)
        raise UserError(f"{odd}: no row of a table, which other items have; export again")
    if metric not in BENCHMARKS:
        raise UserError(
            f"{log.path}: logs of {log.format} are not read for {metric}, only for {', '.join(sorted(BENCHMARKS))}; "
            "write a table with one row an item, and name its columns (docs/judging.md)"
        )
    try:
        items = BENCHMARKS[metric].items(log.records, options.data)
        of: dict[str, list[Record]] = {}
        for each in log.records:
            of.setdefault(BENCHMARKS[metric].name(each), []).append(each)
    except UNEXPECTED as error:
        raise UserError(f"{log.path}: no log of {metric} ({type(error).__name__}: {error})") from error
    where = {item: records[0].where for item, records in of.items()}
    content = {item: _digest([each.doc for each in records]) for item, records in of.items()}
    entry = log.task if log.task.startswith(metric) else metric
    scorer = getattr(BENCHMARKS[metric], "SCORER", metric)
    settings = {**_settings(BENCHMARKS[metric], log.records), **options.settings}
    return checked(Table(entry, scorer, items, where, content, settings=settings), str(log.path))


def _settings(benchmark: ModuleType, records: Sequence[Record]) -> Mapping[str, Any]:
    """Those of the metric that say how the log was made."""
    return benchmark.settings(records) if hasattr(benchmark, "settings") else {}


def _of_rows(rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> pd.DataFrame:
    """A column is text, or numbers with NaN for null, or true and false. UserError where it is several of them."""
    listed: dict[str, list[Any]] = {name: [] for name in rows[0]}
    for place, row in zip(places, rows, strict=True):
        if row.keys() != listed.keys():
            odd = ", ".join(sorted(row.keys() ^ listed.keys()))
            raise UserError(f"{place}: other columns than at {places[0]}, {odd}; export again")
        for name, value in row.items():
            listed[name].append(str(value) if name in columns.TEXT and value is not None else value)
    table = {}
    for name, values in listed.items():
        kinds = [_kind(value) for value in values]
        known = {*kinds} - {"null"}
        if len(known) > 1 or ("null" in kinds and "text" in known):
            first = kinds[0]
            at = next(at for at, kind in enumerate(kinds) if kind != first)
            raise UserError(f"{places[at]}: '{name}' is a {kinds[at]} and at {places[0]} a {first}; export again")
        table[name] = [math.nan if each is None else float(each) for each in values] if "null" in kinds else values
    return pd.DataFrame(table)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth value"
    return "null" if value is None else "text" if isinstance(value, str) else "number"


def _metric_of(log: Log) -> str:
    """By the fields of the items, else by the name of the task, which is the metric's in logs written here."""
    fields = log.records[0].doc.keys()
    for name, benchmark in BENCHMARKS.items():
        if fields >= benchmark.FIELDS:
            return name
    if log.task in CATALOG.metrics or log.task in SCORERS:
        return log.task
    there = ", ".join(sorted(map(str, fields)))
    raise UserError(
        f"{log.path}: neither its task '{log.task}' nor the fields of its items ({there}) tell "
        "which metric it is about; write `--metric NAME`"
    )


def _digest(docs: Sequence[Mapping[str, Any]]) -> str:
    """Of the fields of an item's records, in whatever order."""
    texts = sorted(json.dumps(each, sort_keys=True, default=str) for each in docs)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def settings_of(metric: str, given: Mapping[str, Any]) -> Settings:
    """The validated settings of a metric or scorer; UserError for what it does not take."""
    mistakes: list[Mistake] = []
    found = check_settings(module(metric).Settings, dict(given), metric, mistakes)
    if found is None or mistakes:
        raise UserError("; ".join(f"{each.key}: {each.reason} ({each.remedy})" for each in mistakes))
    return cast(Settings, found)


def checked(table: Table, path: str) -> Table:
    """The table itself; UserError if its metric cannot be computed from it."""
    found = module(table.metric)
    made_with, items = settings_in(table.items, path)
    given = {**made_with, **table.settings}
    settings = settings_of(table.metric, given)
    items = items.sort_values("item", kind="stable", ignore_index=True)
    absent = sorted({"item", "cluster", *found.CLUSTERS} - set(items.columns))
    if absent:
        raise UserError(f"{path}: no column {', '.join(absent)}, which {table.metric} needs; see docs/judging.md")
    try:
        found.summarize(items, settings)
        if hasattr(found, "signal"):
            found.signal(items, settings)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except UNEXPECTED as error:
        what = f"no column {error}" if isinstance(error, KeyError) else str(error)
        there = ", ".join(map(str, items.columns))
        raise UserError(f"{path}: no table of {table.metric}: {what}; it has {there}") from error
    return replace(table, items=items, settings=given)


def settings_in(items: pd.DataFrame, path: str) -> tuple[Mapping[str, Any], pd.DataFrame]:
    """The settings with which items were scored, where the file says so, and the items without them."""
    if SETTINGS not in items:
        return {}, items
    written = {*items[SETTINGS]}
    try:
        (found,) = (parse(str(each)) for each in written)
    except (JsonError, ValueError) as error:
        raise UserError(f"{path}: '{SETTINGS}' is not one JSON object for all items ({error}); export again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: '{SETTINGS}' is {brief(found)}, not an object; export again")
    return found, items.drop(columns=SETTINGS)
