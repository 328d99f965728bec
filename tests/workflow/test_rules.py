"""The rule files: each says which paths its stage makes, and where the rules of all jobs are."""

import re

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
