"""What a study's file says, read independently of the program: scalars resolved by hand, values compared one by one."""

from __future__ import annotations

import itertools
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from fairshrink.study.study import Study

WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
WORDS |= {form(each): True for each in ("true", "yes", "on") for form in (str.lower, str.title, str.upper)}
WORDS |= {form(each): False for each in ("false", "no", "off") for form in (str.lower, str.title, str.upper)}
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
OTHER_BASE = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|b[01_]+)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*")
TAG = "tag:yaml.org,2002:"
LABELS = ("labels", "drop_labels", "polarity")
PATHS = ("file", "folder", "gguf_file", "output")
SECTIONS = ("downloads", "models", "tasks", "compressions", "controls", "doses", "metrics")


class Meaningless:
    """What no key of a study means: it is equal to nothing."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return f"<{self.what}>"


def tree_of(data: bytes) -> Any:
    """The file's values. Raises yaml.YAMLError or UnicodeDecodeError for what is no YAML."""
    node = yaml.compose(data.decode("utf-8-sig"), yaml.BaseLoader)
    return None if node is None else _value(node, ())


def _value(node: yaml.Node, within: tuple[int, ...]) -> Any:
    if id(node) in within:
        return Meaningless("a value that contains itself")
    inner = (*within, id(node))
    tag = node.tag.removeprefix(TAG)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, tag)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, inner) for each in node.value] if tag == "seq" else Meaningless(tag)
    if tag != "map":
        return Meaningless(tag)
    made: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _value(key_node, inner)
        if key_node.value == "<<" and key_node.style is None:
            several = _value(value_node, inner)
            for each in several if isinstance(several, list) else [several]:
                merged = dict(each) | merged if isinstance(each, dict) else {"<<": Meaningless("merged")}
            continue
        if isinstance(key, list | dict):
            raise yaml.YAMLError("a key that is no scalar")
        made[key] = Meaningless("written twice") if key in made else _value(value_node, inner)
    return merged | made


def _scalar(node: yaml.ScalarNode, tag: str) -> Any:
    text = node.value
    if tag == "str" and node.style is not None:
        return text
    if tag in ("int", "float", "bool", "null"):
        found = _plain(text)
        return float(found) if tag == "float" and type(found) in (int, float) else found
    if tag != "str":
        return Meaningless(tag)
    return _plain(text)


def _plain(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    if WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if OTHER_BASE.fullmatch(text):
        return int(text.replace("_", ""), 0)
    if SPECIAL.fullmatch(text):
        return Meaningless("not finite")
    if DATE.fullmatch(text):
        return Meaningless("a date")
    if FLOAT.fullmatch(text):
        number = float(text.replace("_", ""))
        return number if math.isfinite(number) and not re.match(r"[-+]?0[0-9]", text) else Meaningless(text)
    if re.fullmatch(r"[-+]?[0-9][0-9_]*(:[0-9]+)+(\.[0-9_]*)?", text):
        return Meaningless("in the base of 60")
    return text


def differences(tree: Any, study: Study) -> list[str]:
    """Where a study that was accepted is not what its file says."""
    found: list[str] = []
    plain = {"study": study.name, "seed": study.seed, "statistics": study.statistics, "execution": study.execution}
    plain |= {"output": study.output.rstrip("/"), "validity": tree.get("validity")}
    for key, value in plain.items():
        if key in tree:
            _compare(tree[key], value, key, found)
    for name in tree:
        if name not in (*plain, *SECTIONS):
            found.append(f"{name}: no such key, and accepted")
    folder = Path(study.file).resolve().parent
    for name, entry in tree["downloads"].items():
        got = study.downloads[name]
        given = dict(entry)
        if given.pop("source") != got.source:
            found.append(f"downloads.{name}.source")
        local = folder / Path(given.pop("path")).expanduser() if got.source == "local" else None
        if local is not None and local.resolve() != got.settings.local.resolve():
            found.append(f"downloads.{name}.path")
        _block(given, [got.settings], f"downloads.{name}", found)
    _names(tree["downloads"], study.downloads, "downloads", found)
    _names(tree["models"], study.models, "models", found)
    _names(tree["tasks"], study.tasks, "tasks", found)
    for name, entry in tree["models"].items():
        _block(entry, [study.models[name]], f"models.{name}", found)
    for name, entry in tree["tasks"].items():
        _block(entry, [study.tasks[name].keys, study.tasks[name].settings], f"tasks.{name}", found)
    for position, (entry, got) in enumerate(zip(tree["metrics"], study.metrics, strict=True)):
        _block(entry, [got.keys, got.settings], f"metrics[{position}]", found)
    _methods(tree, study, found)
    return found


def _methods(tree: Any, study: Study, found: list[str]) -> None:
    listed = tree.get("compressions") or []
    singles, chained = [e for e in listed if "chain" not in e], [e for e in listed if "chain" in e]
    controls, doses = tree.get("controls") or [], tree.get("doses") or []
    for name, entries, got in (
        ("compressions", singles, list(study.compressions)),
        ("controls", controls, [each for each in study.controls if each.dose is None]),
    ):
        pending = iter(got)
        for entry in entries:
            for point in _points(entry, {m.method: m for m in got}):
                each = next(pending, None)
                if each is None:
                    found.append(f"{name}: points are missing")
                    return
                _block(point, [each.keys, each.settings], f"{name}.{each.method}", found)
        if next(pending, None) is not None:
            found.append(f"{name}: more points than are written")
    chains = iter(study.chains)
    modules = {step.method: step for chain in study.chains for step in chain.steps}
    for entry in chained:
        for steps in itertools.product(*(list(_points(step, modules)) for step in entry["chain"])):
            each = next(chains)
            _block({k: v for k, v in entry.items() if k != "chain"}, [each.keys], "chain", found)
            for step, got_step in zip(steps, each.steps, strict=True):
                _block(step, [got_step.settings], "chain", found, {"method": got_step.method})
    dosed = iter([each for each in study.controls if each.dose is not None])
    for entry in doses:
        for amount, seed in itertools.product(entry["amounts"], entry.get("dose_seed", [0])):
            each = next(dosed)
            if (each.settings.amount, each.settings.dose_seed) != (amount, seed) or entry["name"] not in each.setting:
                found.append(f"doses.{entry['name']}: {each.setting}")
            _compare(entry["table"], each.dose, "doses.table", found)
            _compare([entry["task"]], each.keys.tasks, "doses.task", found)
    if next(chains, None) is not None or next(dosed, None) is not None:
        found.append("more chains or doses than are written")


def _points(entry: Mapping[str, Any], modules: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each combination of values; a list is one value where the method takes a list."""
    got = modules[entry["method"]]
    axes = {
        name: value
        for name, value in entry.items()
        if isinstance(value, list)
        and name in got.explicit
        and not isinstance(getattr(got.settings, name), list | tuple)
    }
    for values in itertools.product(*axes.values()):
        yield {**entry, **dict(zip(axes, values, strict=True))}


def _names(tree: Mapping[Any, Any], got: Mapping[str, Any], section: str, found: list[str]) -> None:
    if set(tree) != set(got):
        found.append(f"{section}: {sorted(map(str, tree))} became {sorted(got)}")


def _block(
    given: Mapping[Any, Any], got: list[BaseModel], where: str, found: list[str], also: Mapping[str, Any] = {}
) -> None:
    """Each key that is given is one of a block's, with that value."""
    for name, value in given.items():
        if name in also:
            _compare(value, also[name], f"{where}.{name}", found)
            continue
        owner = next((each for each in got if name in each.model_fields_set), None)
        if owner is None:
            found.append(f"{where}.{name}: given, and nowhere")
        else:
            _compare(value, getattr(owner, name), f"{where}.{name}", found)


def _compare(said: Any, got: Any, where: str, found: list[str]) -> None:
    key = where.rpartition(".")[2]
    if key in LABELS:
        said, got = _labels(said), _labels(got)
    if isinstance(got, BaseModel) and isinstance(said, Mapping):
        _block(said, [got], where, found)
    elif isinstance(got, Mapping) and isinstance(said, Mapping):
        if list(map(str, said)) != list(map(str, got)):
            found.append(f"{where}: {said!r} became {got!r}")
        for name, value in said.items():
            _compare(value, got[name], f"{where}.{name}", found)
    elif isinstance(got, list | tuple | set | frozenset) and isinstance(said, list):
        if len(said) != len(got):
            found.append(f"{where}: {said!r} became {got!r}")
        for one, other in zip(said, got, strict=False):
            _compare(one, other, where, found)
    elif key == "file" and isinstance(said, list) and isinstance(got, str):
        _compare(*said, got, where, found) if len(said) == 1 else found.append(f"{where}: {said!r} became {got!r}")
    elif not _same(said, got, key):
        found.append(f"{where}: {said!r} became {got!r}")


def _same(said: Any, got: Any, key: str) -> bool:
    if isinstance(said, bool) or isinstance(got, bool) or said is None or got is None:
        return said is got
    if isinstance(said, int | float) and isinstance(got, int | float):
        return float(said) == float(got)
    if isinstance(said, str) and isinstance(got, str):
        return said == got or (key in PATHS and posixpath.normpath(said) == got)
    return False


def _labels(value: Any) -> Any:
    """Labels as they are written in a table's file."""
    if isinstance(value, Mapping):
        return {_label(key): each if isinstance(each, float | int) else _label(each) for key, each in value.items()}
    return [_label(each) for each in value] if isinstance(value, list | tuple) else value


def _label(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value) if isinstance(value, int | float) else value
