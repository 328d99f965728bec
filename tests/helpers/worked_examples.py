"""Runs the worked examples of docs/adding.md in a package that holds them; a program of its own, started by a test.

Its arguments are the folder of that package, the study that uses the examples, and an empty folder. It fails where an
example does not do what the page says, and prints the keys of the study's artifacts.
"""

import json
import sys
from pathlib import Path

import numpy as np
import slow_scores
import torch
from tiny import tiny_bert

from fairshrink import registry
from fairshrink.contracts import Context, Scoring
from fairshrink.documenting import cards
from fairshrink.models import checkpoint as checkpoints


def check_method(folder: Path) -> None:
    """Each matrix loses exactly its share of weights, those closest to the mean of their row; nothing else changes."""
    module = registry.load("compression", "near_mean")
    assert registry.modules("compression").family("near_mean") == "unstructured"
    cp = checkpoints.load(tiny_bert("encoder", folder))
    before = {name: value.clone() for name, value in cp.model.state_dict().items()}
    context = Context(seed=1, task=None, source=lambda: cp, log=print)
    pruned = module.compress(cp, module.Settings(sparsity=0.3), context)
    for name, after in pruned.model.state_dict().items():
        if ".layer." not in name or "LayerNorm" in name or name.endswith("bias"):
            assert torch.equal(after, before[name]), name
            continue
        share = 0.5 if any(f".{part}." in name for part in ("query", "key", "value")) else 1.0
        zero = after == 0
        assert int(zero.sum()) == round(0.3 * share * after.numel()), name
        distance = (before[name] - before[name].mean(dim=1, keepdim=True)).abs()
        assert distance[zero].max() <= distance[~zero].min(), name
        assert torch.equal(after[~zero], before[name][~zero]), name


def check_metric(folder: Path) -> None:
    """Log-probabilities equal those of one sentence at a time; statistic and signal are the mean preference."""
    module = registry.load("metrics", "pronoun_preference")
    cp = checkpoints.load(tiny_bert("masked_lm", folder))
    items = module.score(Scoring(cp), module.Settings())
    assert list(items["item"]) == ["engineer", "nurse", "teacher"]
    for row in items.itertuples():
        ids = cp.tokenizer(f"The {row.item} said that [MASK] was late.")["input_ids"]
        at = ids.index(cp.tokenizer.mask_token_id)
        he, she, the = (cp.tokenizer.convert_tokens_to_ids(word) for word in ("he", "she", "the"))
        assert len({he, she, the}) == 3
        for token, found in ((he, row.he), (she, row.she), (the, row.the)):
            assert abs(found - slow_scores.masked(cp.model, ids, at, token)) < 1e-4
    mean, *counted = module.summarize(items, module.Settings())
    preference = items["he"] - items["she"]
    assert {each.name: each.value(len(items)) for each in counted} == {"skipped": 0, "tied": 0}
    assert np.isclose(mean.value(len(items)), preference.mean())
    signal = module.signal(items, module.Settings())
    assert np.isclose(signal.functional(signal.values[None, :], np.ones((1, len(items))))[0], preference.mean())
    assert np.allclose(signal.contrasts[0].values, (items["he"] + items["she"]) / 2 - items["the"])


def main(package: str, study: str, scratch: str) -> None:
    """Check both, their cards, and the study."""
    from fairshrink.planning import grid, studies, unfollowed

    assert Path(registry.__file__).is_relative_to(package)
    for kind, name in (("compression", "near_mean"), ("metrics", "pronoun_preference")):
        assert name in registry.names(kind)
        assert cards.of(kind, name).title
    assert unfollowed.findings() == [], "code that keys could not follow"
    check_method(Path(scratch) / "encoder")
    check_metric(Path(scratch) / "masked_lm")
    print(json.dumps({path: each.key for path, each in grid.expand(studies.load(study)).items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
