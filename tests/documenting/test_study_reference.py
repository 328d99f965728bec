"""Documents that are generated, or that show code, must agree with the code."""

import json

import pytest
import yaml
from tiny_study import ROOT

from fairshrink import registry
from fairshrink.contracts import DOSE
from fairshrink.documenting import study_reference


def test_schema_accepts_the_studies_that_ship():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs/study.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("config.yaml", "configs/paper.yaml"):
        content = yaml.safe_load((ROOT / name).read_text())
        assert [error.message for error in validator.iter_errors(content)] == []
        assert list(validator.iter_errors(content | {"sede": 3}))


def test_every_module_is_in_the_reference():
    text = (ROOT / "docs/study.md").read_text()
    for kind, selector in study_reference.SELECTORS.items():
        for name in registry.names(kind):
            assert (f"`{selector}: {name}`" if name != DOSE else "## `doses`") in text
