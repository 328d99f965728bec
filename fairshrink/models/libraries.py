"""Importing the large libraries, in processes that are this program's alone."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """While it lasts, and later among what there is by then, no garbage is looked for.

    Nothing of torch and transformers is ever garbage, and looking through it takes a third of the time of importing it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
