"""A symbol and a style for each verdict, so that none is told by its color alone."""

from __future__ import annotations

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.verdict_kinds import Verdict

LOOKS: dict[Verdict, tuple[str, str]] = {
    kinds.LESS_BIASED: ("▼", "less"),
    kinds.MORE_BIASED: ("▲", "more"),
    kinds.AS_DAMAGE: ("≈", "damage"),
    kinds.UNCONTROLLED: ("?", "uncontrolled"),
    kinds.UNCHANGED: ("=", "same"),
    kinds.ONLY_RANDOM: ("~", "random"),
    kinds.NO_CHANGE: ("·", "none"),
    kinds.NOT_MEASURABLE: ("×", "lost"),
    kinds.UNRESOLVED: ("…", "open"),
}
"""Verdict → its symbol and the name of its style in report.css; in the order of telling."""


def look(verdict: object) -> dict[str, str]:
    """Symbol and style of a verdict; empty where there is none (baselines, controls)."""
    symbol, style = next((each for name, each in LOOKS.items() if name == verdict), ("", ""))
    return {"text": verdict if symbol else "", "symbol": symbol, "style": style}  # type: ignore[dict-item]
