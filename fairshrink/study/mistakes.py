"""What is wrong with a study, reported so that the reader can fix it: file, key, reason, remedy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from fairshrink.errors import UserError, brief


@dataclass(frozen=True)
class Mistake:
    """One mistake: ``key`` is the dotted path in the file, ``remedy`` what to write instead."""

    key: str
    reason: str
    remedy: str


class StudyError(UserError):
    """A study with mistakes; its text lists all of them. ``so``: what follows from it."""

    def __init__(self, file: str, mistakes: list[Mistake], so: str = "no job was started") -> None:
        self.file = file
        self.mistakes = mistakes
        count = f"{len(mistakes)} mistake" + ("s" if len(mistakes) != 1 else "")
        lines = [f"{file}: {count}; {so}.", ""]
        for each in mistakes:
            lines += [
                f"  {file}: {each.key}",
                f"    what is wrong: {each.reason}",
                f"    what to write:  {each.remedy}",
            ]
        super().__init__("\n".join(lines))


def suggestion(word: str, choices: Iterable[str]) -> str:
    """Remedy for a name that is not one of the choices."""
    known = sorted(choices)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    listed = ", ".join(known) if known else "(there is none yet)"
    return f"did you mean '{close[0]}'? Known: {listed}" if close else f"one of: {listed}"


def refer(name: str, known: Collection[str], key: str, what: str, mistakes: list[Mistake]) -> bool:
    """Whether a name exists; if not, it is a mistake."""
    if name not in known:
        mistakes.append(Mistake(key, f"there is no {what} '{name}'", suggestion(name, known)))
    return name in known


def check_where(
    of_models: list[str] | None,
    of_tasks: list[str] | None,
    models: set[str],
    tasks: set[str],
    key: str,
    mistakes: list[Mistake],
) -> None:
    """Add a mistake for each model and task that an entry names and that there is not."""
    for model in of_models or ():
        refer(model, models, f"{key}.models", "model", mistakes)
    for task in of_tasks or ():
        refer(task, tasks, f"{key}.tasks", "task", mistakes)


def checked(
    model: type[BaseModel], values: dict[str, Any], key: str, mistakes: list[Mistake], also: Iterable[str] = ()
) -> Any:
    """``model(**values)``, or None with its errors added to ``mistakes``; ``also`` are further keys allowed there."""
    odd = [name for name in values if not isinstance(name, str)]
    if odd:
        reason = f"the key {brief(odd[0])} is no text"
        mistakes.append(Mistake(f"{key}.{odd[0]}".lstrip("."), reason, "one of the keys in docs/study.md"))
        values = {name: value for name, value in values.items() if isinstance(name, str)}
    try:
        return model(**values)
    except ValidationError as error:
        found = [(each["type"], _translate(each, model, key, also)) for each in error.errors()]
        # Of a union's members, the one that was meant says more than "this should be a list".
        meant = {mistake.key for kind, mistake in found if kind == "value_error"}
        mistakes += [
            mistake
            for kind, mistake in found
            if kind == "value_error" or not any(re.match(re.escape(mistake.key) + r"([.\[]|$)", each) for each in meant)
        ]
    except (TypeError, UserError) as error:
        mistakes.append(Mistake(key, str(error), "see docs/study.md"))
    return None


def _translate(error: Any, model: type[BaseModel], key: str, also: Iterable[str]) -> Mistake:
    # Pydantic names the members of a union as well, as in "file.list[str].0".
    inner = [part for part in error["loc"] if not re.fullmatch(r"[a-z-]+\[.*\]", str(part))]
    path = key + "".join(f"[{part}]" if isinstance(part, int) else f".{part or brief(part)}" for part in inner)
    owner, field = _place(model, error["loc"])
    description = f": {field.description}" if field is not None and field.description else ""
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        return Mistake(path, f"there is no key '{name}' here", suggestion(name, [*owner.model_fields, *also]))
    if error["type"] == "missing":
        return Mistake(path, "this key is missing", f"add `{error['loc'][-1]}: …`{description}")
    message = error["msg"].removeprefix("Value error, ")
    own = error["type"] == "value_error"
    if own and "; " in message:
        reason, _, remedy = message.rpartition("; ")
        return Mistake(path, reason, remedy)
    given = "" if own and not isinstance(error["input"], str | int | float) else f" (it is {brief(error['input'])})"
    if error["type"] in ("dict_type", "model_type"):
        message = "A mapping of keys to values belongs here"
    return Mistake(
        path, message[0].lower() + message[1:] + given, f"a valid value{description}" if description else message
    )


def _place(model: type[BaseModel], path: Iterable[str | int]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The block of settings that a path leads into and the innermost of its keys that is one of the block's."""
    owner, inner, field = model, model, None
    for part in path:
        if isinstance(part, str) and part in inner.model_fields:
            owner, field = inner, inner.model_fields[part]
            inner = next((each for each in _leaves(field.annotation) if _is_block(each)), inner)
        elif inner is not owner:
            owner, field = inner, None
    return owner, field


def _leaves(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    yield from (leaf for each in arguments for leaf in _leaves(each)) if arguments else (annotation,)


def _is_block(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
