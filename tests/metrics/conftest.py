"""Tables of items that several tests of metrics read: made once."""

import metric_case
import pytest

from fairshrink import registry


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Tables of every metric on tiny models; to be read only."""
    return {name: metric_case.scored(name, tmp_path_factory.mktemp(name)) for name in registry.names("metrics")}
