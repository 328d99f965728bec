"""Sentence pairs about how things are: color, state, material, place, posture, weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairshrink.sources.generated.nli.words import COLORS, OUTSIDE, ROOMS, ancestors, below, nouns, pick, unrelated


@dataclass(frozen=True)
class Scale:
    """Values that exclude each other, each with more specific ones that imply it.

    ``complete``: there are two values, and whatever does not have one has the other.
    """

    subjects: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    complete: bool = False


_INSIDE, _OUTSIDE = "inside the house", "out of doors"
_MOVABLE = ("toy", "tool", "container", "book", "instrument", "piece of clothing")
_THINGS = (*_MOVABLE, "vehicle", "furniture", "machine")
_SHADES = {"red": ("bright red", "dark red", "crimson"), "blue": ("pale blue", "navy blue"), "green": ("dark green",)}

SCALES = (
    Scale(_THINGS, {color: _SHADES.get(color, ()) for color in COLORS}),
    Scale(_THINGS, {"dirty": ("filthy", "covered in mud"), "clean": ("spotless", "perfectly clean")}, complete=True),
    Scale(_THINGS, {"wet": ("soaked", "dripping wet"), "dry": ("completely dry", "bone dry")}, complete=True),
    Scale(
        _THINGS,
        {"broken": ("smashed to pieces", "badly broken"), "undamaged": ("in perfect condition",)},
        complete=True,
    ),
    Scale(_THINGS, {"cheap": ("very cheap", "dirt cheap"), "expensive": ("very expensive", "extremely costly")}),
    Scale(_THINGS, {"big": ("huge", "enormous"), "small": ("tiny", "very small"), "of medium size": ()}),
    Scale(
        ("furniture", "toy", "container", "tool"),
        {
            "made of wood": ("made of oak", "made of pine"),
            "made of metal": ("made of steel", "made of copper"),
            "made of stone": ("made of marble", "made of granite"),
            "made of plastic": (),
        },
    ),
    Scale(("food",), {"hot": ("boiling hot", "steaming hot"), "cold": ("ice cold", "frozen"), "lukewarm": ()}),
    Scale(("food",), {"fresh": ("perfectly fresh", "freshly picked"), "rotten": ("completely rotten",)}),
    Scale(("opening", "container"), {"open": ("wide open",), "closed": ("firmly closed", "locked")}, complete=True),
    Scale(
        ("container",), {"empty": ("completely empty",), "full": ("overflowing", "full to the brim"), "half full": ()}
    ),
    Scale(("machine",), {"switched on": ("running at full power",), "switched off": ("unplugged",)}, complete=True),
    Scale(("animal", "person"), {"asleep": ("fast asleep",), "awake": ("wide awake",)}, complete=True),
    Scale(
        ("animal", "person"),
        {"lying down": ("lying on the floor",), "sitting": ("sitting on a bench",), "standing": ()},
    ),
    Scale(("animal", "person"), {"hungry": ("starving", "very hungry"), "well fed": ("stuffed with food",)}),
    Scale(
        ("vehicle",),
        {"moving": ("speeding along", "rolling downhill"), "standing still": ("parked", "stuck in the mud")},
        complete=True,
    ),
    Scale(("plant",), {"in bloom": ("in full bloom",), "withered": ("completely withered",)}),
    Scale(("body of water",), {"deep": ("very deep",), "shallow": ("only knee deep", "ankle deep")}),
    Scale(("body of water",), {"frozen": ("frozen solid",), "free of ice": ()}, complete=True),
    Scale(("building",), {"crowded": ("packed", "full of people"), "deserted": ("completely deserted",)}),
    Scale(("building",), {"old": ("ancient", "hundreds of years old"), "new": ("brand new",)}),
    Scale((*_MOVABLE, "animal", "person"), {_INSIDE: ROOMS, _OUTSIDE: OUTSIDE}, complete=True),
    Scale((*_MOVABLE, "animal", "person"), dict.fromkeys((*ROOMS, *OUTSIDE), ())),
    Scale(
        ("weather in the valley", "weather on the coast", "weather in the mountains", "weather near the lake"),
        {
            "sunny": ("sunny and warm",),
            "rainy": ("stormy and rainy", "very rainy"),
            "snowy": ("bitterly cold and snowy",),
        },
    ),
)


@dataclass(frozen=True)
class Fact:
    """The fact that a noun (definite) has a value of a scale."""

    scale: Scale
    noun: str
    value: str
    general: str
    """The value itself, or the more general value that it implies."""


def fact_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about one fact; the hypothesis is drawn independently of the label."""
    fact, positive = _draw(rng), bool(rng.random() < 0.6)
    hypothesis = _sentence(fact.noun, fact.value, positive)
    if label == "neutral":
        rules = _neutral(rng, fact, positive)
    else:
        rules = _affirming(rng, fact) if (label == "entailment") == positive else _denying(rng, fact)
    rule = pick(rng, list(rules))
    return rules[rule], hypothesis, rule


def _draw(rng: np.random.Generator) -> Fact:
    scale = pick(rng, SCALES)
    general = pick(rng, list(scale.values))
    value = pick(rng, scale.values[general]) if scale.values[general] and rng.random() < 0.3 else general
    return Fact(scale, pick(rng, nouns(scale.subjects)), value, general)


def _sentence(noun: str, value: str, positive: bool = True) -> str:
    return f"The {noun} is {'' if positive else 'not '}{value}."


def _both_values(rng: np.random.Generator, noun: str, value: str, other: str) -> str:
    """A sentence that gives the noun both values, in either order."""
    if rng.random() < 0.5:
        return f"The {noun}, which is {value}, is {other}."
    return f"The {noun} is {other} and {value}."


def _affirming(rng: np.random.Generator, fact: Fact) -> dict[str, str]:
    value = fact.value
    rules = {
        "aside": _both_values(rng, fact.noun, value, _beside(rng, fact)),
        "still": f"The {fact.noun} is still {value}, as it was yesterday.",
        "plural": f"Both the {fact.noun} and the {_other_noun(rng, fact)} are {value}.",
    }
    if kinds := below(fact.noun):
        rules["noun_kind"] = _sentence(pick(rng, kinds), value)
    if special := _special(fact):
        rules["value_kind"] = _sentence(fact.noun, pick(rng, special))
        rules["value_kind_aside"] = _both_values(rng, fact.noun, pick(rng, special), _beside(rng, fact))
    if fact.scale.complete and value == fact.general:
        rules["not_the_opposite"] = _sentence(fact.noun, pick(rng, _opposites(fact)), False)
    return rules


def _denying(rng: np.random.Generator, fact: Fact) -> dict[str, str]:
    opposite = pick(rng, _opposites(fact))
    value = pick(rng, (opposite, *fact.scale.values[opposite]))
    rules = {
        "denied": _sentence(fact.noun, fact.value, False),
        "opposite": _sentence(fact.noun, opposite),
        "opposite_kind": _sentence(fact.noun, value),
        "opposite_aside": _both_values(rng, fact.noun, value, _beside(rng, fact)),
        "no_longer": f"The {fact.noun} was {fact.value} yesterday but is {opposite} now.",
        "neither": f"Neither the {fact.noun} nor the {_other_noun(rng, fact)} is {fact.value}.",
    }
    if kinds := below(fact.noun):
        rules["noun_kind_opposite"] = _sentence(pick(rng, kinds), value)
    if fact.value != fact.general:
        rules["denied_general"] = _sentence(fact.noun, fact.general, False)
    return rules


def _neutral(rng: np.random.Generator, fact: Fact, positive: bool) -> dict[str, str]:
    either = bool(rng.random() < 0.75) == positive
    beside, other, opposite = _beside(rng, fact), _other_noun(rng, fact), pick(rng, _opposites(fact))
    rules = {
        "other_scale": _sentence(fact.noun, beside, either),
        "other_noun": _sentence(other, fact.value, either),
        "other_noun_opposite": _sentence(other, opposite, not either),
        "other_noun_aside": _both_values(rng, other, fact.value if either else opposite, beside),
        "two_nouns": f"The {other} is {fact.value if either else opposite}, and the {fact.noun} is {beside}.",
        "past": f"The {fact.noun} was {fact.value if either else opposite} a year ago.",
        "unsure": f"Nobody knows whether the {fact.noun} is {fact.value} or {opposite}.",
    }
    if over := ancestors(fact.noun):
        rules["noun_ancestor"] = _sentence(pick(rng, over), fact.value, positive)
    if fact.value != fact.general:
        rules["value_general"] = _sentence(fact.noun, fact.general)
    elif special := _special(fact):
        rules["value_kind_denied"] = _sentence(fact.noun, pick(rng, special), False)
    return rules


def _opposites(fact: Fact) -> list[str]:
    return [value for value in fact.scale.values if value != fact.general]


def _special(fact: Fact) -> tuple[str, ...]:
    return fact.scale.values[fact.general] if fact.value == fact.general else ()


def _beside(rng: np.random.Generator, fact: Fact) -> str:
    """A value of another scale that says nothing about this one."""
    kin = (fact.noun, *ancestors(fact.noun))
    ours = {each for value, special in fact.scale.values.items() for each in (value, *special)}
    fitting = [
        scale
        for scale in SCALES
        if any(each in scale.subjects for each in kin)
        and not ours & {each for value, special in scale.values.items() for each in (value, *special)}
    ]
    if not fitting:
        return pick(rng, ("a surprise to everybody", "the talk of the village", "described in the letter"))
    scale = pick(rng, fitting)
    return pick(rng, list(scale.values))


def _other_noun(rng: np.random.Generator, fact: Fact) -> str:
    return pick(rng, unrelated(fact.scale.subjects, fact.noun))
