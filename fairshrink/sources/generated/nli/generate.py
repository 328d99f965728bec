"""Sentence pairs for natural language inference, made by rules.

A hypothesis is drawn first, without regard to its label; then a premise is built from which it follows (entailment),
which rules it out (contradiction), or which leaves it open (neutral). So no property of the hypothesis tells the label:
a model has to read both. Premises are affirmed and denied under all three labels too.

Five families of rules: events (kinds of things, modifiers, more and less specific verbs, passives, denial, wishes,
changed subjects and objects), coordination (both, neither, only, or), facts (color, state, material, place, posture,
weather), numbers and quantifiers, comparisons and order in time.

An event with another subject that is no kind of the first ("The rabbit chased a ball" / "The dog chased a ball") is
neutral, as in Dev et al. (2020). Nobody in the pairs has a gender, an occupation, a nationality or a name, so that
Bias-NLI meets a model that was not told what it asks. Meaning is that of logic where everyday use wavers: "some" does
not rule out "all", and "or" allows both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.errors import UserError
from fairshrink.sources.generated.nli.events import event_pair
from fairshrink.sources.generated.nli.facts import fact_pair
from fairshrink.sources.generated.nli.groups import coordination_pair, number_pair, quantifier_pair
from fairshrink.sources.generated.nli.relations import comparison_pair, order_pair

if TYPE_CHECKING:
    from pandas import DataFrame

LABELS = ("entailment", "neutral", "contradiction")
FAMILIES = (
    ("event", event_pair, 0.50),
    ("fact", fact_pair, 0.22),
    ("coordination", coordination_pair, 0.08),
    ("number", number_pair, 0.05),
    ("quantifier", quantifier_pair, 0.05),
    ("comparison", comparison_pair, 0.06),
    ("order", order_pair, 0.04),
)
PATIENCE = 50


def generate(size: int, seed: int) -> DataFrame:
    """``size`` rows with columns premise, hypothesis, label and rule, in random order.

    Labels are as equally frequent as ``size`` allows, pairs are all different, and equal arguments give equal rows on
    every machine. UserError where the rules do not give that many different pairs.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    bounds = np.cumsum([share for _, _, share in FAMILIES])
    seen: set[tuple[str, str]] = set()
    rows = []
    for number in range(size):
        label = LABELS[number % len(LABELS)]
        for _ in range(PATIENCE):
            name, make, _ = FAMILIES[int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))]
            premise, hypothesis, rule = make(rng, label)
            if premise != hypothesis and (premise, hypothesis) not in seen:
                break
        else:
            raise UserError(f"generator nli: size: its rules give no {size} different pairs; lower `size`")
        seen.add((premise, hypothesis))
        rows.append((premise, hypothesis, label, f"{name}_{rule}"))
    order = rng.permutation(size)
    return pd.DataFrame([rows[at] for at in order], columns=["premise", "hypothesis", "label", "rule"])
