"""JSON with one meaning: against the reader of the standard library, and a key that is there twice with its line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairshrink.data.json_text import JsonError, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_has_one_meaning_is_read_as_elsewhere(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert parse(text) == json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"a": 1,\n"a": 2}', 2, "the key 'a' is there twice"),
        ('[{"a": 1}, {"a": 1},\n{"b": {"a": ":"},\n"a": [{"b": 1}],\n"b": 2}]', 4, "the key 'b' is there twice"),
        ('{"a{": "}", "c": ["a{", {"x": "\\"a{\\":"}],\n "\\u0061{": 1}', 2, "the key 'a{' is there twice"),
        ('{"a": 1,\n"a": 2, "b": ', 2, "no JSON (Expecting value, column 14)"),
        ('{"a": {"b": 1,\n"b": 2}, "c": ', 2, "the key 'b' is there twice"),
        ('{\n"a": }', 2, "no JSON (Expecting value, column 6)"),
        ("[" * 100_000, 1, "nested too deeply"),
        ("1" * 5000, 1, "Exceeds the limit (4300 digits)"),
    ],
)
def test_what_is_refused_and_where(text, line, said):
    with pytest.raises(JsonError) as error:
        parse(text)
    assert str(error.value).startswith(said)
    assert error.value.line == line and error.value.remedy


def test_numbers_as_written_and_constants():
    assert parse("[1.50, -7]", number=str) == ["1.50", "-7"]
    assert parse("[Infinity]") == [float("inf")]
    with pytest.raises(JsonError, match="NaN is no JSON; write null"):
        parse("NaN", constants=False)
