import pytest
import synthetic_cells
import synthetic_checks as checks

from fairshrink.reporting import selection


@pytest.fixture(scope="session")
def raw():
    """The table of cells as the analysis writes it, with doses."""
    return checks.with_doses(synthetic_cells.cells())


@pytest.fixture(scope="session")
def cells(raw):
    return selection.texts(raw)
