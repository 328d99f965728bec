"""What a study's answer lacks, and why: failed, not made yet, or waiting for something that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.planning import grid, studies
from fairshrink.planning.artifact import Artifact
from fairshrink.registry import CATALOG
from fairshrink.reporting import partial
from fairshrink.reporting.outputs import REPORT
from fairshrink.store import artifacts, checked, failures
from fairshrink.study.jobs import AggregateJob

FOLDER = "partial"
NOT_MADE = "not computed yet"
LISTED = 10


def show(file: str) -> str:
    """Write the partial answer of a study; returns what to say of it. Raises UserError if there is nothing to show."""
    loaded = studies.load(file)
    whole = grid.expand(loaded)
    job = whole.tables.job
    assert isinstance(job, AggregateJob)
    known: dict[str, str | None] = {}
    found = partial.of(
        job, lambda score: why_missing(str(path := Path(score.path).parent), whole, known) or _damage(path)
    )
    if not found.holes:
        return f"study {loaded.name}: all scores exist, nothing is partial; `make STUDY={file}` makes its tables"
    folder = Path(loaded.output) / loaded.name / FOLDER
    metrics = {each.metric: CATALOG.metrics[each.metric] for each in job.scores}
    partial.write(found, metrics, folder, log)
    reasons = Counter(each.why for each in found.holes)
    lines = [f"study {loaded.name}: {len(found.holes)} of {len(job.scores)} scores are missing or left out"]
    lines += [f"  {count} x {text}" for text, count in reasons.most_common(LISTED)]
    if not found.job.scores:
        raise UserError("\n".join([*lines, "Nothing can be shown yet."]))
    return "\n".join([*lines, f"what exists: {folder / REPORT}"])


def why_missing(path: str, whole: Mapping[str, Artifact], known: dict[str, str | None]) -> str | None:
    """Why the artifact at ``path`` does not exist; None if it does. ``known``: what has been found out so far."""
    if path not in known:
        known[path] = None if artifacts.exists(Path(path)) else _why(whole[path], whole, known)
    return known[path]


def _damage(path: Path) -> str | None:
    """What is wrong with scores that exist; None if they are those of their record."""
    try:
        checked.require(path)
    except UserError as error:
        return f"damaged ({error})"
    return None


def _why(artifact: Artifact, whole: Mapping[str, Artifact], known: dict[str, str | None]) -> str:
    failed = failures.reason(artifact.key)
    if failed is not None:
        return f"failed ({artifact.name}: {failed})"
    reasons = [why_missing(path, whole, known) for path in artifact.inputs.values()]
    return next((each for each in reasons if each not in (None, NOT_MADE)), None) or NOT_MADE
