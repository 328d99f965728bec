"""Documents that are generated, or that show code, must agree with the code."""

import json
import re
import sys
import types

import pytest
import yaml
from tiny_study import ROOT

from fairshrink import registry
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
            assert f"`{selector}: {name}`" in text


def worked_example(title: str) -> types.ModuleType:
    """The module whose card begins with the title, from docs/adding.md."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/adding.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if block.startswith(f'"""{title}')]
    module = types.ModuleType(title.lower().replace(" ", "_").replace("-", "_"))
    sys.modules[module.__name__] = module
    exec(compile(code, "docs/adding.md", "exec"), module.__dict__)
    return module


def test_worked_example_of_a_metric_runs(tmp_path):
    import numpy as np
    import slow_scores
    from tiny import tiny_bert

    from fairshrink.contracts import Scoring
    from fairshrink.models import checkpoint as checkpoints

    module = worked_example("Pronoun preference")
    cp = checkpoints.load(tiny_bert("masked_lm", tmp_path / "m"))
    items = module.score(Scoring(cp), module.Settings())
    for row in items.itertuples():
        ids = cp.tokenizer(f"The {row.item} said that [MASK] was late.")["input_ids"]
        at = ids.index(cp.tokenizer.mask_token_id)
        he, she = (cp.tokenizer.convert_tokens_to_ids(word) for word in ("he", "she"))
        assert he != she
        slow = slow_scores.masked(cp.model, ids, at, he) - slow_scores.masked(cp.model, ids, at, she)
        assert abs(row.preference - slow) < 1e-4
    (mean,) = module.summarize(items, module.Settings())
    assert np.isclose(mean.value(len(items)), items["preference"].mean())


def test_worked_example_of_a_method_runs(tmp_path):
    import torch
    from tiny import tiny_bert

    from fairshrink.contracts import Context
    from fairshrink.models import checkpoint as checkpoints

    module = worked_example("Near-mean pruning")
    cp = checkpoints.load(tiny_bert("encoder", tmp_path / "m"))
    weight = cp.model.encoder.layer[0].intermediate.dense.weight.detach().clone()
    context = Context(seed=1, task=None, source=lambda: cp, log=print)
    pruned = module.compress(cp, module.Settings(sparsity=0.3), context)
    after = pruned.model.encoder.layer[0].intermediate.dense.weight
    assert int((after == 0).sum()) == round(0.3 * weight.numel())
    distance = (weight - weight.mean(dim=1, keepdim=True)).abs()
    assert distance[after == 0].max() <= distance[after != 0].min()
    assert torch.equal(after[after != 0], weight[after != 0])
