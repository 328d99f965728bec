"""Sentence pairs about two things or two events: comparisons and order in time."""

from __future__ import annotations

import numpy as np

from fairshrink.sources.generated.nli.words import nouns, pick, unrelated

COMPARED = (
    (("vehicle", "animal"), ("heavier", "lighter", "heavy"), ("faster", "slower", "fast")),
    (("vehicle", "animal"), ("bigger", "smaller", "big"), ("quieter", "louder", "quiet")),
    (("furniture", "tool", "toy"), ("heavier", "lighter", "heavy"), ("newer", "older", "new")),
    (("machine", "instrument", "vehicle"), ("louder", "quieter", "loud"), ("newer", "older", "new")),
    (("piece of clothing", "book", "food"), ("cheaper", "more expensive", "cheap"), ("lighter", "heavier", "light")),
    (("building", "plant"), ("taller", "shorter", "tall"), ("older", "younger", "old")),
    (("animal", "person"), ("older", "younger", "old"), ("slower", "faster", "slow")),
    (("body of water",), ("deeper", "shallower", "deep"), ("colder", "warmer", "cold")),
    (("machine", "tool", "container"), ("newer", "older", "new"), ("cheaper", "more expensive", "cheap")),
)
DONE = (
    "fell asleep", "woke up", "ran away", "came home", "started to eat", "jumped into the water", "stopped moving",
    "reached the bridge", "left the garden", "looked up", "crossed the road", "sat down", "hid behind the tree",
    "drank some water", "turned around", "entered the barn", "got lost", "climbed the hill", "fell over",
)  # fmt: skip


def comparison_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about which of two things is heavier, faster, …; the hypothesis is drawn first."""
    roots, scale, other_scale = pick(rng, COMPARED)
    if rng.random() < 0.5:
        scale, other_scale = other_scale, scale
    root = pick(rng, roots)
    a, b, c = _three(rng, root)
    more, less, plain = scale
    reverse, positive = bool(rng.random() < 0.3), bool(rng.random() < 0.65)
    if reverse:
        hypothesis = f"The {b} is {'' if positive else 'not '}{less} than the {a}."
    else:
        hypothesis = f"The {a} is {'' if positive else 'not '}{more} than the {b}."
    far = f"much {more}" if rng.random() < 0.5 else f"a little {more}"
    holds = {
        "far": f"The {a} is {far} than the {b}.",
        "converse": f"The {b} is {less} than the {a}.",
        "plainly": f"The {a} is {more} than the {b}.",
        "chain": f"The {a} is {more} than the {c}, and the {c} is {more} than the {b}.",
        "both": f"The {a} is {more} than both the {c} and the {b}.",
        "not_as": f"The {b} is not as {plain} as the {a}.",
        "more_of_all": f"The {a} is {more} and {other_scale[1]} than the {b}.",
    }
    fails = {
        "swapped": f"The {b} is {more} than the {a}.",
        "opposite": f"The {a} is {less} than the {b}.",
        "equal": f"The {a} is exactly as {plain} as the {b}.",
        "chain": f"The {b} is {more} than the {c}, and the {c} is {more} than the {a}.",
        "both": f"Both the {c} and the {b} are {more} than the {a}.",
        "less_of_all": f"The {a} is {less} and {other_scale[0]} than the {b}.",
        "not_as": f"The {a} is not as {plain} as the {b}.",
    }
    open_ = {
        "other_scale": f"The {a} is {pick(rng, other_scale[:2])} than the {b}.",
        "other_scale_swapped": f"The {b} is {pick(rng, other_scale[:2])} than the {a}.",
        "third": f"The {a} is {pick(rng, scale[:2])} than the {c}.",
        "third_swapped": f"The {c} is {pick(rng, scale[:2])} than the {b}.",
        "two_over": f"Both the {a} and the {b} are {pick(rng, scale[:2])} than the {c}.",
        "unsure": f"It is hard to say whether the {a} or the {b} is {pick(rng, scale[:2])}.",
        "as_other": f"The {a} is exactly as {other_scale[2]} as the {b}.",
    }
    rules = open_ if label == "neutral" else holds if (label == "entailment") == positive else fails
    rules = {rule: premise for rule, premise in rules.items() if premise != hypothesis}
    rule = pick(rng, list(rules))
    return rules[rule], hypothesis, rule


def order_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about which of two events came first; the hypothesis is drawn first."""
    a, b, c = _three(rng, pick(rng, ("animal", "person")))
    first, second = f"the {a} {pick(rng, DONE)}", f"the {b} {pick(rng, DONE)}"
    third = f"the {c} {pick(rng, DONE)}"
    before, after = f"{first} before {second}", f"{second} after {first}"
    hypothesis = before if rng.random() < 0.5 else after
    rules = {
        "entailment": {
            "converse": after if hypothesis == before else before,
            "then": f"{first}, and then {second}",
            "at_last": f"{first}, then {third}, and at last {second}",
            "long_before": f"{first} long before {second}",
            "soon_after": f"{second} soon after {first}",
            "only_after": f"first {first}; only afterwards {second}",
        },
        "neutral": {
            "and": f"{first}, and {second}",
            "and_swapped": f"{second}, and {first}",
            "third_after": f"{first} before {third}",
            "third_before": f"{third} before {second}",
            "both_before": f"both things happened before {third}: {second}, and {first}",
            "unsure": f"nobody remembers whether {first} before or after {second}",
        },
        "contradiction": {
            "swapped": f"{second} before {first}",
            "after_swapped": f"{first} after {second}",
            "then_swapped": f"{second}, and then {first}",
            "at_last_swapped": f"{second}, then {third}, and at last {first}",
            "same_time": f"{first} at the very moment when {second}",
            "only_after": f"first {second}; only afterwards {first}",
        },
    }[label]
    rule = pick(rng, list(rules))
    return _sentence(rules[rule]), _sentence(hypothesis), rule


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _three(rng: np.random.Generator, root: str) -> tuple[str, str, str]:
    a = pick(rng, nouns((root,)))
    b = pick(rng, unrelated((root,), a))
    return a, b, pick(rng, unrelated((root,), a, b))
