"""How far work is: a bar on a terminal, lines in a log, what is left in a unit that people read."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from fairshrink import log
from fairshrink.log import left

ROOT = Path(__file__).parents[1]
PATIENCE_S = 600
"""Only to end a test that hangs."""


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (0, 4, 9.0, ""),
        (4, 4, 9.0, ""),
        (1, 4, 9.0, ", about 27 s left"),
        (1, 2, 61.0, ", about 2 min left"),
        (1, 3, 1800.0, ", about 1 h 00 min left"),
        (3, 10, 5400.0, ", about 3 h 30 min left"),
    ],
)
def test_time_that_is_left(done, total, seconds, said):
    assert left(done, total, seconds) == said


WORK = """
import os, sys, time
from fairshrink import log
log.DELAY_S, log.LINE_S, log.REDRAW_S = 0.0, 0.0, 0.02
with log.progress("fetching", 40_000_000, "B") as outer:
    outer(10_000_000)
    with log.progress(os.environ.get("WORK", "scoring"), 5, "texts") as inner:
        for each in range(1, 6):
            time.sleep(0.03)
            inner(each)
    log.log("a line")
{then}
"""


class Terminal:
    """A pseudo-terminal of 80 columns, and all that is written to it."""

    def __init__(self):
        self.reader, self.writer = pty.openpty()
        fcntl.ioctl(self.writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.name, self.pieces = os.ttyname(self.writer), []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while piece := os.read(self.reader, 65536):
                self.pieces.append(piece)
        except OSError:  # nobody has it open any more
            return

    def text(self) -> str:
        os.close(self.writer)
        self.thread.join(PATIENCE_S)
        os.close(self.reader)
        return b"".join(self.pieces).decode()


def screen(written: str) -> list[str]:
    """The lines that can be read in the end: carriage returns, line feeds and the cursor's way up are obeyed."""
    lines: dict[int, list[str]] = {}
    row = column = 0
    for each in re.findall(r"\x1b\[A|.|\n|\r", written):
        if each == "\r":
            column = 0
        elif each in ("\n", "\x1b[A"):
            row += 1 if each == "\n" else -1
        else:
            line = lines.setdefault(row, [])
            line += " " * (column + 1 - len(line))
            line[column] = each
            column += 1
    return ["".join(lines[each]).rstrip() for each in sorted(lines)]


def start(folder, stderr, then="", **environment):
    kept = {name: value for name, value in os.environ.items() if name != log.TERMINAL}
    return subprocess.Popen(
        [sys.executable, "-c", WORK.format(then=then)],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def test_a_terminal_shows_bars_and_lines_above_them(tmp_path):
    terminal = Terminal()
    process = start(tmp_path, terminal.writer)
    assert process.communicate(timeout=PATIENCE_S)
    shown = terminal.text()
    assert process.returncode == 0
    assert re.search(r"fetching:  25%\|.*10\.0M/40\.0M \[", shown)
    assert re.search(r"scoring:  60%\|.*3/5 \[\d\d:\d\d<\d\d:\d\d", shown)
    assert re.search(r"\d\d:\d\d:\d\d a line\r\n", shown)
    left_there = [line for line in screen(shown) if line]
    assert len(left_there) == 1
    assert left_there[0].endswith(" a line")


def test_a_log_has_lines_and_no_bars(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        assert start(tmp_path, stream).wait(PATIENCE_S) == 0
    lines = [line.partition(" ")[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert re.fullmatch(r"fetching: 10 of 40 MB, about \d+ (s|min) left", lines[0])
    assert [line.partition(",")[0] for line in lines[1:6]] == [f"scoring: {n} of 5 texts" for n in range(1, 6)]
    assert lines[6] == "a line"


def test_one_job_at_a_time_draws_on_the_terminal_of_its_run(tmp_path):
    terminal = Terminal()
    hold = "print('drawn', flush=True); sys.stdin.read()"
    with (tmp_path / "first").open("w") as one, (tmp_path / "second").open("w") as two:
        first = start(tmp_path, one, hold, **{log.TERMINAL: terminal.name})
        assert first.stdout.readline() == "drawn\n"
        assert start(tmp_path, two, WORK="between", **{log.TERMINAL: terminal.name}).wait(PATIENCE_S) == 0
        first.communicate(timeout=PATIENCE_S)
        assert start(tmp_path, two, WORK="after", **{log.TERMINAL: terminal.name}).wait(PATIENCE_S) == 0
    shown = terminal.text()
    assert [f"{each}: 100%|" in shown for each in ("scoring", "between", "after")] == [True, False, True]
    for name, what in (("first", "scoring"), ("second", "between"), ("second", "after")):
        assert f"{what}: 5 of 5 texts" in (tmp_path / name).read_text()
        assert "|" not in (tmp_path / name).read_text()


def test_a_terminal_that_is_gone_does_not_end_the_work(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        assert start(tmp_path, stream, **{log.TERMINAL: "/dev/pts/none"}).wait(PATIENCE_S) == 0
    terminal = Terminal()
    with (tmp_path / "log").open("w") as stream:
        process = start(tmp_path, stream, **{log.TERMINAL: terminal.name})
        while not terminal.pieces:
            time.sleep(0.01)
        os.close(terminal.writer)
        terminal.reader, closed = os.open(os.devnull, os.O_RDONLY), terminal.reader
        os.close(closed)
        assert process.wait(PATIENCE_S) == 0
    assert "a line" in (tmp_path / "log").read_text()


def test_files_that_somebody_else_writes_are_followed(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(log, "POLL_S", 0.01)
    monkeypatch.setattr(log, "LINE_S", 0.0)
    seen = threading.Event()
    monkeypatch.setattr(log, "log", lambda line: (print(line, file=sys.stderr), seen.set()))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/part").write_bytes(bytes(3_000_000))
    with log.arriving("org/model", tmp_path, 12_000_000):
        assert seen.wait(PATIENCE_S)
    assert "org/model: 3 of 12 MB" in capfd.readouterr().err
