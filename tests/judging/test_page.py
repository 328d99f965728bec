"""The example of docs/judging.md is what the command prints."""

import re

import pytest
from tiny_study import ROOT

from fairshrink.commands import main as commands
from fairshrink.judging.judge import STATUS


def test_the_example_of_the_page_is_what_is_printed(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/judging.md").read_text()
    blocks = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)))
    monkeypatch.chdir(tmp_path)
    exec(blocks["python"], {})
    (command,) = [line for line in page.split("\n") if line == "fairshrink judge base.jsonl int3.jsonl"]
    with pytest.raises(SystemExit) as ended:
        commands.main(command.split()[1:])
    assert blocks["text"] in capsys.readouterr().out
    assert ended.value.code == 12


def test_the_page_lists_each_exit_status():
    page = (ROOT / "docs/judging.md").read_text()
    listed = {int(status): text for status, text in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)}
    assert set(listed) == {0, 1, *STATUS.values()}
    for verdict, status in STATUS.items():
        assert verdict.split()[-1] in listed[status]
