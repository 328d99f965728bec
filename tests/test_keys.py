"""Content keys: equal for equal meaning, different for anything that can change a result."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairshrink.keys import KEY_LENGTH, canonical, digest, key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reversed_mappings(value):
    if isinstance(value, dict):
        return {name: reversed_mappings(value[name]) for name in reversed(value)}
    if isinstance(value, list):
        return [reversed_mappings(each) for each in value]
    return value


@given(JSON)
def test_order_of_mappings_does_not_matter(value):
    assert digest(reversed_mappings(value)) == digest(value)


def test_hand_worked_key():
    text = '{"code":{"m:f":"00"},"inputs":["a"],"params":{"sparsity":0.5},"stage":"compress"}'
    expected = hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
    assert key("compress", {"m:f": "00"}, {"sparsity": 0.5}, ["a"]) == expected


@pytest.mark.parametrize(
    "other",
    [
        ("evaluate", {"m:f": "00"}, {"sparsity": 0.5}, ["a"]),
        ("compress", {"m:f": "01"}, {"sparsity": 0.5}, ["a"]),
        ("compress", {"m:f": "00"}, {"sparsity": 0.6}, ["a"]),
        ("compress", {"m:f": "00"}, {"sparsity": 0.5}, ["b"]),
    ],
)
def test_each_part_counts(other):
    assert key(*other) != key("compress", {"m:f": "00"}, {"sparsity": 0.5}, ["a"])


def test_nan_is_rejected():
    with pytest.raises(ValueError, match="Out of range"):
        canonical(float("nan"))
