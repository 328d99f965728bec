"""Every method, metric, task and source has a card with all of its fields, and the YAML on it is valid."""

import pytest
import yaml

from fairshrink import registry
from fairshrink.contracts import CONTROLS, DOSE
from fairshrink.documenting import cards
from fairshrink.study.catalog import every_role
from fairshrink.study.schema import ChainKeys, CompressionKeys, ControlKeys, DoseKeys, MetricKeys, TaskKeys

MODULES = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]
COMMON = {"metrics": MetricKeys, "compression": CompressionKeys, "tasks": TaskKeys, "sources": None}
SELECTORS = {"metrics": "metric", "compression": "method", "tasks": "kind", "sources": "source"}


@pytest.mark.parametrize(("kind", "name"), MODULES)
def test_card_has_all_fields(kind, name):
    card = cards.of(kind, name)
    for label in cards.REQUIRED[kind]:
        assert len(card.fields[label].split()) > 0, label
    assert len(card.title) <= 120


@pytest.mark.parametrize(("kind", "name"), MODULES)
def test_yaml_of_a_card_is_valid(kind, name):
    entries = yaml.safe_load(cards.of(kind, name).fields["Use"])
    if name == DOSE:
        (entry,) = entries
        assert DoseKeys.model_validate(entry).amounts == [50, 200]
        return
    assert isinstance(entries, list) == (kind in ("metrics", "compression"))
    first, *variants = entries.values() if isinstance(entries, dict) else entries
    assert kind == "metrics" or not variants
    for entry in (first, *variants):
        check_entry(kind, name, entry)


def check_entry(kind, name, entry):
    if "chain" in entry:  # a method that only makes sense after another one
        ChainKeys.model_validate(entry)
        (entry,) = [step for step in entry["chain"] if step["method"] == name]
    assert entry.pop(SELECTORS[kind]) == name
    is_control = kind == "compression" and registry.modules(kind).family(name) == CONTROLS
    common = ControlKeys if is_control else COMMON[kind]
    if common:
        shared = {key: entry.pop(key) for key in list(entry) if key in common.model_fields}
        common.model_validate(shared | {SELECTORS[kind]: name})
    settings = registry.load(kind, name).Settings
    if kind == "compression":  # a list of values makes one checkpoint for each
        entry = {key: value[0] if isinstance(value, list) else value for key, value in entry.items()}
    settings.model_validate(entry)
    if kind == "metrics":
        module = registry.load(kind, name)
        assert set(module.ROLES) <= set(shared.get("data", {})) <= set(every_role(module))


@pytest.mark.parametrize("name", registry.names("metrics"))
def test_headline_is_among_the_statistics_of_the_card(name):
    statistic, _ = registry.load("metrics", name).HEADLINE
    assert f"`{statistic}`" in cards.of("metrics", name).fields["Statistics"]


GOOD = """What it is.

Prose: not a label of a source.

Pin: one,
    and more.
Network: None.
Limits: Some.

    A paragraph.
Use:
    x:
      source: local
"""


def test_parts_of_a_card():
    card = cards.parse("sources", "local", GOOD)
    assert (card.title, card.prose) == ("What it is.", "Prose: not a label of a source.")
    assert dict(card.fields) == {
        "Pin": "one,\nand more.",
        "Network": "None.",
        "Limits": "Some.\n\nA paragraph.",
        "Use": "x:\n  source: local",
    }
    assert cards.parse("sources", "local", GOOD.replace("Prose: not a label of a source.\n\n", "")).prose == ""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("Network: None.\n", "", "no Network"),
        ("Network: None.", "Network:", "no Network"),
        ("Limits: Some.", "Network: Some.", "`Network` is there twice"),
        ("Limits:", "Limit:", "'Limit: Some.' follows a field"),
        ("    and more", "and more", "'and more.' follows a field"),
        ("What it is.\n", "What it is.\nMore.\n", "one sentence"),
        ("What it is.", "What it is", "one sentence"),
    ],
)
def test_invalid_cards_are_rejected(before, after, message):
    assert before in GOOD
    with pytest.raises(ValueError, match=message):
        cards.parse("sources", "local", GOOD.replace(before, after))
