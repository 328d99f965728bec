"""A study's file as YAML, without what YAML does in silence: keys that are written twice, 010 for 8, 1:30 for 90.

A number with an exponent needs no decimal point: 2e-5 is one, as in other languages.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from fairshrink.errors import brief
from fairshrink.study.mistakes import Mistake, StudyError

_ODD = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-9]+)+(\.[0-9]*)?)")
"""Whole numbers that YAML reads as octal or in the base of 60."""
_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
_TAG = "tag:yaml.org,2002:"
_INT, _FLOAT, _BOOL, _MERGE = (f"{_TAG}{name}" for name in ("int", "float", "bool", "merge"))
_FOREIGN = ("omap", "pairs")
"""Types of YAML that no key of a study has; bytes, sets and dates are found where their key is known."""


def read(path: Path, mistakes: list[Mistake]) -> object:
    """What the file says; mistakes that leave the rest readable are added. Raises `StudyError` for others."""
    try:
        return _Loader(path.read_text(encoding="utf-8-sig"), mistakes).get_single_data()
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise _unreadable(path, f"line {line} is not UTF-8 text", "the file again, saved as UTF-8") from error
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
        raise _unreadable(path, reason, "the path of a study that you may read") from error
    except yaml.YAMLError as error:
        raise _unreadable(path, f"not valid YAML: {_told(error, path)}", "valid YAML") from error
    except (RecursionError, ValueError, OverflowError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else f"not valid YAML: {error}"
        raise _unreadable(path, what, "a study as in docs/study.md") from error


def _unreadable(path: Path, reason: str, remedy: str) -> StudyError:
    return StudyError(str(path), [Mistake("(the file)", reason, remedy)])


def _told(error: yaml.YAMLError, path: Path) -> str:
    """The line and the reason."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        said = ", ".join(filter(None, (error.context, error.problem)))
        return f"line {mark.line + 1}: {said}" if mark else said
    if isinstance(error, yaml.reader.ReaderError):
        line = path.read_text(encoding="utf-8-sig")[: error.position].count("\n") + 1
        return f"line {line}: a control character"
    return str(error)


class _Loader(yaml.SafeLoader):
    """Adds what leaves the rest readable to ``mistakes``."""

    def __init__(self, text: str, mistakes: list[Mistake]) -> None:
        super().__init__(text)
        self.mistakes = mistakes

    def odd(self, node: yaml.Node, reason: str, remedy: str) -> None:
        self.mistakes.append(Mistake(f"(line {node.start_mark.line + 1})", reason, remedy))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue  # `<<: *anchor`; what it brings may be written anew
        name, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if not isinstance(name, Hashable):
            what = "a mapping or list stands where a key belongs (a template that was not filled in?)"
            raise yaml.YAMLError(f"line {line}: {what}")
        if name in seen:
            where = f"{name} (line {line})"
            loader.mistakes.append(Mistake(where, "this key is written twice", "it once, or under another name"))
        seen.add(name)
    return loader.construct_mapping(node, deep=True)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    plain = yaml.SafeLoader.construct_yaml_int if node.tag == _INT else yaml.SafeLoader.construct_yaml_float
    try:
        value: float = plain(loader, node)
    except (ValueError, IndexError):
        loader.odd(node, f"{brief(node.value)} is no number", "a number, without a tag")
        return 0.0
    if _ODD.fullmatch(node.value):
        reason = f"YAML reads {node.value} as {value:g}"
        loader.odd(node, reason, f"{value:g}, or '{node.value}' in quotes if it is text")
    return value


def _truth(loader: _Loader, node: yaml.ScalarNode) -> bool:
    if str(node.value).lower() in loader.bool_values:
        return bool(loader.construct_yaml_bool(node))
    loader.odd(node, f"{brief(node.value)} is neither true nor false", "true or false, without a tag")
    return False


def _foreign(loader: _Loader, node: yaml.Node) -> None:
    name = node.tag.removeprefix(_TAG)
    raise yaml.YAMLError(f"line {node.start_mark.line + 1}: !!{name} is no type that a study has; leave it out")


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor(_INT, _number)
_Loader.add_constructor(_FLOAT, _number)
_Loader.add_constructor(_BOOL, _truth)
for _name in _FOREIGN:
    _Loader.add_constructor(f"{_TAG}{_name}", _foreign)
_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))
