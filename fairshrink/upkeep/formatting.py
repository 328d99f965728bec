"""Sizes and counts as text for people."""

from __future__ import annotations

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size_text(size: float) -> str:
    """Bytes in decimal units, such as ``1.2 GB``."""
    unit = 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{size:.0f} {UNITS[0]}"


def count(number: int, noun: str, many: str = "") -> str:
    """A number and its noun, such as ``1 artifact``, ``2 artifacts``; ``many`` is a plural without s."""
    return f"{number} {noun if number == 1 else many or noun + 's'}"
