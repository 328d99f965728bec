"""What is left of a job is said in a unit that people read."""

import pytest

from fairshrink.log import left


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (0, 4, 9.0, ""),
        (4, 4, 9.0, ""),
        (1, 4, 9.0, ", about 27 s left"),
        (1, 2, 61.0, ", about 2 min left"),
        (1, 3, 1800.0, ", about 1 h 00 min left"),
        (3, 10, 5400.0, ", about 3 h 30 min left"),
    ],
)
def test_time_that_is_left(done, total, seconds, said):
    assert left(done, total, seconds) == said
