"""Sentence pairs about several things: both, neither, only, or; how many; all, some, none."""

from __future__ import annotations

import numpy as np

from fairshrink.sources.generated.nli.events import draw
from fairshrink.sources.generated.nli.words import COLORS, PLACES, nouns, pick, plural, unrelated

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
THINGS = ("vehicle", "toy", "tool", "container", "book", "instrument", "piece of clothing", "machine")
COUNTED = (*THINGS, "animal", "person", "plant")
STATES = (
    ("broken", "intact"),
    ("wet", "dry"),
    ("clean", "dirty"),
    ("new", "old"),
    ("cheap", "expensive"),
    ("red", "blue"),
    ("heavy", "light"),
)


def coordination_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about which of several subjects did something."""
    event = draw(rng)
    a, avoided = event.subject, [event.object] if event.object else []
    b = pick(rng, unrelated(event.frame.subjects, a, *avoided))
    c = pick(rng, unrelated(event.frame.subjects, a, b, *avoided))
    did, not_done, do = event.predicate(), event.predicate(False), "does" if event.verb.now else "did"
    neither = f"Neither the {a} nor the {b} {did}."
    both = f"Both the {a} and the {b} {event.of_several}."
    with_other = f"Both the {a} and the {c} {event.of_several}."
    three = f"The {a}, the {b} and the {c} all {event.of_several}."
    alone = f"The {a} {did}, but nobody else {do}."
    forms = {
        "both": (
            both,
            {"three": three, "and_not": f"{both[:-1]}, but the {c} {do} not."},
            {"one": f"The {a} {did}.", "other": with_other, "or": f"The {a} or the {b} {did}."},
            {"only": f"Only the {a} {did}.", "neither": neither, "not_one": f"The {b} {not_done}.", "alone": alone},
        ),
        "neither": (
            neither,
            {"only": f"Only the {c} {did}.", "each": f"The {a} {not_done}, and the {b} {not_done} either."},
            {"one": f"The {a} {not_done}.", "other": f"Neither the {a} nor the {c} {did}.", "c": f"The {c} {did}."},
            {"one_did": f"The {b} {did}.", "both": both, "three": three, "only": f"Only the {a} {did}."},
        ),
        "only": (
            f"Only the {a} {did}.",
            {"alone": alone, "no_other": f"The {a} {did}, and no one and nothing besides."},
            {"one": f"The {a} {did}.", "not_b": f"The {b} {not_done}.", "or": f"The {a} or the {b} {did}."},
            {"both": both, "b": f"The {b} {did}.", "neither": neither, "only_b": f"Only the {b} {did}."},
        ),
        "or": (
            f"The {a} or the {b} {did}.",
            {"one": f"The {b} {did}.", "both": both, "only": f"Only the {a} {did}.", "three": three},
            {"c": f"The {c} {did}.", "or_c": f"The {a} or the {c} {did}.", "not_c": f"The {c} {not_done}."},
            {"neither": neither, "only_c": f"Only the {c} {did}.", "nobody": f"Nobody and nothing {did}."},
        ),
    }  # fmt: skip
    name = pick(rng, list(forms))
    return _chosen(rng, name, forms[name], label)


def number_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about how many there are."""
    n = int(rng.integers(3, 11))
    noun, other = _two(rng, COUNTED)
    things, others, place = plural(noun), plural(other), pick(rng, PLACES)
    elsewhere = pick(rng, [each for each in PLACES if each != place])
    fewer, more = NUMBERS[int(rng.integers(1, n))], NUMBERS[int(rng.integers(n + 1, 13))]
    few = NUMBERS.index(fewer)
    word, color, second = NUMBERS[n], pick(rng, COLORS[:4]), pick(rng, COLORS[4:])

    def there(count: str, what: str, where: str = place) -> str:
        single = count.split()[-1] == "one"
        return f"There {'is' if single else 'are'} {count} {noun if single and what == things else what} {where}."

    one_more = f"There are {NUMBERS[n - 1]} {color} {things} and one {second} {noun} {place}, and no others."
    listed = (
        f"{place[0].upper()}{place[1:]} there are {word} {things} and {fewer} {plural(other) if few > 1 else other}."
    )
    many_more = there(more, things)
    not_more = f"There are {word} {things} {place}, neither more nor fewer."
    only_few, none = there(f"only {fewer}", things), there("no", things)
    at_least, at_least_few = there(f"at least {word}", things), there(f"at least {fewer}", things)
    at_most_few, at_most_many = there(f"at most {fewer}", things), there(f"at most {more}", things)
    open_ = {
        "other_things": there(word, others),
        "elsewhere": there(word, things, elsewhere),
        "uncounted": f"There is an unknown number of {things} {place}.",
        "unknown": f"Nobody has counted the {things} {place}.",
    }
    forms = {
        "exactly": (
            there(f"exactly {word}", things),
            {"sum": one_more, "stated": f"The number of {things} {place} is {word}.", "neither": not_more},
            open_ | {"at_least": at_least_few},
            {"fewer": only_few, "more": there(f"at least {more}", things), "none": none},
        ),
        "at_least": (
            at_least,
            {"more": many_more, "sum": one_more, "listed": listed, "than": there(f"more than {word}", things)},
            open_ | {"at_least_few": at_least_few, "at_most": at_most_many},
            {"fewer": only_few, "fewer_than": there(f"fewer than {word}", things), "none": none},
        ),
        "fewer_than": (
            there(f"fewer than {word}", things),
            {"fewer": only_few, "none": none, "at_most": at_most_few},
            open_ | {"at_most_many": at_most_many, "at_least_few": at_least_few},
            {"more": many_more, "sum": one_more, "at_least": at_least, "listed": listed},
        ),
        "more_than": (
            there(f"more than {fewer}", things),
            {"more": there(word, things), "at_least": at_least, "sum": one_more},
            open_ | {"at_most": at_most_many},
            {"same": only_few, "none": none, "at_most": at_most_few},
        ),
    }  # fmt: skip
    name = pick(rng, list(forms))
    return _chosen(rng, name, forms[name], label)


def quantifier_pair(rng: np.random.Generator, label: str) -> tuple[str, str, str]:
    """(premise, hypothesis, rule) about whether all, some or none have a property."""
    noun, other = _two(rng, THINGS)
    place = pick(rng, PLACES)
    things, others = f"{plural(noun)} {place}", f"{plural(other)} {place}"
    pair, beside = pick(rng, STATES), pick(rng, STATES)
    while set(beside) == set(pair):
        beside = pick(rng, STATES)
    is_so, not_so = pair if rng.random() < 0.5 else pair[::-1]
    also = pick(rng, beside)
    every = f"Every {noun} {place} is {is_so}."
    both = f"All the {things} are {also} and {is_so}."
    other_way = f"All the {things} are {not_so}."
    none = f"None of the {things} are {is_so}."
    one_not = f"One of the {things} is {not_so}."
    some = f"Some of the {things} are {is_so}."
    some_not = f"Some of the {things} are not {is_so}."
    three = f"Three of the {things} are {is_so}."
    one, no = f"One of the {things} is {is_so}.", f"There is no {is_so} {noun} {place}."
    but_one = f"All the {things} but one are {is_so}."
    open_ = {
        "other_things": f"All the {others} are {is_so}.",
        "other_state": f"All the {things} are {also}.",
        "none_other": f"None of the {others} are {is_so}.",
        "none_state": f"None of the {things} are {also}.",
    }
    forms = {
        "all": (
            f"All the {things} are {is_so}.",
            {"every": every, "both": both, "no_exception": f"Without exception, the {things} are {is_so}."},
            open_ | {"some": some, "one": one},
            {"some_not": some_not, "none": none, "one_not": one_not, "but_one": but_one, "opposite": other_way},
        ),
        "some": (
            some,
            {"most": f"Most of the {things} are {is_so}.", "but_one": but_one, "three": three},
            open_ | {"some_not": some_not, "one_not": one_not},
            {"none": none, "opposite": other_way, "no": no},
        ),
        "none": (
            none,
            {"opposite": other_way, "no": no, "each": f"Every {noun} {place} is {not_so}."},
            open_ | {"some_not": some_not, "one_not": one_not},
            {"some": some, "all": every, "one": one, "but_one": but_one},
        ),
        "some_not": (
            some_not,
            {"none": none, "opposite": other_way, "three": f"Three of the {things} are {not_so}."},
            open_ | {"some": some, "one": one},
            {"all": every, "both": both, "no_exception": f"Without exception, the {things} are {is_so}."},
        ),
    }  # fmt: skip
    name = pick(rng, list(forms))
    return _chosen(rng, name, forms[name], label)


def _chosen(
    rng: np.random.Generator, name: str, form: tuple[str, dict[str, str], dict[str, str], dict[str, str]], label: str
) -> tuple[str, str, str]:
    hypothesis, *premises = form
    rules = premises[("entailment", "neutral", "contradiction").index(label)]
    rule = pick(rng, list(rules))
    return rules[rule], hypothesis, f"{name}_{rule}"


def _two(rng: np.random.Generator, roots: tuple[str, ...]) -> tuple[str, str]:
    """Two unrelated nouns (counting one does not count the other) whose plurals differ from their singulars."""
    one = pick(rng, [each for each in nouns(roots) if plural(each) != each])
    return one, pick(rng, [each for each in unrelated(roots, one) if plural(each) != each])
