"""Seeded random edits of a study: of its structure, of its values, and of its file's text.

Each takes a mapping and gives the bytes of a file. What these mean is for others to say (`study_meaning.py`).
"""

from __future__ import annotations

import copy
import datetime
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

Path = tuple[str | int, ...]
DEEP: Any = 1
for _ in range(80):
    DEEP = [DEEP]
WILD: tuple[Any, ...] = (
    *(True, False, None, 0, 1, -1, 7, 10**30, 2**31, 2**31 - 1, 0.5, -0.5, 1.0, 1e300, 1e-300),
    *(math.inf, -math.inf, math.nan, datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4)),
    *("", " ", "a", "é语🙂", "0.5", "17", "true", "null", "..", "../a", "a/../../b", "/etc/passwd", "~", "~/a", "."),
    *(
        "*",
        "a[b",
        "{a}",
        "{{ name }}",
        "a\x07b",
        "a\x1b[31mb",
        "a\u202eb",
        "a\nb",
        "a\tb",
        "a\\b",
        "x" * 300,
        "<b>$x$|",
    ),
    *([], {}, [[]], [{}], [1, 1], [True], [0.5, "0.5"], [None], [0.1, 0.2], ["a", "a"], [[1, 2], [3]], [math.nan]),
    *({"a": 1}, {"a": {"b": {"c": []}}}, {1: 2}, {True: 1}, {None: None}, {"": ""}, b"bytes", [b"b"], {1, 2}, DEEP),
)
"""Values of other types than wanted, or that mean something else somewhere."""
TEXTS = (
    *("010", "1:30", "0x1F", "0b11", "1_000", "1e-3", "1E5", ".5", "5.", "+7", "0o17", "-0", ".inf", "-.INF", ".nan"),
    *("yes", "off", "True", "~", "2020-01-02", "2020-13-45", "2020-01-02 03:04:05", "=", "<<", "!!binary aGVsbG8="),
    *('!!python/object/apply:os.system ["touch hacked"]', "!!python/name:os.system", "!mine {a: 1}", "!!set {a, b}"),
    *("!!omap [a: 1]", "!!timestamp '2020-01-02'", "!!str 5", "!!int '5'", "!!float 5", "!!bool 'true'", "!!null ''"),
    *("*nothing", "&a [*a]", "&b {b: *b}", "{{ name }}", "{{name}}: 1", "${NAME}", "[", "{", "]", "'", '"', "|", ">"),
    *("? [a, b]", "%YAML 1.1", "--- b", "@a", "`a`", "a: b: c", "- - - a", "# nothing", "'a\\x'", '"\\x07"', '"\\q"'),
    *("[" * 400, "{a: " * 200, "&x [1,1,1,1,1,1,1,1]", "!!int 1_0:59", "!!float 1:30.5", "!!int ''", "!!float ''"),
)
"""What a value may be written as in a file's text."""
BYTES = (
    b"\xff\xfe",
    b"\xc3",
    b"\x80",
    b"\x00",
    b"\x07",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xed\xa0\x80",
)
KEYS = (
    "",
    "a",
    "Path",
    "x y",
    "é",
    1,
    True,
    None,
    2.5,
    "__class__",
    "model_fields",
    "validate",
    "{{ a }}",
    "a\nb",
    "=",
)


def paths(tree: Any, before: Path = ()) -> Iterator[Path]:
    """Where everything is, containers before what is in them."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from paths(value, (*before, key))


def at(tree: Any, path: Path) -> Any:
    for each in path:
        tree = tree[each]
    return tree


def _copied(tree: Any, path: Path) -> tuple[Any, Any, Any]:
    """A copy, the container that the path leads into, and the last part of the path."""
    made = copy.deepcopy(tree)
    return made, at(made, path[:-1]), path[-1]


def replaced(draw: random.Random, tree: Any, path: Path) -> Any:
    made, place, key = _copied(tree, path)
    place[key] = draw.choice(WILD)
    return made


def grafted(draw: random.Random, tree: Any, path: Path) -> Any:
    made, place, key = _copied(tree, path)
    place[key] = copy.deepcopy(at(tree, draw.choice(list(paths(tree)))))
    return made


def removed(draw: random.Random, tree: Any, path: Path) -> Any:
    made, place, key = _copied(tree, path)
    del place[key]
    return made


def wrapped(draw: random.Random, tree: Any, path: Path) -> Any:
    made, place, key = _copied(tree, path)
    value = place[key]
    place[key] = draw.choice([[value], {"a": value}, [value, value], str(value), [[value]]])
    return made


def renamed(draw: random.Random, tree: Any, path: Path) -> Any:
    made, place, key = _copied(tree, path)
    if isinstance(place, list):
        place.insert(draw.randrange(len(place) + 1), copy.deepcopy(place[key]))
        return made
    name = draw.choice([*KEYS, str(key) + "x", str(key).upper(), str(key)[:-1]])
    items = [(name if each == key else each, value) for each, value in place.items()]
    place.clear()
    place.update(items)
    return made


def added(draw: random.Random, tree: Any, path: Path) -> Any:
    made, place, key = _copied(tree, path)
    if isinstance(place, list):
        place.insert(key, draw.choice(WILD))
    else:
        names = [each for where in paths(tree) if isinstance(each := where[-1], str)]
        place[draw.choice([*KEYS, *names])] = draw.choice(WILD)
    return made


def nudged(draw: random.Random, tree: Any, path: Path) -> Any:
    """A number or text that is nearly the same."""
    made, place, key = _copied(tree, path)
    value = place[key]
    if isinstance(value, bool) or value is None:
        place[key] = not value
    elif isinstance(value, int | float):
        place[key] = draw.choice(
            [value + 1, value * 2, value / 2, -value, value * (1 + 1e-9), float(value), str(value)]
        )
    elif isinstance(value, str):
        place[key] = draw.choice(
            [value + "x", value[:-1], f"./{value}", f"{value}/", value.upper(), f" {value}", [value]]
        )
    else:
        place[key] = type(value)()
    return made


STRUCTURE: tuple[Callable[[random.Random, Any, Path], Any], ...] = (
    *(replaced, replaced, grafted, removed, wrapped, renamed, added, nudged, nudged),
)


def dumped(tree: Any) -> str:
    return yaml.dump(tree, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=10**6)


def other_structure(draw: random.Random, tree: Any) -> bytes:
    """One edit, or two, of the mapping."""
    for _ in range(draw.choice([1, 1, 1, 2])):
        places = list(paths(tree))
        if places:
            tree = draw.choice(STRUCTURE)(draw, tree, draw.choice(places))
    return dumped(tree).encode("utf-8", errors="surrogatepass")


def other(draw: random.Random, tree: Any) -> bytes:
    """One edit of any kind; a third of them hardly change anything."""
    kind = draw.random()
    if kind < 0.3:
        return dumped(nudged(draw, tree, draw.choice(list(paths(tree))))).encode()
    return (other_structure if kind < 0.7 else other_text)(draw, tree)


def other_text(draw: random.Random, tree: Any) -> bytes:
    """One edit of the file's text."""
    lines = dumped(tree).splitlines(keepends=True)
    number = draw.randrange(len(lines))
    line = lines[number]
    kind = draw.choice(
        ["value", "value", "value", "value", "bytes", "drop", "twice", "indent", "cut", "insert", "line"]
    )
    if kind == "bytes":
        data = "".join(lines).encode()
        place = draw.randrange(len(data))
        return data[:place] + draw.choice(BYTES) + data[place + draw.randint(0, 1) :]
    if kind == "value":
        head = re.match(r"[\s-]*([^:\s]+:)?\s*", line)
        lines[number] = (head[0].rstrip("\n ") if head else "") + " " + draw.choice(TEXTS) + "\n"
    elif kind == "drop":
        del lines[number]
    elif kind == "twice":
        lines.insert(number, line)
    elif kind == "indent":
        lines[number] = draw.choice([" ", "  ", "\t", "- "]) + line
    elif kind == "insert":
        place = draw.randrange(len(line))
        lines[number] = line[:place] + draw.choice("\t:-#&*!|>'\"%@`{}[],?\u2028\u00a0") + line[place:]
    elif kind == "line":
        lines.insert(number, draw.choice(TEXTS) + "\n")
    text = "".join(lines)
    return (text[: draw.randrange(len(text))] if kind == "cut" else text).encode()
