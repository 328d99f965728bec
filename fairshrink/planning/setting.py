"""The readable form of a compression's settings, for names and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fairshrink.contracts import CHAIN, AnyMethod, FittingMethod
from fairshrink.keys import canonical
from fairshrink.study.jobs import Identity
from fairshrink.study.study import ChainEntry, CompressionEntry, ControlEntry, Study

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


def chain_identity(baseline: Identity, chain: ChainEntry, study: Study) -> Identity:
    """What a chain, or the beginning of one, is in tables: ``wanda+recovery`` with ``sparsity=0.5,epochs=1``.

    A setting that several steps show is said with its step, ``random.sparsity=0.3,magnitude_global.sparsity=0.6``.
    Its sparsity is that of the one step that has one: of several, none says how much is left, but for the ledger.
    """
    alike = [each for each in study.chains if each.method == chain.method] or [chain]
    shown: list[tuple[str, str, str]] = []
    for number, step in enumerate(chain.steps):
        settings = step.settings.model_dump(mode="json")
        label = step.method if [each.method for each in chain.steps].count(step.method) == 1 else f"step{number + 1}"
        names = distinguishing(step, [each.steps[number] for each in alike])
        shown += [(label, name, _short(settings[name])) for name in names]
    times = Counter(name for _, name, _ in shown)
    parts = [f"{name if times[name] == 1 else f'{label}.{name}'}={value}" for label, name, value in shown]
    sparsities = [each for step in chain.steps if (each := step.settings.model_dump().get("sparsity")) is not None]
    sparsity = sparsities[0] if len(sparsities) == 1 else None
    setting = ",".join(parts)
    return replace(baseline, method=chain.method, method_family=CHAIN, setting=setting, sparsity=sparsity)


def trains_long(module: AnyMethod) -> bool:
    """Whether a method trains by itself, so that its job is one of training."""
    return isinstance(module, FittingMethod) and module.FITS


def _short(value: object) -> str:
    """Numbers that differ look different: tables take equal texts for one setting."""
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)
