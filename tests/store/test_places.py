"""Where nothing may be written is said in one line, before anything is tried."""

import errno
import os
from pathlib import Path

import pytest

from fairshrink.commands import main as commands
from fairshrink.errors import UserError
from fairshrink.store import places


def test_folders_that_may_not_be_written_are_named(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "data").mkdir()
    closed = {str(tmp_path / "results")}
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in closed)
    places.require_writable(["data", "logs/deep/er"], tmp_path)
    with pytest.raises(UserError, match=r"/results: a run writes there, and may not\..*git clone") as raised:
        places.require_writable(["data", "results/scores/one", "results/scores/two"], tmp_path)
    assert str(raised.value).count("results") == 1 and "data:" not in str(raised.value)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_command_that_meets_one_says_so_in_one_line(tmp_path, monkeypatch, capsys, number):
    def refuse(self, *_, **__):
        raise OSError(number, os.strerror(number), str(tmp_path / "plan.json"))

    from fairshrink.commands import list as listing

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(listing, "run", lambda options: Path("x").open())  # noqa: SIM115
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SystemExit) as ended:
        commands.main(["list", "metrics"])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert line.startswith(f"error: {tmp_path}/plan.json: ") and "git clone" in line


def test_other_errors_are_not_taken_for_one():
    assert places.refusal(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert places.refusal(OSError("no number")) is None
