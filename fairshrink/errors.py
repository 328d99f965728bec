"""Errors that the user can fix: shown as one message, never as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can fix; the message says what is wrong, where, and what to write instead."""
