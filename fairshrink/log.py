"""Progress for people: plain lines with the time, and on a terminal a bar with the time that is left.

A run sends what its jobs print to log files. Where it was started from a terminal, it names it in `TERMINAL`, and one
job at a time draws its bars there; its log gets lines in any case.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

TERMINAL = "FAIRSHRINK_TERMINAL"
"""Names the terminal that a run was started from, for the processes of its jobs."""
DRAWING = Path(".snakemake/fairshrink/drawing.lock")
"""Held by the job that draws its bars on the run's terminal, until its process ends."""
LINE_S = 30.0
"""Seconds between two lines about the same work in a log."""
POLL_S = 1.0
MB = 1e6
REDRAW_S, DELAY_S = 0.2, 0.5
"""A bar is drawn so often; work that is done within the second gets none."""


@functools.cache
def _drawn() -> list[Any]:
    """The bars that are drawn now, the inner ones last."""
    return []


@functools.cache
def _terminals() -> list[TextIO]:
    """The terminal of the run, once this process has it."""
    return []


def log(message: str) -> None:
    """Print a message to standard error, above the bars that are there.

    Lines after the first are indented, so that none looks like a message of its own.
    """
    line = f"{time.strftime('%H:%M:%S')} {shown(message, indent=2)}"
    if _drawn() and sys.stderr.isatty():
        _drawn()[-1].write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)


def shown(message: object, indent: int = 0) -> str:
    r"""A message as a terminal may show it: characters that cannot be seen, or steer it, are written like ``\x1b``."""
    text = str(message).replace("\n", "\n" + " " * indent)
    return "".join(each if each.isprintable() or each == "\n" else _named(each) for each in text)


def _named(character: str) -> str:
    return character.encode("unicode_escape").decode()


def left(done: int, total: int, seconds: float) -> str:
    """How long the rest takes if it goes on like this, to be appended to a line; "" at the beginning and at the end."""
    if not 0 < done < total:
        return ""
    return f", about {duration(seconds * (total - done) / done)} left"


def duration(seconds: float) -> str:
    """A time in a unit that people read: 27 s, 2 min, 1 h 05 min."""
    rest = round(seconds)
    hours, minutes = divmod(-(-rest // 60), 60)
    return f"{rest} s" if rest < 60 else f"{minutes} min" if not hours else f"{hours} h {minutes:02} min"


@contextlib.contextmanager
def progress(what: str, total: int | None, unit: str, *, lines: bool = True) -> Iterator[Callable[[int], None]]:
    """For work of ``total`` units, known or not: gives a function that takes how many of them are done by now.

    A bar on a terminal; in a log a line each half minute, or none without ``lines``, where the work writes its own.
    Units of "B" are bytes.
    """
    began = said = time.monotonic()
    terminal = _watched()
    bar = _bar(what, total, unit, terminal) if terminal else None

    def report(done: int) -> None:
        nonlocal said
        if bar is not None:
            bar.update(done - bar.n)
        now = time.monotonic()
        if lines and terminal is not sys.stderr and now - said >= LINE_S:
            said = now
            log(_line(what, done, total, unit, now - began))

    try:
        yield report
    finally:
        if bar is not None:
            _drawn().remove(bar)
            bar.close()


@contextlib.contextmanager
def arriving(what: str, folder: Path, total: int) -> Iterator[None]:
    """Progress of files that somebody else writes below a folder, ``total`` bytes in all."""
    finished = threading.Event()

    def watch(report: Callable[[int], None]) -> None:
        while not finished.wait(POLL_S):
            report(min(_bytes_in(folder), total))

    with progress(what, total, "B") as report:
        watcher = threading.Thread(target=watch, args=(report,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()


def _bytes_in(folder: Path) -> int:
    size = 0
    for each in folder.rglob("*"):
        with contextlib.suppress(OSError):  # renamed or removed meanwhile
            size += each.stat().st_size if each.is_file() else 0
    return size


def _line(what: str, done: int, total: int | None, unit: str, seconds: float) -> str:
    scale, name, digits = (MB, "MB", 0) if unit == "B" else (1, unit, 0)
    of = f" of {total / scale:,.{digits}f}" if total else ""
    return f"{what}: {done / scale:,.{digits}f}{of} {name}{left(done, total or 0, seconds)}"


def _bar(what: str, total: int | None, unit: str, terminal: TextIO) -> Any:
    from tqdm import tqdm

    is_bytes = unit == "B"
    bar = tqdm(
        desc=shown(what),
        total=total,
        unit=unit if is_bytes else f" {unit}",
        unit_scale=is_bytes,
        file=terminal,
        leave=False,
        dynamic_ncols=True,
        mininterval=REDRAW_S,
        delay=DELAY_S,
    )
    _drawn().append(bar)
    return bar


def _watched() -> TextIO | None:
    """Where somebody sees this process's bars: standard error, or the terminal of the run; None if nowhere."""
    if sys.stderr.isatty():
        return sys.stderr
    if not _terminals() and os.environ.get(TERMINAL):
        _terminals().extend(_terminal_of_run(os.environ[TERMINAL]))
    return next(iter(_terminals()), None)


def _terminal_of_run(name: str) -> Iterator[TextIO]:
    """Nothing while another job draws there, or where it cannot be opened any more."""
    with contextlib.suppress(OSError):
        DRAWING.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(DRAWING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            terminal = os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            os.close(lock)
            return
        yield _Terminal(io.FileIO(terminal, "w"), encoding="utf-8", write_through=True)


class _Terminal(io.TextIOWrapper):
    """One that may be closed at any time, which is no reason for a job to fail."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()
