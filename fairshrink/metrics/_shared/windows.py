"""Perplexity of text files: lines as items, long ones in windows that overlap, so that each token counts once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fairshrink.contracts import MetricKind
from fairshrink.errors import UserError
from fairshrink.metrics._shared.counts import counts
from fairshrink.metrics._shared.files import numbered_lines
from fairshrink.settings import Settings
from fairshrink.stats.estimates import Statistic, combine, ratio

if TYPE_CHECKING:
    import pandas as pd


NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "task"
ROLES = {"text": "text files"}
HEADLINE = ("score", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)


class TextSettings(Settings):
    """Which lines are scored, and how long ones are cut."""

    column: int | None = Field(
        None,
        ge=0,
        description="files are tables with tabs between columns: which column has the text, counted from 0; whole "
        "lines if not given",
    )
    sample: int | None = Field(None, ge=1, description="number of lines, drawn at random; all if not given")
    seed: int = Field(0, ge=0, description="seed of the sample")
    window: int | None = Field(
        None, ge=8, description="tokens of text that a model sees at once; all that it has positions for if not given"
    )
    stride: float = Field(
        0.5, gt=0, le=1, description="share of a window by which the next one is further; the rest is context only"
    )


def windows(count: int, size: int, step: int) -> Iterator[tuple[int, int, int]]:
    """Pieces of ``count`` tokens: start, stop, and from which token on they are scored. Each is scored once.

    ``step`` is from one start to the next; the last piece ends with the last token.
    """
    start, done = 0, 0
    while done < count:
        stop = min(start + size, count)
        yield start, stop, done
        start, done = start + step, stop


def lines(files: Iterable[Path], metric: str, settings: TextSettings) -> dict[str, str]:
    """The drawn lines that are not empty, by their names. UserError for files that are no text, or not this column."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for path in map(Path, files):
        if path.name in seen:
            raise UserError(f"{metric}: two files are called {path.name}; name each file once")
        seen.add(path.name)
        listed = list(numbered_lines(path, metric, "text"))
        if settings.column is None:
            _refuse_table(path, metric, [line for _, line in listed])
        for number, line in listed:
            found[f"{path.name}/{number:07d}"] = _text(line, settings.column, f"{metric}: {path}, line {number}")
    if not found:
        raise UserError(f"{metric}: `text` of `data` has no line with text")
    chosen = sorted(np.random.default_rng(settings.seed).permutation(len(found))[: settings.sample].tolist())
    names = list(found)
    return {names[i]: found[names[i]] for i in chosen}


def _text(line: str, column: int | None, where: str) -> str:
    """The text of a line, or what its column says; UserError where that is nothing."""
    if column is None:
        return line.strip()
    fields = line.split("\t")
    if column >= len(fields):
        raise UserError(
            f"{where}: no column {column} (`column`, counted from 0), as it has {len(fields)}; fix the file"
        )
    if not fields[column].strip():
        raise UserError(f"{where}: nothing in column {column} (`column`, counted from 0); fix the file")
    return fields[column].strip()


def _refuse_table(path: Path, metric: str, listed: Sequence[str]) -> None:
    """UserError for lines that all have equally many tabs: scored whole, ids and numbers would count as text."""
    tabs = {line.strip().count("\t") for line in listed}
    if len(listed) > 1 and len(tabs) == 1 and tabs != {0}:
        last = tabs.pop()
        raise UserError(
            f"{metric}: {path} is a table, {last + 1} columns with tabs between them; write `column:` with the number "
            f"of the one with the text, 0 to {last}"
        )


def table(texts: dict[str, str], nll: Sequence[float], tokens: Sequence[int], vocabulary: int) -> pd.DataFrame:
    """One row per line: item, cluster (the same), group, nll (sum, in nats), tokens, characters, vocabulary."""
    import pandas as pd

    return pd.DataFrame(
        {
            "item": list(texts),
            "cluster": list(texts),
            "group": "all",
            "nll": list(nll),
            "tokens": list(tokens),
            "characters": [len(text) for text in texts.values()],
            "vocabulary": vocabulary,
        }
    )


def summarize(items: pd.DataFrame, name: str) -> list[Statistic]:
    """score, the perplexity under this name, bits per character."""
    n, vocabulary = len(items), float(items["vocabulary"].iloc[0])
    per_token = ratio(items["nll"], items["tokens"])
    bits = ratio(items["nll"] / np.log(2), items["characters"])
    return [
        Statistic(
            "score", combine(np.negative, per_token), "all", n, random=-float(np.log(vocabulary)), higher_is="better"
        ),
        Statistic(name, combine(np.exp, per_token), "all", n, random=vocabulary, higher_is="worse"),
        Statistic("bits_per_character", bits, "all", n, higher_is="worse"),
        *counts((items["tokens"] > 0).to_numpy(), False),
    ]
