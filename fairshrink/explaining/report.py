"""The explanation of a plan as text and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fairshrink.contracts import STAGES
from fairshrink.explaining.differences import VERBS, Difference
from fairshrink.explaining.estimates import Estimate, estimate
from fairshrink.explaining.reasons import FOLLOWS, Reason, reasons
from fairshrink.explaining.records import Record, label
from fairshrink.planning.artifact import Artifact
from fairshrink.planning.plan import Plan

MAX_NAMED = 3
NOUNS = {
    "download": "download",
    "finetune": "baseline",
    "compress": "compressed checkpoint",
    "evaluate": "score table",
    "aggregate": "result (tables and figures)",
}


def explain(
    plan: Plan,
    grid: Mapping[str, Artifact],
    records: list[Record],
    guess: Callable[[str], float | None] = lambda path: None,
) -> dict[str, Any]:
    """What the plan restores and computes, why, and how long computing will take."""
    computed = plan.computed
    restored = [each.recipe.path for job in plan.of("restore") for each in job.artifacts]
    return {
        "study": plan.study,
        "jobs": dict(Counter(job.stage for job in plan.jobs if job.artifacts)),
        "restored": {stage: [path for path in restored if grid[path].stage == stage] for stage in STAGES},
        "reasons": reasons(computed, grid, records),
        "estimates": estimate(computed, grid, records, guess),
    }


def as_values(explained: Mapping[str, Any]) -> dict[str, Any]:
    """The explanation as JSON values."""
    return dict(explained) | {
        "reasons": [
            {
                "stage": each.stage,
                "differences": [vars(difference) for difference in each.differences],
                "paths": list(each.paths),
                "nearest": each.nearest,
            }
            for each in explained["reasons"]
        ],
        "estimates": {stage: vars(each) for stage, each in explained["estimates"].items()},
    }


def as_text(explained: Mapping[str, Any], grid: Mapping[str, Artifact]) -> str:
    """The explanation for people."""
    restored = {stage: paths for stage, paths in explained["restored"].items() if paths}
    if not restored and not explained["reasons"]:
        return f"study {explained['study']}: everything is up to date, nothing to do"
    lines = [f"study {explained['study']}", "", "To restore, from DVC's cache or remote:"]
    lines += [f"  {_count(len(paths), stage)}" for stage, paths in restored.items()] or ["  nothing"]
    lines += ["", "To compute:"]
    for reason in explained["reasons"]:
        lines += _reason(reason, grid)
    lines += ["" if explained["reasons"] else "  nothing", *_times(explained["estimates"])]
    return "\n".join(lines).rstrip()


def _count(number: int, stage: str) -> str:
    noun = NOUNS[stage]
    return f"{number} {noun}" if number == 1 else f"{number} {noun.replace(' (', 's (') if '(' in noun else noun + 's'}"


def _reason(reason: Reason, grid: Mapping[str, Artifact]) -> list[str]:
    names = [label(reason.stage, path, grid[path].name) for path in reason.paths]
    lines = [f"  {_count(len(names), reason.stage)}:"]
    lines += [f"    why: {each}" for each in why(reason.differences)]
    lines += [f"    {each}" for each in names[:MAX_NAMED]]
    return lines + ([f"    … and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else [])


def why(differences: Iterable[Difference]) -> list[str]:
    """The differences as lines; definitions of one file that changed in the same way share one."""
    lines: list[str] = []
    files: dict[tuple[str, str], list[str]] = {}
    for each in differences:
        if each.kind == "code":
            name, verb = _split(each.change)
            files.setdefault((each.where, verb), []).append(name)
        else:
            lines.append(each.where if each.kind == FOLLOWS else str(each))
    return lines + [f"{file}: {_some(names)} {verb}".removeprefix(": ") for (file, verb), names in files.items()]


def _some(names: list[str]) -> str:
    more = len(names) - 2 * MAX_NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[: 2 * MAX_NAMED])} and {more} more"


def _split(change: str) -> tuple[str, str]:
    verb = next(each for each in VERBS if change.endswith(each))
    return change.removesuffix(f" {verb}"), verb


def _times(estimates: Mapping[str, Estimate]) -> list[str]:
    if not estimates:
        return []
    lines = ["Expected time, one artifact after another, from the records of earlier ones:"]
    for stage, each in estimates.items():
        unknown = f"; unknown for {each.unknown} of them (no similar record)" if each.unknown else ""
        guessed = f"; for {each.guessed} of them an estimate from this machine's speed" if each.guessed else ""
        lines.append(f"  {stage:10} {each.count:6} artifacts  {_duration(each)}{guessed}{unknown}")
    total = Estimate(
        count=sum(each.count for each in estimates.values()),
        cpu_s=sum(each.cpu_s for each in estimates.values()),
        gpu_s=sum(each.gpu_s for each in estimates.values()),
        unknown=sum(each.unknown for each in estimates.values()),
    )
    lines.append(f"  {'total':10} {total.count:6} artifacts  {_duration(total)}")
    if total.gpu_s:
        lines.append(f"  GPU hours: {total.gpu_s / 3600:.2f}")
    if any(each.guessed for each in estimates.values()):
        lines.append("  (estimates from the machine's speed can be off by a factor of three)")
    return [*lines, "  (excluding process start-up, up to 4 s per job, and waiting in queues)"]


def _duration(each: Estimate) -> str:
    if each.unknown == each.count:
        return "time unknown"
    parts = [f"{_clock(each.cpu_s)} on CPU"] if each.cpu_s or not each.gpu_s else []
    parts += [f"{_clock(each.gpu_s)} on GPU"] if each.gpu_s else []
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
