"""The readable form of a compression's settings, for names and tables."""

from __future__ import annotations

from collections.abc import Sequence

from fairshrink.keys import canonical
from fairshrink.study.study import CompressionEntry, ControlEntry

Entry = CompressionEntry | ControlEntry


def setting_text(entry: Entry, entries: Sequence[Entry]) -> str:
    """``name=value,…`` of the settings that distinguish an entry from the others of its method in a study."""
    settings = entry.settings.model_dump(mode="json")
    return ",".join(f"{name}={_short(settings[name])}" for name in distinguishing(entry, entries))


def distinguishing(entry: Entry, entries: Sequence[Entry]) -> list[str]:
    """Settings that differ between entries of a method, or that it requires; else all that the study gives."""
    fields = type(entry.settings).model_fields
    stated = [name for name in fields if name in entry.explicit and getattr(entry.settings, name) is not None]
    same_method = [each for each in entries if each.method == entry.method]
    values = {name: {canonical(each.settings.model_dump(mode="json")[name]) for each in same_method} for name in stated}
    chosen = [name for name in stated if fields[name].is_required() or len(values[name]) > 1]
    return chosen or stated


def _short(value: object) -> str:
    """Numbers that differ look different: tables take equal texts for one setting."""
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)
