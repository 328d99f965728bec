"""Names, settings and numbers in words, the same in sentences, tables and the report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

MISSING = "–"


def words(name: str) -> str:
    """An identifier as words: ``sentiment_gap`` is ``sentiment gap``, the chain ``wanda+int8`` is ``wanda + int8``."""
    return name.replace("_", " ").replace("+", " + ")


def compression(method: str, setting: str) -> str:
    """A method with its settings: ``head pruning, 25% sparsity``, ``low rank, rank 64``."""
    return ", ".join([words(method), *(_setting(part) for part in re.split(r"[,;]\s*", setting) if part)])


def _setting(part: str) -> str:
    name, separator, value = part.partition("=")
    if not separator:
        return words(part)
    step, _, of_step = name.rpartition(".")
    if step:
        return f"{_setting(f'{of_step}={value}')} ({words(step)})"
    if name == "sparsity" and (share := _share(value)):
        return f"{share} sparsity"
    return f"{words(name)} {value}"


def _share(value: str) -> str:
    try:
        return f"{100 * float(value):.4g}%"
    except ValueError:
        return ""


def number(value: float | None, digits: int = 3) -> str:
    """A number to ``digits`` significant digits, with an exponent below 0.0001 only; a dash if missing."""
    if value is None or value != value:
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value and abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    places = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(places, 0), 6)}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """``p = 0.02``, ``p < 0.001``, or a dash."""
    if value is None or value != value:
        return MISSING
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def margin(value: float, unbiased: float | None) -> str:
    """A margin with its unit: points where the metric is a percentage (an unbiased model scores 50)."""
    return f"{number(value).rstrip('0').rstrip('.') if value else '0'}{' points' if unbiased == 50 else ''}"


def listed(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
