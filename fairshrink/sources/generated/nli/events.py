"""Sentence pairs about who did what: kinds of things, modifiers, negation, passives, coordination, only and either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairshrink.grammar import capitalized
from fairshrink.sources.generated.nli.words import (
    FRAMES,
    PLACES,
    SAME,
    SPECIFIC,
    TIMES,
    Frame,
    Verb,
    ancestors,
    below,
    indefinite,
    nouns,
    pick,
    related,
    unrelated,
)

Premises = dict[str, str]
"""Name of a rule → the premise that it makes."""

FAVORED = ("other_subject", "affirmed_subject_kind")
"""Rules for two sentences that differ only in their subjects, as in Bias-NLI: drawn more often, under either label."""


@dataclass(frozen=True)
class Event:
    """The subject (definite), what it does, to what (indefinite; may be missing), and where or when."""

    frame: Frame
    subject: str
    verb: Verb
    object: str = ""
    adjective: str = ""
    place: str = ""

    @property
    def thing(self) -> str:
        """The object with its article, after a space; empty if there is none."""
        return f" {indefinite(self.object, self.adjective)}" if self.object else ""

    @property
    def where(self) -> str:
        """Place or time, after a space; empty if there is none."""
        return f" {self.place}" if self.place else ""

    def predicate(self, positive: bool = True) -> str:
        """The sentence without the subject."""
        return f"{self.verb.finite if positive else self.verb.negated}{self.thing}{self.where}"

    @property
    def of_several(self) -> str:
        """The sentence without the subject, for more than one subject."""
        return f"{self.verb.base if self.verb.now else self.verb.finite}{self.thing}{self.where}"


def draw(rng: np.random.Generator) -> Event:
    """Any event; half of the objects have an adjective, some events a place or time."""
    frame = pick(rng, FRAMES)
    subject = pick(rng, nouns(frame.subjects))
    target = pick(rng, unrelated(frame.objects, subject)) if frame.objects else ""
    if frame.subjects != frame.objects:
        subject = _root(rng, frame.subjects, subject)
        target = _root(rng, frame.objects, target)
    adjective = pick(rng, frame.adjectives) if target and rng.random() < 0.4 else ""
    return Event(frame, subject, pick(rng, frame.verbs), target, adjective, _place(rng, frame, 0.3))


def event_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about one event; the hypothesis is drawn independently of the label."""
    event, positive = draw(rng), bool(rng.random() < 0.6)
    hypothesis = say(rng, event, positive)
    rules = _premises(rng, event, positive, label)
    favored = [rule for rule in FAVORED if rule in rules]
    rule = pick(rng, favored) if favored and rng.random() < 0.3 else pick(rng, list(rules))
    return rules[rule], hypothesis, rule


def say(rng: np.random.Generator, event: Event, positive: bool) -> str:
    """The event or its denial as a sentence: active, else passive or cleft."""
    form = rng.random()
    if form < 0.12 and event.object and " " not in event.verb.finite:
        thing = f"no {event.adjective} {event.object}".replace("  ", " ") if not positive else event.thing[1:]
        be = "is" if event.verb.now else "was"
        sentence = f"{thing} {be} {event.verb.participle} by the {event.subject}{event.where}"
    elif form < 0.22:
        sentence = f"it was {'' if positive else 'not '}the {event.subject} that {event.predicate()}"
        if event.verb.now:
            sentence = sentence.replace("it was", "it is", 1)
    else:
        sentence = f"the {event.subject} {event.predicate(positive)}"
    return capitalized(sentence) + "."


def _premises(rng: np.random.Generator, event: Event, positive: bool, label: str) -> Premises:
    if label == "neutral":
        return _neutral(rng, event, positive)
    affirm = (label == "entailment") == positive
    return _affirming(rng, event) if affirm else _denying(rng, event)


def _affirming(rng: np.random.Generator, event: Event) -> Premises:
    """Premises that make the event true."""
    rules = {
        f"affirmed_{rule}": say(rng, _embellished(rng, each), True)
        for rule, each in {**_stronger(rng, event), **_same(event)}.items()
    }
    if kinds := _kinds(event.subject, event.object):
        rules["affirmed_subject_kind"] = say(rng, replace(event, subject=pick(rng, kinds)), True)
    other = _other_subject(rng, event)
    do = "does" if event.verb.now else "did"
    rules["both"] = f"Both the {event.subject} and the {other} {event.of_several}."
    rules["so_did"] = f"The {other} {event.predicate()}, and so {do} the {event.subject}."
    if event.object:
        things = f"{event.thing} and {indefinite(_other_object(rng, event))}"
        rules["more_objects"] = f"The {event.subject} {event.verb.finite}{things}{event.where}."
    if event.frame.willed:
        rules["managed"] = f"The {event.subject} managed to {event.verb.base}{event.thing}{event.where}."
    return rules


def _denying(rng: np.random.Generator, event: Event) -> Premises:
    """Premises that make the event false."""
    rules = {f"denied_{rule}": say(rng, each, False) for rule, each in {**_weaker(rng, event), **_same(event)}.items()}
    if kinds := _kinds(event.subject, event.object):
        rules["denied_subject_kind"] = say(rng, replace(event, subject=pick(rng, kinds)), False)
    other = _other_subject(rng, event)
    rules["only_other"] = f"Only the {other} {event.predicate()}."
    rules["neither"] = f"Neither the {event.subject} nor the {other} {event.predicate()}."
    rules["none"] = f"Nobody and nothing {event.predicate()}."
    if event.frame.willed:
        how = pick(rng, ("refused to", "forgot to", "was not able to", "had no chance to"))
        rules["refused"] = f"The {event.subject} {how} {event.verb.base}{event.thing}{event.where}."
    return rules


def _neutral(rng: np.random.Generator, event: Event, positive: bool) -> Premises:
    """Premises that leave it open whether the event is true; they are affirmed or denied themselves."""
    rules = {f"open_{rule}": say(rng, each, True) for rule, each in _weaker(rng, event).items()}
    rules |= {f"open_not_{rule}": say(rng, each, False) for rule, each in _stronger(rng, event).items()}
    mostly = positive if rng.random() < 0.75 else not positive
    other = _other_subject(rng, event)
    rules["other_subject"] = say(rng, replace(event, subject=other), positive)
    rules["other_subject_varied"] = say(rng, _embellished(rng, replace(event, subject=other)), mostly)
    rules |= {rule: say(rng, _embellished(rng, each), mostly) for rule, each in _elsewhere(rng, event).items()}
    if over := [each for each in ancestors(event.subject) if not related(each, event.object)]:
        rules["subject_ancestor"] = say(rng, replace(event, subject=pick(rng, over)), positive)
    rules["either"] = f"Either the {event.subject} or the {other} {event.predicate()}, but it is unclear which."
    if event.frame.willed:
        how = pick(rng, ("wanted to", "planned to", "was asked to", "hoped to", "was allowed to"))
        rules["wanted"] = f"The {event.subject} {how} {event.verb.base}{event.thing}{event.where}."
    return rules


def _stronger(rng: np.random.Generator, event: Event) -> dict[str, Event]:
    """Events of this subject that cannot happen without this one."""
    found = {}
    if kinds := _kinds(event.object, event.subject):
        found["object_kind"] = replace(event, object=pick(rng, kinds))
    if event.object and not event.adjective:
        found["adjective"] = replace(event, adjective=pick(rng, event.frame.adjectives))
    if not event.place:
        found["place"] = replace(event, place=_place(rng, event.frame, 1.0))
    if verbs := _verbs_of(event, SPECIFIC.get(event.verb.finite, ())):
        found["verb_kind"] = replace(event, verb=pick(rng, verbs))
    return found


def _embellished(rng: np.random.Generator, event: Event) -> Event:
    """One of the stronger events, with probability 0.4."""
    stronger = list(_stronger(rng, event).values())
    return pick(rng, stronger) if stronger and rng.random() < 0.4 else event


def _weaker(rng: np.random.Generator, event: Event) -> dict[str, Event]:
    """Events that happen whenever this one does, and at other times as well; there is always one."""
    found = {}
    if over := [each for each in ancestors(event.object) if not related(each, event.subject)]:
        found["object_ancestor"] = replace(event, object=pick(rng, over))
    if event.adjective:
        found["adjective_dropped"] = replace(event, adjective="")
    if event.place:
        found["place_dropped"] = replace(event, place="")
    general = tuple(verb for verb, specific in SPECIFIC.items() if event.verb.finite in specific)
    if verbs := _verbs_of(event, general):
        found["verb_general"] = replace(event, verb=pick(rng, verbs))
    return found


def _same(event: Event) -> dict[str, Event]:
    found = {"plainly": event}
    if verbs := _verbs_of(event, (SAME.get(event.verb.finite, ""),)):
        found["synonym"] = replace(event, verb=verbs[0])
    return found


def _elsewhere(rng: np.random.Generator, event: Event) -> dict[str, Event]:
    """Events that are independent of this one."""
    near = {event.verb.finite, SAME.get(event.verb.finite, ""), *SPECIFIC.get(event.verb.finite, ())}
    near |= {verb for verb, specific in SPECIFIC.items() if event.verb.finite in specific}
    verbs = [verb for verb in event.frame.verbs if verb.finite not in near]
    found = {"other_verb": replace(event, verb=pick(rng, verbs))}
    if event.object:
        found["other_object"] = replace(event, object=_other_object(rng, event))
    if event.adjective:
        adjectives = [each for each in event.frame.adjectives if each != event.adjective]
        found["other_adjective"] = replace(event, adjective=pick(rng, adjectives))
    if event.object and set(event.frame.subjects) == set(event.frame.objects):
        found["swapped"] = replace(event, subject=event.object, object=event.subject, adjective="")
    return found


def _root(rng: np.random.Generator, roots: tuple[str, ...], noun: str) -> str:
    """Sometimes one of the roots instead of the noun, if other roots leave something unrelated."""
    return pick(rng, roots) if len(roots) > 1 and rng.random() < 0.2 else noun


def _place(rng: np.random.Generator, frame: Frame, chance: float) -> str:
    if rng.random() >= chance or not frame.willed:
        return ""
    return pick(rng, PLACES if rng.random() < 0.6 else TIMES)


def _kinds(noun: str, other: str) -> list[str]:
    return [each for each in below(noun) if not other or not related(each, other)]


def _other_subject(rng: np.random.Generator, event: Event) -> str:
    return pick(rng, unrelated(event.frame.subjects, event.subject, *filter(None, [event.object])))


def _other_object(rng: np.random.Generator, event: Event) -> str:
    return pick(rng, unrelated(event.frame.objects, event.subject, event.object))


def _verbs_of(event: Event, names: Sequence[str]) -> list[Verb]:
    return [verb for verb in event.frame.verbs if verb.finite in names]
