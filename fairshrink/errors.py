"""Errors that are the user's to mend: shown as one message, never as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; the message says what is wrong, where, and what to write instead."""
