"""Errors that the user can fix: shown as one message, never as a traceback."""

from __future__ import annotations

import reprlib


class UserError(Exception):
    """Something the user can fix; the message says what is wrong, where, and what to write instead."""


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 80
_BRIEF.maxlevel = 3


def brief(value: object) -> str:
    """A value as Python writes it, shortened: an alias of YAML can stand for millions of values."""
    return _BRIEF.repr(value)
