"""Logs damaged at random: their bytes, a value, or a key that is put twice."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path

from damaging import damaged

WRONG = (None, 7, True, -1.5, 1e400, [], {}, ["a"], "", " ", "1_0", "two", {"a": 1}, 10**400)


def once(pairs: list) -> dict:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def decoded(path: Path) -> list | dict | None:
    """What a file of JSON or JSON lines says, None where it says nothing or two things."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=once)
        return [json.loads(line, object_pairs_hook=once) for line in text.split("\n") if line.strip()]
    except ValueError:
        return None


def places(content: object, path: tuple = ()) -> list[tuple]:
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in inside for place in [(*path, key), *places(value, (*path, key))]]


def altered(draw: random.Random, content: list | dict) -> list | dict:
    """One value replaced by another, left out, or put twice."""
    changed = copy.deepcopy(content)
    *way, last = draw.choice(places(changed))
    parent = changed
    for step in way:
        parent = parent[step]
    kind = draw.choice(["replaced", "replaced", "out", "twice"])
    if kind == "replaced":
        parent[last] = draw.choice(WRONG)
    elif kind == "out":
        del parent[last]
    elif isinstance(parent, list):
        parent.append(parent[last])
    return changed


def damage(draw: random.Random, path: Path) -> None:
    """Bytes, or a value, or a key that is put twice."""
    kind = draw.choice(["bytes", "value", "value", "key twice"])
    if kind == "bytes" or path.suffix == ".csv":
        path.write_bytes(damaged(draw, path.read_bytes()))
        return
    content = decoded(path)
    if kind == "value":
        content = altered(draw, content)
    text = json.dumps(content) if path.suffix == ".json" else "".join(json.dumps(each) + "\n" for each in content)
    if kind == "key twice":
        found = draw.choice(list(re.finditer(r'"(\w+)": ', text)))
        text = f'{text[: found.start()]}"{found[1]}": 0, {text[found.start() :]}'
    path.write_text(text)
