"""docs/gallery.md: every method, metric, task and source on one page, generated from their cards and settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from fairshrink import registry
from fairshrink.contracts import BIAS_KINDS
from fairshrink.documenting import cards, settings_effects
from fairshrink.documenting.cards import Card
from fairshrink.documenting.study_reference import settings_table
from fairshrink.study.catalog import every_role

INTRODUCTION = """# Gallery of methods and metrics

What each one computes, where it comes from, what its values mean, what it cannot show, and the YAML that uses it. A new
one appears here by itself ([adding.md](adding.md)).

*This page is generated from the docstrings and settings of the code (`make docs`).*
"""
TITLES = {
    "compression": "Compression methods",
    "metrics": "Metrics",
    "tasks": "Kinds of task",
    "sources": "Sources of downloads",
}


def markdown(folder: Path | None = None) -> str:
    """The whole page; what settings do to metrics is in a table in ``folder``, if at all."""
    effects = settings_effects.read(folder)
    return "\n\n".join([INTRODUCTION.rstrip(), *_overviews(), *_entries(effects)]).rstrip() + "\n"


def _overviews() -> Iterator[str]:
    """A table of the methods and one of the metrics, with a line for each."""
    methods = [(_link(card), _family(card), card.title, _gist(card, "Saves")) for card in _all("compression")]
    yield f"## At a glance\n\n{_rows(('method', 'family', 'what it does', 'saves'), methods)}"
    nulls = ("Range", "Unbiased model", "Random model")
    metrics = [(_link(card), card.title, *(_gist(card, label) for label in nulls)) for card in _all("metrics")]
    yield _rows(("metric", "what it asks", "range", "unbiased model", "random model"), metrics)


def _entries(effects: Mapping[str, Sequence[settings_effects.Row]]) -> Iterator[str]:
    for kind, title in TITLES.items():
        yield f"## {title}"
        family = ""
        for card in _all(kind):
            if _family(card) != family:
                family = _family(card)
                yield f"### {family.capitalize()}\n\n{cards.family(kind, card.name)}"
            yield from _entry(card, "####" if family else "###")
            if kind == "metrics":
                rows = effects.get(card.name, [])
                if rows or (_module(card).KIND in BIAS_KINDS and _module(card).Settings.model_fields):
                    yield from settings_effects.of_metric(rows)


def _entry(card: Card, level: str) -> Iterator[str]:
    yield f"{level} `{card.name}`"
    yield f"**{card.title}**"
    if card.prose:
        yield card.prose
    for label, text in card.fields.items():
        if label == "Use":
            continue
        if label == "Formula":
            yield f"```text\n{text}\n```"
        elif text.startswith("- "):
            yield f"**{label}**\n\n{text}"
        else:
            yield f"**{label}.** {text}"
    yield from _facts(card)
    yield f"**In a study**\n\n```yaml\n{card.fields['Use']}\n```"
    if _module(card).Settings.model_fields:
        yield settings_table(_module(card).Settings)


def _facts(card: Card) -> Iterator[str]:
    """Facts about a module that are in its code, not in its card."""
    module = _module(card)
    if card.kind == "metrics":
        statistic, group = module.HEADLINE
        needs = " or ".join(f"`{each}`" for each in sorted(module.NEEDS))
        yield f"**Kind and needs.** {module.KIND.capitalize()}, for checkpoints that offer {needs}."
        yield f"**Headline.** `{statistic}` of the group `{group}`."
        if module.ROLES:
            roles = "; ".join(f"`data.{role}`, {what}" for role, what in module.ROLES.items())
            yield f"**The study names** {roles}."
        others = every_role(module).items() - module.ROLES.items()
        if others:
            yield f"**It can name** {'; '.join(f'`data.{role}`, {what}' for role, what in sorted(others))}."
    elif card.kind == "compression" and module.NEEDS_TASK:
        yield "**Needs** a task with examples."


def _all(kind: str) -> list[Card]:
    """Cards of a kind, family by family."""
    found = [cards.of(kind, name) for name in registry.names(kind)]
    return sorted(found, key=lambda card: (_family(card), card.name))


def _module(card: Card) -> ModuleType:
    return registry.load(card.kind, card.name)


def _family(card: Card) -> str:
    return registry.modules(card.kind).family(card.name).replace("_", " ").replace(".", ", ")


def _link(card: Card) -> str:
    return f"[`{card.name}`](#{card.name})"


def _gist(card: Card, label: str) -> str:
    """The first clause of a field."""
    return card.fields[label].replace("\n", " ").partition(". ")[0].partition(": ")[0].rstrip(".")


def _rows(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(header)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
