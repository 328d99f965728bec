"""A metric that a model is said to take scores it: each on several architectures, each architecture by several.

The full product of architectures and metrics adds nothing: metrics go through the functions of
`fairshrink/models/inference/` alone, which tests/models/ holds to plain transformers for every architecture.
"""

import collections
import dataclasses
import functools

import every_architecture
import metric_case
import numpy as np
import pytest

from fairshrink import registry
from fairshrink.contracts import Scoring
from fairshrink.registry import CATALOG
from fairshrink.study.abilities import heads_of, takes, within_reach

IN_TURN = 3
"""Metrics of each architecture, besides those that need more of it than its outputs: attention, generation."""
MORE = {"aula": {}, "bbq": {"form": "generative", "tokens": 3}}


def able(kind):
    """The metrics that an architecture takes, each with a head for it."""
    found = {}
    for head in heads_of({"model_type": kind}):
        for name in takes(within_reach([head], CATALOG.tasks), CATALOG.metrics):
            if not CATALOG.metrics[name].NEEDS_TASK:
                found[name] = head
    return found


@functools.cache
def chosen():
    """For each architecture metrics that it takes: those that still need one and fewest take, then those met least."""
    of = {kind: able(kind) for kind in every_architecture.ALL}
    reach = collections.Counter(name for found in of.values() for name in found)
    met, made = collections.Counter(), {}
    for kind, found in of.items():
        turn = sorted(found, key=lambda name: (met[name] >= 2, met[name] if met[name] >= 2 else reach[name], name))
        turn = turn[:IN_TURN]
        made[kind] = {name: found[name] for name in [*turn, *(name for name in MORE if name in found)]}
        met.update(turn)
    return made


def test_every_metric_meets_several_architectures():
    met = [name for names in chosen().values() for name in names]
    scored = {name for name in CATALOG.metrics.names() if not CATALOG.metrics[name].NEEDS_TASK}
    assert {name for name in scored if met.count(name) < 2} == set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("kind", every_architecture.ALL)
def test_what_a_model_can_take_scores_it(kind, folder):
    for name, head in chosen()[kind].items():
        module = registry.load("metrics", name)
        settings = metric_case.settings(name).model_copy(update=MORE.get(name, {}))
        cp = every_architecture.checkpoint(kind, head)
        given = Scoring(dataclasses.replace(cp), metric_case._data(name, folder), polarity=polarity(cp))
        items = module.score(given, settings)
        assert len(items) and items["item"].is_unique
        skipped = items["skipped"] if "skipped" in items else np.full(len(items), "")
        numbers = items[skipped == ""].select_dtypes("number")
        assert len(numbers) and numbers.notna().any(axis=None) and not np.isinf(numbers.to_numpy()).any()
        assert module.summarize(items, settings)


def polarity(cp):
    return {label: at - 1.0 for at, label in enumerate(cp.labels)}
