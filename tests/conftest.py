"""Order of the tests: those that take minutes begin first, so that no worker is left alone with one at the end."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda each: each.get_closest_marker("workflow") is None)
