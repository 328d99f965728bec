"""The rule files: each says which paths its stage makes, and where the rules of all jobs are."""

import re
import shutil
import subprocess

import pytest
from tiny_study import ROOT

from fairshrink.contracts import STAGES
from fairshrink.store.layout import FOLDERS

RULES = {path.stem: path.read_text() for path in (ROOT / "rules").glob("*.smk")}


def test_each_stage_has_a_rule_file_that_the_snakefile_includes():
    assert set(RULES) == {"jobs", "restore", *STAGES}
    included = re.findall(r'^include: "rules/(\w+)\.smk"$', (ROOT / "Snakefile").read_text(), re.MULTILINE)
    assert sorted(included) == sorted(RULES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_rule_file_shows_the_paths_that_it_makes_and_from_what(stage):
    comment = RULES[stage].split("\nrule ")[0].split("\nfrom ")[0]
    made, _, inputs = comment.partition("<-")
    assert re.search(rf"^#   {FOLDERS[stage]}/<\S+-<key>/", made, re.MULTILINE)
    upstream = {"finetune": ["data"], "compress": ["results/baselines", "data"], "aggregate": ["results/scores"]}
    upstream |= {"evaluate": ["results/baselines", "results/compressed", "data"]}
    assert all(f"{folder}/<" in inputs for folder in upstream.get(stage, []))


def test_every_stage_is_run_by_its_script():
    assert "python scripts/{params.stage}.py" in RULES["jobs"]
    for stage in ("restore", *STAGES):
        assert (ROOT / f"scripts/{stage}.py").is_file()
        named = f'"{stage}"' in RULES["jobs"] or f"scripts/{stage}.py" in RULES[stage]
        assert named, stage


@pytest.mark.parametrize("target", ["study", "plan", "explain", "partial", "report", "share"])
def test_make_takes_a_study_with_any_name(target, tmp_path):
    name = 'my "first" study\'s {x}; touch here.yaml'
    tools = tmp_path / "tools"
    tools.mkdir()
    for each in ("python", "snakemake"):
        (tools / each).write_text('#!/bin/sh\nfor each; do echo "<$each>"; done\n')
        (tools / each).chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "--no-print-directory", "-o", "env", target, f"BIN={tools}", f"STUDY={name}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [each for each in done.stdout.splitlines() if "study" in each and "--" not in each and len(each) > 10]
    assert told and set(told) <= {f"<{name}>", f"<study={name}>"}
    assert not (tmp_path / "here.yaml").exists()
