"""JSON that means one thing: a key that stands twice in an object is an error, where most keep its last value."""

from __future__ import annotations

import json
import re
from typing import Any

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:]', re.DOTALL)


class JsonError(ValueError):
    """A text that is no JSON, or has a key twice; its text is the reason. ``line`` of the text, from 1; ``remedy``."""

    def __init__(self, reason: str, line: int, remedy: str) -> None:
        super().__init__(reason)
        self.line, self.remedy = line, remedy


def parse(text: str, number: type[str] | None = None, constants: bool = True) -> Any:
    """What a text says, or JsonError.

    ``number`` is made of numbers as they are written, instead of int and float; without ``constants`` NaN and infinity
    are refused, which JSON does not have but some programs write.
    """
    try:
        return json.loads(
            text,
            parse_int=number,
            parse_float=number,
            parse_constant=None if constants else _constant,
            object_pairs_hook=_once,
        )
    except json.JSONDecodeError as error:
        raise JsonError(f"no JSON ({error.msg}, column {error.colno})", error.lineno, "is it cut short?") from error
    except RecursionError as error:
        raise JsonError("nested too deeply", 1, "write lists and objects of few levels") from error
    except KeyError as error:
        key, line = _twice(text)
        raise JsonError(f"the key '{key}' is there twice", line, "leave one of them out") from error
    except ValueError as error:  # more digits than Python makes a number of, or a constant
        raise JsonError(str(error), 1, "write another value") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyError
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON; write null")


def _twice(text: str) -> tuple[str, int]:
    """The first key that its object has twice already, and the line of its second time."""
    objects: list[set[str]] = []
    last = '""'
    for mark in _MARKS.finditer(text):
        found = mark.group()
        if found in "{[":
            objects.append(set())
        elif found in "}]":
            objects.pop()
        elif found != ":":
            last, start = found, mark.start()
        else:
            key = json.loads(last)
            if key in objects[-1]:
                return key, text.count("\n", 0, start) + 1
            objects[-1].add(key)
    raise AssertionError("no key is there twice")
