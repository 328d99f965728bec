"""Clones and remotes to exchange artifacts between."""

import shutil

import clones
import pytest
import servers

from fairshrink.remote import pointers


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A clone with three recorded and committed artifacts; tests work on copies."""
    home = tmp_path_factory.mktemp("template")
    root = clones.start(home / "ours")
    paths = [clones.make(root, folder, f"first{number}") for number, folder in enumerate(clones.FOLDERS)]
    assert pointers.record(paths, root=root) == sorted(paths)
    clones.commit(root)
    return home


@pytest.fixture
def ours(template, tmp_path):
    shutil.copytree(template, tmp_path / "git", symlinks=True)
    return tmp_path / "git" / "ours"


@pytest.fixture(params=servers.KINDS)
def remote(request, tmp_path):
    with servers.serving(request.param, tmp_path / "remote") as served:
        yield served
