"""While large libraries are imported nothing looks for garbage, and never among them; later Python does as before."""

import gc
import weakref

import pytest

from fairshrink.models.libraries import importing


class Ring:
    def __init__(self):
        self.me = self


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()


def test_what_is_there_by_then_is_left_alone_and_what_comes_later_is_not():
    with importing():
        assert not gc.isenabled()
        early = weakref.ref(Ring())
    late = weakref.ref(Ring())
    gc.collect()
    assert gc.isenabled()
    assert early() is not None
    assert late() is None


def test_a_library_that_cannot_be_imported_leaves_garbage_looked_for():
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()
