"""The reference of the study file, generated from the settings that validate it: docs/study.md and its JSON schema."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fairshrink import registry
from fairshrink.contracts import CONTROLS, DOSE
from fairshrink.data.table import Table
from fairshrink.documenting import cards
from fairshrink.study.schema import (
    ChainKeys,
    CompressionKeys,
    ControlKeys,
    DoseKeys,
    Execution,
    Files,
    MetricKeys,
    Model,
    Statistics,
    StudyKeys,
    TaskKeys,
)

SELECTORS = {"sources": "source", "tasks": "kind", "compression": "method", "metrics": "metric"}
TITLES = {
    "sources": "Sources of downloads",
    "tasks": "Kinds of task",
    "compression": "Compression methods",
    "controls": "Controls",
    "metrics": "Metrics",
}
INTRODUCTION = """# The study file

A study is one YAML file. It is validated completely before any job starts; all its mistakes are listed at once, each
with its key and what to write instead. Editors that know JSON schema complete it with
[`study.schema.json`](study.schema.json).

*This page is generated from the code that validates studies (`make docs`).*
"""
SECTIONS: list[tuple[str, str, type[BaseModel]]] = [
    ("Top level", "", StudyKeys),
    ("`models`", "One entry per model, by name.", Model),
    ("`tasks`", "One entry per task, by name; with the settings of its kind, below.", TaskKeys),
    ("Tables of examples", "Under `train` and `test.<name>` of a task.", Table),
    (
        "`compressions`",
        "A list; with the settings of the method, below. A list of values for a setting makes one checkpoint for each.",
        CompressionKeys,
    ),
    (
        "Chains",
        "Among `compressions`: several methods, each applied to what the one before it made, for example `- chain: "
        "[{method: magnitude_global, sparsity: [0.5, 0.7]}, {method: recovery, epochs: 1}, {method: int8_dynamic}]`. "
        "A list of values makes one chain for each. What two chains begin with in common, or what is a compression of "
        "the study by itself, is computed once. Each step is stored, so that another chain can begin with it later; "
        "only the end of a chain is scored, and the ledger counts it. A setting that more than one step has is shown "
        "with its step. Some orders make no sense, such as pruning what is packed in few bits: they are refused.",
        ChainKeys,
    ),
    (
        "`controls`",
        "A list; with the settings of the control, below. Controls compress nothing: they damage a baseline or replace "
        "it, as a reference for what compressions do. A list of values for a setting makes one control for each. Those "
        "that their seed can make again in a second are not stored: their scores are made straight from the baseline.",
        ControlKeys,
    ),
    (
        "`doses`",
        "A list. For each amount a baseline is trained again with that many of its examples replaced by rows of the "
        "table; everything else in its training stays the same. In tables its method is `dose`, its setting "
        "`NAME=AMOUNT`; it is compared with the baseline without a dose.",
        DoseKeys,
    ),
    (
        "`metrics`",
        "A list; with the settings of the metric, below. A list of values for a setting makes one entry for each, "
        "named by it (`masked: [shared_tokens, differing_tokens]`: `crows_pairs_masked_shared_tokens`, …; a value that "
        "is no short word by its number), with scores, rows and verdicts of its own. The table "
        "[`over_settings`](results.md) has the mean over them; from three values on its interval is that of a "
        "random factor.",
        MetricKeys,
    ),
    ("Data of a metric", "Under `data.<role>` of a metric.", Files),
    ("`statistics`", "", Statistics),
    ("`execution`", "Changes no result and no key.", Execution),
]


def markdown() -> str:
    """The whole of docs/study.md."""
    return "\n".join([INTRODUCTION, *_sections()]).rstrip() + "\n"


def schema() -> dict[str, Any]:
    """A JSON schema (2020-12) of the study file."""
    definitions: dict[str, Any] = {}
    top = _schema_of(StudyKeys, definitions)
    top["properties"]["models"] = {"additionalProperties": _schema_of(Model, definitions), "type": "object"}
    sections: dict[str, tuple[str, type[BaseModel] | None]] = {
        "sources": ("downloads", None),
        "tasks": ("tasks", TaskKeys),
    }
    for kind, (section, common) in sections.items():
        top["properties"][section] = {"type": "object", "additionalProperties": _variants(kind, common, definitions)}
    lists: dict[str, tuple[str, type[BaseModel]]] = {
        "compression": ("compressions", CompressionKeys),
        "controls": ("controls", ControlKeys),
        "metrics": ("metrics", MetricKeys),
    }
    for kind, (section, common) in lists.items():
        top["properties"][section] = {"type": "array", "items": _variants(kind, common, definitions)}
    step = _variants("compression", None, definitions)
    chain = _schema_of(ChainKeys, definitions)
    chain["properties"]["chain"] = {"type": "array", "minItems": 2, "items": step}
    top["properties"]["compressions"]["items"]["anyOf"].append(chain)
    top["properties"]["doses"] = {"type": "array", "items": _schema_of(DoseKeys, definitions)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def _sections() -> Iterator[str]:
    for title, text, model in SECTIONS:
        yield (
            f"## {title}\n\n{text}\n\n{settings_table(model)}\n" if text else f"## {title}\n\n{settings_table(model)}\n"
        )
    for kind, title in TITLES.items():
        yield f"## {title}\n"
        kind, names = _modules(kind)
        for name in names:
            settings = settings_table(registry.load(kind, name).Settings)
            more = f"[More in the gallery](gallery.md#{name})."
            yield f"### `{SELECTORS[kind]}: {name}`\n\n{cards.of(kind, name).title} {more}\n\n{settings}\n"


def _modules(section: str) -> tuple[str, list[str]]:
    """The kind of module that a section of the page is about, and those that a study can name there."""
    kind = "compression" if section == "controls" else section
    modules = registry.modules(kind)
    if kind != "compression":
        return kind, list(modules.names())
    named = [name for name in modules.names() if (modules.family(name) == CONTROLS) == (section == "controls")]
    return kind, [name for name in named if name != DOSE]


def settings_table(model: type[BaseModel]) -> str:
    """A Markdown table of the keys of a block of settings: type, default, meaning."""
    if not model.model_fields:
        return "It has no settings."
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        rows.append(f"| `{name}` | {_type(field)} | {_default(field)} | {_escape(field.description or '')} |")
    return "\n".join(rows)


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(each, attribute)}"
        for each in field.metadata
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(each, attribute, None) is not None
    ]
    return _escape(", ".join([_type_name(field.annotation), *bounds]))


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(str(each) for each in arguments)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(each) for each in arguments if each is not type(None))
    if origin in (list, tuple):
        return f"list of {_type_name(arguments[0])}" if arguments else "list"
    if origin is dict:
        return "mapping"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    return names.get(getattr(annotation, "__name__", ""), "mapping")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "*required*"
    value = field.get_default(call_default_factory=True)
    if value is None or value == {} or isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple) and value == typing.get_args((typing.get_args(field.annotation) or ("",))[0]):
        return "all of them"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(str(each) for each in value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _schema_of(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    found = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions |= found.pop("$defs", {})
    return found


def _variants(kind: str, common: type[BaseModel] | None, definitions: dict[str, Any]) -> dict[str, Any]:
    """One alternative per module: its selector is fixed, its settings and the common keys are allowed."""
    shared = _schema_of(common, definitions) if common else {"properties": {}, "required": []}
    variants = []
    kind, names = _modules(kind)
    modules = registry.modules(kind)
    for name in names:
        own = _schema_of(modules[name].Settings, definitions)
        properties = shared["properties"] | own.get("properties", {}) | {SELECTORS[kind]: {"const": name}}
        if kind in ("compression", "metrics"):
            single = own.get("properties", {})
            properties |= {key: {"anyOf": [value, {"type": "array", "items": value}]} for key, value in single.items()}
        required = sorted({SELECTORS[kind], *shared.get("required", []), *own.get("required", [])})
        variants.append(
            {"type": "object", "additionalProperties": False, "properties": properties, "required": required}
        )
    return {"anyOf": variants}
