"""Items of a checkpoint and its baseline are matched by name: what does not match is an error, or counted and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fairshrink.errors import UserError
from fairshrink.judging.given import DAMAGE, Given
from fairshrink.judging.tables import Table, settings_of


def matched(baseline: Given, others: Sequence[Given], *, shared: bool) -> tuple[Given, list[Given], list[str]]:
    """Baseline and others with the same items in each table, and what was left out, in sentences.

    Without ``shared`` a different set of items is a UserError that says how many and where; with it only items that all
    of them have are kept. Equal names of different items are an error in any case.
    """
    tables = {each.name: dict(each.tables) for each in (baseline, *others)}
    notes: list[str] = []
    for split, of_baseline in baseline.tables.items():
        for entry, reference in of_baseline.items():
            rivals = [each for each in others if entry in each.tables.get(split, {})]
            for each in rivals:
                _same_content(reference, each.tables[split][entry])
                _same_settings(baseline.name, reference, each.name, each.tables[split][entry])
            kept = set(reference.items["item"])
            for each in rivals:
                found = set(each.tables[split][entry].items["item"])
                if found != kept and not shared:
                    raise UserError(_difference(baseline.name, reference, each.name, each.tables[split][entry]))
                kept &= found
            if shared:
                for each in (baseline, *rivals):
                    table = each.tables[split][entry]
                    left = len(table.items) - len(kept)
                    if left:
                        notes.append(f"{each.name}, {entry}: {left} of {len(table.items)} items are not in all logs")
                        tables[each.name][split] = {**tables[each.name][split], entry: _only(table, kept)}
                if not kept:
                    raise UserError(f"{entry}: no item is in all logs")
    notes += [f"{each.name}: {line}" for each in others for line in _without_counterpart(baseline, each)]
    return (
        replace(baseline, tables=tables[baseline.name]),
        [replace(each, tables=tables[each.name]) for each in others],
        notes,
    )


def _without_counterpart(baseline: Given, other: Given) -> Iterator[str]:
    """Tables that only one of the two has. UserError if the other has any that the baseline has not, or none of it."""
    for split, tables in other.tables.items():
        there: Mapping[str, Table] = baseline.tables.get(split, {})
        extra = sorted(tables.keys() - there.keys())
        if extra:
            known = ", ".join(sorted(there)) or "nothing"
            raise UserError(
                f"{other.name} has {', '.join(extra)}, and the baseline {baseline.name} has {known}: give logs of the "
                "same metrics of both"
            )
        absent = sorted(there.keys() - tables.keys() - {DAMAGE})
        if absent:
            yield f"no log of {', '.join(absent)}, which the baseline has"


def _same_content(reference: Table, other: Table) -> None:
    for item, digest in other.content.items():
        if reference.content.get(item, digest) != digest:
            raise UserError(
                f"{other.where[item]}: item {item!r} is another one than at {reference.where[item]}: these are logs of "
                "different data, or of different versions of it"
            )
    both = reference.items.merge(other.items, on="item", suffixes=("_reference", "_other"))
    for name in ("cluster", "group"):
        if name in reference.items and name in other.items:
            wrong = both[both[f"{name}_reference"] != both[f"{name}_other"]]
            if len(wrong):
                item = wrong["item"].iloc[0]
                raise UserError(
                    f"{other.where[item]}: item {item!r} has another {name} than at {reference.where[item]}; the items "
                    "of both logs have to be the same"
                )


def _same_settings(name: str, reference: Table, other_name: str, other: Table) -> None:
    """UserError where two tables were made in different ways; how many items, and which draw, are none."""
    one, two = (settings_of(each.metric, each.settings).model_dump() for each in (reference, other))
    odd = sorted(key for key in one.keys() - {"sample", "seed"} if one[key] != two.get(key))
    if odd:
        said = "; ".join(f"{key}: {one[key]!r} and {two.get(key)!r}" for key in odd)
        raise UserError(
            f"{reference.entry}: {name} and {other_name} were scored with different settings ({said}): score both "
            "alike, or state how with --settings"
        )


def _difference(name: str, reference: Table, other_name: str, other: Table) -> str:
    here, there = set(other.items["item"]), set(reference.items["item"])
    parts = [
        f"{len(only)} only in {whose} (first: {item!r} at {table.where[item]})"
        for whose, only, table in ((other_name, here - there, other), (name, there - here, reference))
        for item in sorted(only)[:1]
    ]
    return (
        f"{reference.entry}: {other_name} and the baseline {name} have different items: {'; '.join(parts)}. Give "
        "logs of the same items, or write --shared-items to judge those that all logs have"
    )


def _only(table: Table, kept: set[str]) -> Table:
    return replace(table, items=table.items[table.items["item"].isin(kept)].reset_index(drop=True))
