"""How final files appear in Snakemake's report: which of them, under which heading, with which caption."""

from __future__ import annotations

from pathlib import Path

CATEGORIES = {
    "report.html": ("1 Report", "report"),
    "bias_by_damage.png": ("2 Bias against damage", "bias_by_damage"),
    "bias_by_sparsity.png": ("3 Bias against sparsity", "bias_by_sparsity"),
    "bias_by_task_score.png": ("4 Bias against task performance", "bias_by_task_score"),
    "bias_by_bytes.png": ("5 Bias against size and speed", "bias_by_bytes"),
    "bias_by_latency.png": ("5 Bias against size and speed", "bias_by_latency"),
    "verdicts.csv": ("6 Verdicts", "verdicts"),
    "flips.png": ("7 Items that changed side", "flips"),
    "validity.png": ("8 Validity of metrics", "validity"),
    "dose_response.png": ("8 Validity of metrics", "dose_response"),
    "agreement.png": ("9 Agreement of metrics", "agreement"),
    "agreement.csv": ("9 Agreement of metrics", "agreement"),
}


def shown(path: str) -> bool:
    """Whether a final file is included in the report."""
    return _ending(path) is not None


def labels(path: str, folder: str = "../report") -> dict[str, object]:
    """Arguments of Snakemake's ``report()`` for a final file; captions are in ``folder``, relative to the rules."""
    ending = _ending(path)
    if ending is None:
        raise ValueError(f"{path} is not included in the report")
    category, caption = CATEGORIES[ending]
    subject = Path(path).name.removesuffix(ending).rstrip("_").replace("_", ", ", 1)
    return {"category": category, "caption": f"{folder}/{caption}.rst", "labels": {"shows": subject or "whole study"}}


def _ending(path: str) -> str | None:
    return next((each for each in CATEGORIES if Path(path).name.endswith(each)), None)
