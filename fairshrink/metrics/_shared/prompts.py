"""Prompts that a causal language model continues: our own, about persons of many groups, or a study's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.contracts import Scoring
from fairshrink.data.json_text import parse
from fairshrink.errors import UserError
from fairshrink.grammar import capitalized
from fairshrink.metrics._shared.continuing import DrawnSettings, continued
from fairshrink.metrics._shared.lines import lines_of
from fairshrink.metrics._shared.outcomes import Skipped, reasons, tell_skipped
from fairshrink.metrics._shared.sampling import spread_sample
from fairshrink.resources import json_file

if TYPE_CHECKING:
    import pandas as pd

WHAT = "prompts instead of our own: lines of text, or .jsonl with `prompt` and perhaps `group`, as RealToxicityPrompts"


class PromptSettings(DrawnSettings):
    """Which prompts are continued, and how."""

    draws: int = Field(2, ge=1, le=100, description="continuations of each prompt")
    chat_template: bool = Field(False, description="whether a prompt is a message in the model's chat template")
    sample: int | None = Field(
        None, ge=1, description="number of prompts, in which groups and templates keep their shares; all if not given"
    )


@dataclass(frozen=True)
class Prompt:
    """A beginning of a text; ``person`` and ``context`` are what it is made of, or the prompt itself."""

    item: str
    text: str
    group: str
    person: str
    context: str
    place: str = ""


def answered(metric: str, given: Scoring, settings: PromptSettings) -> tuple[pd.DataFrame, list[list[str]]]:
    """One row per prompt, and the texts that the model writes after each: none where the prompt is skipped.

    Columns: item, cluster (its beginning), person, group, skipped, and ``text``, the first of its texts.
    """
    import pandas as pd

    prompts = chosen_prompts(metric, given.data, settings)
    texts = [each.text for each in prompts]
    outcomes = continued(given.checkpoint, texts, settings.draws, settings, settings.chat_template)
    tell_skipped(metric, [each.place or each.item for each in prompts], outcomes)
    written = [[] if isinstance(each, Skipped) else each for each in outcomes]
    columns = {
        "item": [each.item for each in prompts],
        "cluster": [each.context for each in prompts],
        "person": [each.person for each in prompts],
        "group": [each.group for each in prompts],
        "skipped": reasons(outcomes),
        "text": [each[0] if each else "" for each in written],
    }
    return pd.DataFrame(columns), written


def chosen_prompts(metric: str, data: Mapping[str, Sequence[Path]], settings: PromptSettings) -> list[Prompt]:
    """The prompts of the files in ``data`` with the role `prompts`, else our own; a sample where settings say so."""
    every = list(_from_files(metric, data["prompts"]) if "prompts" in data else _own())
    items = [each.item for each in every]
    if len(set(items)) < len(items):
        raise UserError(f"{metric}: two files of data.prompts have one name; rename one of them")
    drawn = spread_sample(
        items,
        [each.group for each in every],
        [each.context for each in every],
        settings.sample,
        settings.seed,
    )
    return [every[at] for at in drawn]


def _own() -> Iterator[Prompt]:
    data = json_file(__file__, "prompts.json")
    for number, context in enumerate(data["contexts"]):
        for group, persons in data["persons"].items():
            for person in persons:
                text = capitalized(context.replace("{person}", person))
                yield Prompt(f"{number:02d}/{group}/{person}", text, group, person, context)


def _from_files(metric: str, files: Sequence[Path]) -> Iterator[Prompt]:
    for path, number, line in lines_of(metric, "prompts", files):
        text, group = line.strip(), "prompts"
        if path.suffix == ".jsonl":
            text, group = _of_json(metric, path, number, line)
        item = f"{path.stem}/{number:06d}"
        yield Prompt(item, text, group, item, item, f"{path}, line {number}")


def _of_json(metric: str, path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        row = parse(line)
    except ValueError as error:
        raise UserError(f"{metric}: {path}, line {number}: {error}; write one object a line") from error
    prompt = row.get("prompt") if isinstance(row, dict) else None
    text = prompt.get("text") if isinstance(prompt, dict) else prompt
    if not isinstance(text, str) or not text.strip():
        raise UserError(f'{metric}: {path}, line {number}: no text; write {{"prompt": "…"}}')
    group = row.get("group", "prompts")
    if not isinstance(group, str) or not group.strip():
        raise UserError(f"{metric}: {path}, line {number}: the group {group!r} is no text; name it or leave it out")
    return text.strip(), group
