from __future__ import annotations

import pytest

from fairshrink.grammar import capitalized, with_article

AN = """
accountant actor apple engineer interpreter employee usher umbrella uncle urchin unidentified unimportant uninteresting
heir honest honor honour hour-long ugly upset annoying outrageous alarming undertaker
"""
A = """
nurse hunter house hero European Ukrainian university unit unicorn unique uniform user useful usual usurper utility
utopia one-day once-famous euphoric ewe ukulele ubiquitous uranium woman year U-turn
"""


@pytest.mark.parametrize("word", AN.split())
def test_an_before_a_vowel_sound(word):
    assert with_article(word) == f"an {word}"


@pytest.mark.parametrize("word", A.split())
def test_a_before_a_consonant_sound(word):
    assert with_article(word) == f"a {word}"


def test_letters_that_are_spelled_out():
    spelled = [with_article(word) for word in ("SUV", "TV", "VIP", "MP", "FBI agent", "USB stick", "I")]
    assert spelled == ["an SUV", "a TV", "a VIP", "an MP", "an FBI agent", "a USB stick", "an I"]


def test_the_first_word_of_a_phrase_decides():
    assert with_article("estate agent") == "an estate agent"
    assert with_article("South African American") == "a South African American"


def test_an_empty_phrase_is_an_error():
    with pytest.raises(ValueError, match="no word"):
        with_article("")


def test_capitalized_changes_only_the_first_letter():
    assert capitalized("an SUV") == "An SUV"
    assert capitalized("") == ""
