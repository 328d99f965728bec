"""The vocabulary of the generated sentence pairs: kinds of things, verbs with their subjects and objects, word forms.

It has no word for a gender, an occupation or a nationality, and no name, because Bias-NLI tests these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from fairshrink.grammar import with_article

T = TypeVar("T")

_KINDS = """
animal: bird, dog, cat, fish, insect, reptile, rodent, horse, rabbit, fox, bear, wolf, monkey, goat, sheep, pig, donkey
animal: camel, elephant, deer, otter, badger, hedgehog, kangaroo, panda, zebra, giraffe, frog, snail, lion, tiger, seal
bird: sparrow, owl, crow, pigeon, parrot, swan, goose, eagle, pelican, seagull, penguin, woodpecker, ostrich
dog: poodle, beagle, terrier, spaniel, bulldog, puppy
cat: kitten, tabby
fish: trout, goldfish, shark, carp, eel
insect: bee, wasp, ant, beetle, butterfly, moth, grasshopper, cricket
reptile: lizard, turtle, snake, crocodile, gecko
rodent: mouse, rat, hamster, squirrel, beaver
horse: pony, foal
person: child, traveller, visitor, guest, camper, pedestrian, cyclist, jogger, swimmer, shopper, spectator, villager
person: newcomer, cousin, twin, roommate, classmate, teammate, patient, bystander, beginner, tenant, pupil, homeowner
child: toddler, baby, preschooler
traveller: tourist, commuter, backpacker, hitchhiker
vehicle: car, truck, boat, aircraft, bicycle, bus, train, van, tractor, scooter, motorcycle, tram, wagon, sled
car: sedan, hatchback, limousine, convertible, jeep
truck: pickup, fire engine
boat: canoe, ferry, yacht, sailboat, kayak, raft
aircraft: helicopter, airplane, glider, jet
food: fruit, vegetable, dessert, sandwich, bagel, burger, omelette, pizza, pancake, soup, salad, stew, pretzel, cracker
fruit: apple, pear, peach, banana, plum, mango, lemon, melon, apricot
vegetable: carrot, potato, tomato, cucumber, onion, turnip, radish, cabbage
dessert: cake, brownie, muffin, cookie, pie, pudding, doughnut
furniture: chair, sofa, table, bench, bookshelf, cabinet, desk, bed, wardrobe, cupboard, cot
chair: armchair, stool, rocking chair
piece of clothing: hat, shoe, coat, jacket, sweater, shirt, scarf, glove, sock, belt, vest
hat: cap, straw hat, helmet
shoe: sneaker, sandal, boot, slipper
coat: raincoat, fur coat
toy: ball, kite, puzzle, balloon, frisbee, marble, teddy bear, yo-yo
tool: hammer, wrench, screwdriver, shovel, rake, axe, drill, chisel, broom
container: bucket, basket, box, bottle, jar, bag, cup, bowl, vase, barrel
bag: backpack, suitcase, sack
cup: mug, teacup
machine: computer, phone, camera, radio, television, printer, clock, calculator, appliance, sewing machine
computer: laptop
clock: alarm clock, wristwatch
appliance: oven, toaster, blender, refrigerator, kettle, dishwasher, heater, fan
instrument: guitar, piano, violin, drum, flute, trumpet, harp, cello
book: novel, textbook, cookbook, dictionary
plant: tree, flower, bush, cactus, fern, vine, shrub
tree: oak, pine, maple, birch, palm
flower: tulip, daffodil, orchid, sunflower, dandelion
building: house, museum, library, school, hospital, theatre, restaurant, barn, castle, hotel, factory, bakery, garage
house: cottage, cabin, mansion, bungalow
body of water: lake, river, pond, swimming pool, stream
opening: door, window, gate, drawer
"""

PARENT: dict[str, str] = {}
CHILDREN: dict[str, tuple[str, ...]] = {}
for _line in _KINDS.strip().splitlines():
    _parent, _, _names = _line.partition(": ")
    for _name in _names.split(", "):
        PARENT[_name] = _parent
        CHILDREN[_parent] = (*CHILDREN.get(_parent, ()), _name)

MASS = ("food", "furniture")
PLURALS = {"mouse": "mice", "goose": "geese", "fish": "fish", "goldfish": "goldfish", "sheep": "sheep", "deer": "deer"}
PLURALS |= {"person": "people", "child": "children", "wolf": "wolves", "bookshelf": "bookshelves", "carp": "carp"}
PLURALS |= {"trout": "trout", "aircraft": "aircraft", "body of water": "bodies of water", "squid": "squid"}
PLURALS |= {"piece of clothing": "pieces of clothing", "food": "food", "furniture": "furniture", "potato": "potatoes"}
PLURALS |= {"tomato": "tomatoes", "mango": "mangoes"}

ROOMS = ("in the kitchen", "in the attic", "in the cellar", "in the bedroom", "in the hallway", "in the living room")
OUTSIDE = ("in the garden", "in the forest", "by the river", "on the beach", "in the meadow", "on the hill")
TIMES = ("in the morning", "after the storm", "at midnight", "on a rainy day", "during the holidays", "before sunrise")
PLACES = (*ROOMS, *OUTSIDE, "at the station", "near the bridge", "next to the fence", "behind the barn")
COLORS = ("red", "blue", "green", "yellow", "black", "white", "brown", "purple")


@dataclass(frozen=True)
class Verb:
    """Forms of a verb: "ate", "eat", "eaten"; ``now``: in the present tense ("owns", "own", "owned")."""

    finite: str
    base: str
    participle: str
    now: bool = False

    @property
    def negated(self) -> str:
        """The finite form with "not"."""
        return f"{'does' if self.now else 'did'} not {self.base}"


@dataclass(frozen=True)
class Frame:
    """Verbs that share their possible subjects and objects; no ``objects`` for intransitive verbs.

    ``willed``: the subject acts on purpose, so that it can want or refuse to.
    """

    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    verbs: tuple[Verb, ...]
    adjectives: tuple[str, ...] = ()
    willed: bool = True


def _verbs(text: str, now: bool = False) -> tuple[Verb, ...]:
    found = []
    for each in text.split(", "):
        finite, _, rest = each.partition("/")
        base, _, participle = rest.partition("/")
        found.append(Verb(finite, base, participle or finite, now))
    return tuple(found)


_LIVING = ("animal", "person")
_OWNED = ("vehicle", "furniture", "piece of clothing", "machine", "instrument", "toy", "tool", "container", "book")
_THINGS = (*COLORS, "small", "large", "old", "new", "heavy", "broken", "dusty")

FRAMES = (
    Frame(
        _LIVING,
        ("food",),
        _verbs(
            "ate/eat/eaten, devoured/devour, nibbled/nibble, dropped/drop, smelled/smell, stole/steal/stolen, "
            "hid/hide/hidden"
        ),
        ("fresh", "cold", "warm", "large", "small", "tasty", "rotten"),
    ),
    Frame(
        ("person",),
        ("food",),
        _verbs(
            "prepared/prepare, fried/fry, baked/bake, sold/sell, bought/buy, ordered/order, shared/share, ate/eat/eaten"
        ),
        ("fresh", "cold", "warm", "large", "small", "tasty", "expensive"),
    ),
    Frame(
        _LIVING,
        ("toy", "tool", "piece of clothing", "container", "book"),
        _verbs(
            "moved/move, pushed/push, pulled/pull, carried/carry, dragged/drag, touched/touch, found/find, "
            "hid/hide/hidden, lost/lose, noticed/notice, damaged/damage"
        ),
        _THINGS,
    ),
    Frame(
        _LIVING,
        _LIVING,
        _verbs(
            "followed/follow, chased/chase, watched/watch, saw/see/seen, ignored/ignore, greeted/greet, heard/hear, "
            "met/meet, frightened/frighten, helped/help, liked/like, disturbed/disturb, found/find"
        ),
        ("small", "large", "tired", "hungry", "young", "sleepy", "lost", "quiet"),
    ),
    Frame(
        ("person",),
        _OWNED,
        _verbs(
            "acquired/acquire, bought/buy, purchased/purchase, inherited/inherit, sold/sell, borrowed/borrow, "
            "repaired/repair, fixed/fix, cleaned/clean, washed/wash, painted/paint, paid for/pay for, donated/donate, "
            "rented/rent, saved/save, traded/trade"
        ),
        _THINGS,
    ),
    Frame(
        ("person",),
        _OWNED,
        _verbs("owns/own/owned, wants/want/wanted, needs/need/needed, likes/like/liked, sells/sell/sold", now=True),
        _THINGS,
        willed=False,
    ),
    Frame(
        ("person",),
        ("vehicle",),
        _verbs("drove/drive/driven, parked/park, washed/wash, crashed/crash, stopped/stop"),
        _THINGS,
    ),
    Frame(
        ("person",),
        ("building",),
        _verbs("visited/visit, entered/enter, left/leave, painted/paint, photographed/photograph, saw/see/seen"),
        ("old", "small", "large", "new", "empty", "noisy"),
    ),
    Frame(
        ("person",),
        ("plant",),
        _verbs("planted/plant, watered/water, touched/touch, sold/sell, photographed/photograph, painted/paint"),
        ("tall", "small", "old", "green", "withered"),
    ),
    Frame(("person",), ("instrument",), _verbs("played/play, tuned/tune, heard/hear, broke/break/broken"), _THINGS),
    Frame(("person",), ("book",), _verbs("read/read, wrote/write/written, opened/open, lost/lose"), _THINGS),
    Frame(
        _LIVING,
        (),
        _verbs(
            "moved/move, walked/walk, ran/run, jumped/jump, swam/swim, crawled/crawl, rested/rest, slept/sleep, "
            "fell/fall, hid/hide"
        ),
    ),
)

SPECIFIC = {
    "ate": ("devoured", "nibbled"),
    "prepared": ("fried", "baked"),
    "moved": ("pushed", "pulled", "carried", "dragged", "walked", "ran", "jumped", "swam", "crawled"),
    "touched": ("carried",),
    "followed": ("chased",),
    "saw": ("watched",),
    "acquired": ("bought", "purchased", "inherited"),
    "cleaned": ("washed",),
    "rested": ("slept",),
}
"""A verb → more specific verbs that imply it, if they share a frame."""

SAME = {"bought": "purchased", "purchased": "bought", "repaired": "fixed", "fixed": "repaired"}


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices, uniformly at random."""
    return choices[int(rng.integers(len(choices)))]


def ancestors(noun: str) -> tuple[str, ...]:
    """All that the noun is a kind of, nearest first."""
    found: list[str] = []
    while noun in PARENT:
        noun = PARENT[noun]
        found.append(noun)
    return tuple(found)


def below(noun: str) -> tuple[str, ...]:
    """All kinds of the noun, in the order of the vocabulary."""
    found: list[str] = []
    for child in CHILDREN.get(noun, ()):
        found += [child, *below(child)]
    return tuple(found)


def related(one: str, other: str) -> bool:
    """Whether the nouns are equal or one is a kind of the other."""
    return one == other or one in ancestors(other) or other in ancestors(one)


@cache
def nouns(roots: tuple[str, ...]) -> tuple[str, ...]:
    """All kinds of the roots; a root without kinds is its own only kind."""
    return tuple(each for root in roots for each in below(root) or (root,))


@cache
def unrelated(roots: tuple[str, ...], *avoided: str) -> tuple[str, ...]:
    """Those of `nouns` that are neither kinds of the avoided ones nor the other way round; never none."""
    found = tuple(each for each in nouns(roots) if not any(related(each, noun) for noun in avoided))
    if not found:
        raise ValueError(f"nothing among {roots} is unrelated to {avoided}")
    return found


def plural(noun: str) -> str:
    """The plural of the noun."""
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def indefinite(noun: str, adjective: str = "") -> str:
    """The noun with "a", "an" or "some"."""
    phrase = f"{adjective} {noun}".strip()
    return f"some {phrase}" if noun in MASS else with_article(phrase)
