"""Questions that a checkpoint's memo answers, see `memo`."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from fairshrink.models.checkpoint import Checkpoint

Asked = ParamSpec("Asked")
Result = TypeVar("Result")


def remembered(
    ask: Callable[Concatenate[Checkpoint, Asked], Result],
) -> Callable[Concatenate[Checkpoint, Asked], Result]:
    """Answers that depend on nothing but the arguments come from the memo of the checkpoint, if it has one."""

    @functools.wraps(ask)
    def asked(cp: Checkpoint, /, *args: Asked.args, **named: Asked.kwargs) -> Result:
        memo = cp.memo
        if memo is None or memo.model is not cp.model:
            return ask(cp, *args, **named)
        computing = [cp.precision, cp.batch_share, cp.threads]
        written = json.dumps([ask.__name__, computing, args, named], default=_written)
        request = hashlib.blake2b(written.encode()).hexdigest()
        result: Result = memo.answer(request, lambda: ask(cp, *args, **named))
        return result

    return asked


def _written(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.tolist()
