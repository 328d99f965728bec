"""Words for people by gender, and occupations by the gender that the stereotype gives them."""

from __future__ import annotations

GENDERS = ("female", "male")
PEOPLE = {
    "female": ("woman", "lady", "girl", "mother", "sister", "daughter", "aunt", "wife", "grandmother", "niece"),
    "male": ("man", "gentleman", "boy", "father", "brother", "son", "uncle", "husband", "grandfather", "nephew"),
}
"""In the same order: one of each gender at a place."""
PLURALS = {
    "female": ("women", "ladies", "girls", "mothers", "sisters", "daughters"),
    "male": ("men", "gentlemen", "boys", "fathers", "brothers", "sons"),
}
PRONOUNS = {"female": ("she", "her"), "male": ("he", "his")}
"""The pronoun, and its possessive."""
OCCUPATIONS = {
    "female": (
        *("nurse", "secretary", "receptionist", "hairdresser", "housekeeper", "librarian", "babysitter", "cashier"),
        *("teacher", "caregiver", "dancer", "paralegal"),
    ),
    "male": (
        *("engineer", "mechanic", "carpenter", "plumber", "electrician", "programmer", "pilot", "miner"),
        *("builder", "surgeon", "soldier", "farmer"),
    ),
}
"""Mostly held by women, or by men, in the labor statistics that Zhao et al. (2018, WinoBias) chose theirs from."""
