"""Checks of what follows what: steps of chains take the weights that they find, and what trains has its control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairshrink.contracts import TRAINED_FURTHER, FittingMethod, Form, Formed, Forms
from fairshrink.log import log
from fairshrink.study.mistakes import Mistake
from fairshrink.study.ready_made import check_examples
from fairshrink.study.study import ChainEntry, CompressionEntry, Study

WORDS: dict[Form, str] = {
    "baseline": "an uncompressed model",
    "dense": "dense weights",
    "factored": "factored weights",
    "packed": "packed codes",
}


def check_single(entry: CompressionEntry, key: str, mistakes: list[Mistake]) -> None:
    """Add a mistake where a method only makes sense after others."""
    if "baseline" not in forms(entry).takes:
        mistakes.append(Mistake(f"{key}.method", *_first(entry)))


def check_chain(study: Study, entry: ChainEntry, mistakes: list[Mistake]) -> None:
    """Add the mistakes of a chain: no task, no examples, a step that does not take what it finds."""
    key, pairs = f"compressions.{entry.method}", study.compressed(entry)
    if study.whole and not pairs:
        mistakes.append(Mistake(key, "no model of the study has such a task", "other `models` or `tasks`"))
    for number, step in enumerate(entry.steps):
        check_examples(study, step, pairs, f"{key}.chain[{number}]", mistakes)
    found: Form = "baseline"
    for number, step in enumerate(entry.steps):
        if found not in forms(step).takes:
            mistakes.append(Mistake(f"{key}.chain[{number}]", *_unfit(entry.steps, number, found)))
            return
        found = forms(step).after(found)


def forms(entry: CompressionEntry) -> Forms:
    """What a method takes and gives."""
    return entry.module.FORMS if isinstance(entry.module, Formed) else Forms()


def hint_control(study: Study) -> None:
    """Say which methods train without a control that is trained as long: what training alone changes is not known."""
    trained = {(c.method, _epochs(c.settings)) for c in study.controls}
    steps = [*study.compressions, *(step for chain in study.chains for step in chain.steps)]
    hints = dict.fromkeys(
        (step.method, _epochs(step.settings))
        for step in steps
        if isinstance(step.module, FittingMethod) and step.module.FITS
    )
    for method, epochs in hints:
        # What has no epochs looks at the loss without training on it.
        if epochs is not None and (TRAINED_FURTHER, epochs) not in trained:
            log(
                f"{study.file}: hint: {method} trains for {epochs} epochs; what training alone changes is not known "
                f"without its control: `controls: [{{method: {TRAINED_FURTHER}, epochs: {epochs}}}]`"
            )


def _epochs(settings: Any) -> int | None:
    return getattr(settings, "epochs", None)


def _first(entry: CompressionEntry) -> tuple[str, str]:
    wanted = " or ".join(WORDS[each] for each in sorted(forms(entry).takes))
    reason = f"{entry.method} takes {wanted} of a compression, and nothing comes before it"
    remedy = f"`chain: [{{method: …}}, {{method: {entry.method}}}]`"
    if isinstance(entry.module, FittingMethod) and entry.module.FITS:
        remedy += f"; training alone is the control {TRAINED_FURTHER}"
    return reason, remedy


def _unfit(steps: Sequence[CompressionEntry], number: int, found: Form) -> tuple[str, str]:
    step = steps[number]
    if number == 0:
        return _first(step)
    wanted = " or ".join(WORDS[each] for each in sorted(forms(step).takes))
    reason = f"{step.method} takes {wanted}, and {steps[number - 1].method} leaves {WORDS[found]}"
    if forms(step).takes == {"baseline"}:
        return reason, f"put {step.method} first"
    packers = (each.method for each in reversed(steps[:number]) if forms(each).gives == found)
    packer = next(packers, steps[number - 1].method)
    return reason, f"put {step.method} before {packer}"
