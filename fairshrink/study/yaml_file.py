"""A study's file as YAML, without what YAML does in silence: keys that are written twice, 010 for 8, 1:30 for 90."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from fairshrink.study.mistakes import Mistake, StudyError

_ODD = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-9]+)+(\.[0-9]*)?)")
"""Whole numbers that YAML reads as octal or in the base of 60."""
_INT, _FLOAT, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "merge"))


def read(path: Path, mistakes: list[Mistake]) -> object:
    """What the file says; mistakes that leave the rest readable are added. Raises `StudyError` for others."""
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), _loader(mistakes))
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise _unreadable(path, f"line {line} is not UTF-8 text", "the file again, saved as UTF-8") from error
    except yaml.YAMLError as error:
        raise _unreadable(path, f"not valid YAML: {error}", "valid YAML") from error
    except (RecursionError, ValueError, OverflowError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else f"not valid YAML: {error}"
        raise _unreadable(path, what, "a study as in docs/study.md") from error


def _unreadable(path: Path, reason: str, remedy: str) -> StudyError:
    return StudyError(str(path), [Mistake("(the file)", reason, remedy)])


def _loader(mistakes: list[Mistake]) -> type[yaml.SafeLoader]:
    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue  # `<<: *anchor`; what it brings may be written anew
            name, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(name, Hashable):
                what = "a mapping or list stands where a key belongs (a template that was not filled in?)"
                raise yaml.YAMLError(f"line {line}: {what}")
            if name in seen:
                mistakes.append(
                    Mistake(f"{name} (line {line})", "this key is written twice", "it once, or under another name")
                )
            seen.add(name)
        return loader.construct_mapping(node, deep=True)

    def number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
        plain = yaml.SafeLoader.construct_yaml_int if node.tag == _INT else yaml.SafeLoader.construct_yaml_float
        value: float = plain(loader, node)
        if _ODD.fullmatch(node.value):
            reason = f"YAML reads {node.value} as {value:g}"
            remedy = f"{value:g}, or '{node.value}' in quotes if it is text"
            mistakes.append(Mistake(f"(line {node.start_mark.line + 1})", reason, remedy))
        return value

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    Loader.add_constructor(_INT, number)
    Loader.add_constructor(_FLOAT, number)
    return Loader
