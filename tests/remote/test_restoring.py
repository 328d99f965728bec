"""Recorded artifacts are restored complete or reported, whatever is wrong with the remote, the cache or the process."""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import clones
import pytest
import servers
from clones import FOLDERS, cached, configure, content, fetch, make, objects
from dvc.repo import Repo

from fairshrink.errors import UserError
from fairshrink.remote import remote_store, restoring, sharing
from fairshrink.store import artifacts


@pytest.fixture
def shared(ours, remote):
    """All artifacts of ``ours`` are in the remote."""
    configure(ours, remote)
    sharing.share([], ours)
    return remote


@pytest.fixture
def theirs(ours, shared):
    """A clone that has the pointers and none of the artifacts."""
    return clones.clone(ours, "theirs")


def own(root: Path, path: str, *, dir_object: bool = False) -> str:
    """The object of an artifact's weights, which no other artifact has; or its ``.dir`` object."""
    weights = hashlib.md5((root / path / "model.bin").read_bytes()).hexdigest()
    return next(each for each in objects(root / path) if each.endswith(".dir")) if dir_object else weights


def replace(file: Path, data: bytes, mode: int) -> None:
    file.chmod(0o644)
    file.write_bytes(data)
    file.chmod(mode)


def in_cache(root: Path, name: str) -> Path:
    return root / ".dvc/cache/files/md5" / name[:2] / name[2:]


@pytest.mark.parametrize("dir_object", [False, True])
def test_object_missing_in_the_remote_is_detected_before_anything_starts(ours, theirs, shared, dir_object, capsys):
    first, *others = clones.pointers_of(ours)
    shared.delete(own(ours, first, dir_object=dir_object))
    with pytest.raises(UserError) as raised:
        restoring.finder("required", theirs)({first, *others})
    text = str(raised.value)
    assert text.splitlines()[:3] == [
        "1 recorded artifacts cannot be restored:",
        "  it is neither in DVC's cache nor in the remote:",
        f"    {first}",
    ]
    assert "Nothing was started" in text
    assert "restore=preferred" in text
    assert "make share" in text
    assert restoring.finder("preferred", theirs)({first, *others}) == set(others)
    logged = capsys.readouterr().err
    assert first in logged
    assert "computed instead" in logged
    assert fetch(theirs, others) == set(others)
    sharing.share([], ours)
    assert fetch(theirs, [first]) == {first}


def test_artifacts_lost_for_the_same_reason_share_one_line(ours, theirs, shared):
    for path in clones.pointers_of(ours):
        shared.delete(own(ours, path, dir_object=path != clones.pointers_of(ours)[0]))
    with pytest.raises(UserError) as raised:
        restoring.finder("required", theirs)(set(clones.pointers_of(ours)))
    assert str(raised.value).count("neither") == 1


@pytest.mark.parametrize("dir_object", [False, True])
def test_object_damaged_in_the_remote_is_never_used(ours, theirs, shared, dir_object):
    first, *others = clones.pointers_of(ours)
    bad = own(ours, first, dir_object=dir_object)
    good = shared.read(bad)
    shared.write(bad, good[:-1] + b"?")
    missing = {first, *others}
    if not dir_object:
        assert restoring.finder("required", theirs)(missing) == missing  # planning does not read them
        with pytest.raises(UserError, match=r"damaged in the remote \(") as raised:
            restoring.restore(sorted(missing), theirs)
        assert first in str(raised.value)
        assert not (theirs / first).exists()
        assert all(content(theirs / path) == content(ours / path) for path in others)
    assert bad not in cached(theirs)
    with pytest.raises(UserError, match=r"1 recorded artifacts cannot be restored:\n  it is damaged in the remote \("):
        restoring.finder("required", theirs)(missing)
    assert restoring.finder("preferred", theirs)(missing) == set(others)
    assert clones.names_match_bytes(cached(theirs))
    assert bad in shared.names()  # a reader changes nothing there

    shared.delete(bad)
    assert sharing.share([], ours).objects == 1
    assert shared.read(bad) == good
    assert fetch(theirs, [first]) == {first}
    assert content(theirs / first) == content(ours / first)


@pytest.mark.parametrize("dir_object", [False, True])
def test_object_damaged_in_the_cache_is_fetched_again(ours, shared, dir_object):
    first, *others = clones.pointers_of(ours)
    expected = content(ours / first)
    name = own(ours, first, dir_object=dir_object)
    shutil.rmtree(ours / first)
    replace(in_cache(ours, name), b"damaged" * 9, 0o444)
    assert fetch(ours, [first, *others]) == {first}
    assert content(ours / first) == expected
    assert clones.names_match_bytes(cached(ours))


def test_object_damaged_in_the_cache_and_not_elsewhere_is_lost(ours):
    first = clones.pointers_of(ours)[0]
    name = own(ours, first)
    shutil.rmtree(ours / first)
    replace(in_cache(ours, name), b"damaged" * 9, 0o444)
    with pytest.raises(UserError, match="no default remote"):
        restoring.restore([first], ours)
    assert not (ours / first).exists()
    with pytest.raises(UserError, match=first):
        restoring.finder("required", ours)({first})


def test_artifact_recorded_with_a_fault_is_reported_and_not_tried_again(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        path = make(ours, FOLDERS[1], "faulty")
        (ours / path / "model.bin").write_bytes(b"changed before it was recorded")
        clones.dvc(ours, "add", "-q", path)  # by hand: a run records no such thing
        sharing.share([path], ours)
        shutil.rmtree(ours / path)
        with pytest.raises(UserError, match=r"model\.bin: not the recorded bytes"):
            fetch(ours, [path])
        assert not (ours / path).exists()
        with pytest.raises(UserError, match=r"cannot be restored:\n  model\.bin: not the recorded bytes"):
            restoring.finder("required", ours)({path})
        assert restoring.finder("preferred", ours)({path}) == set()


def test_unfinished_object_in_the_cache_is_not_trusted(ours, theirs):
    """As left by a process killed after the transfer and before the check: writable, with arbitrary bytes."""
    first, *_ = clones.pointers_of(ours)
    for name in objects(ours / first):
        in_cache(theirs, name).parent.mkdir(parents=True, exist_ok=True)
        in_cache(theirs, name).write_bytes(b"half of i")
    assert fetch(theirs, [first]) == {first}
    assert content(theirs / first) == content(ours / first)
    assert clones.names_match_bytes(cached(theirs))


KILLED = """
import os, signal, sys
from pathlib import Path
from fairshrink.remote import restoring
left, kind = int(sys.argv[1]), sys.argv[2]

def last(target):
    global left
    left -= 1
    if left < 0:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

def asynchronous(original):
    async def get(self, source, target, **more):
        last(target)
        await original(self, source, target, **more)
    return get

def copying(self, source, target, **more):
    last(target + ".half")
    local(self, source, target, **more)

if kind == "ssh":
    from sshfs import SSHFileSystem
    SSHFileSystem._get_file = asynchronous(SSHFileSystem._get_file)
elif kind == "s3":
    from s3fs import S3FileSystem
    S3FileSystem._get_file = asynchronous(S3FileSystem._get_file)
else:
    from dvc_objects.fs.local import FsspecLocalFileSystem
    local = FsspecLocalFileSystem.put_file
    FsspecLocalFileSystem.put_file = copying
restoring.restore(sys.argv[3:])
"""


@pytest.mark.parametrize("arrived", [1, 4, 7])
def test_killed_restore_leaves_no_valid_artifact_and_the_next_one_completes(ours, theirs, shared, arrived):
    paths = clones.pointers_of(ours)
    command = [sys.executable, "-c", KILLED, str(arrived), type(shared).__name__.lower(), *paths]
    done = subprocess.run(command, cwd=theirs, env={"PYTHONPATH": str(clones.ROOT)}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not any(artifacts.exists(theirs / path) for path in paths)
    assert clones.names_match_bytes(cached(theirs))
    assert fetch(theirs, paths) == set(paths)
    assert all(content(theirs / path) == content(ours / path) for path in paths)
    assert clones.names_match_bytes(cached(theirs))


def test_process_killed_while_it_fills_folders_leaves_no_artifact(ours, theirs):
    paths = clones.pointers_of(ours)
    program = (
        "import os, signal, sys; from fairshrink.store import artifacts; from fairshrink.remote import restoring\n"
        "artifacts.faults = lambda folder, name: os.kill(os.getpid(), signal.SIGKILL)\n"
        "restoring.restore(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, *paths]
    done = subprocess.run(command, cwd=theirs, env={"PYTHONPATH": str(clones.ROOT)}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not any((theirs / path).exists() for path in paths)
    assert fetch(theirs, paths) == set(paths)


def test_two_processes_may_restore_the_same_artifacts_at_once(ours, theirs):
    paths = clones.pointers_of(ours)
    program = "import sys; from fairshrink.remote import restoring; restoring.restore(sys.argv[1:])"
    command = [sys.executable, "-c", program, *paths]
    started = [
        subprocess.Popen(command, cwd=theirs, env={"PYTHONPATH": str(clones.ROOT)}, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for each in started:
        _, stderr = each.communicate(timeout=600)
        assert each.returncode == 0, stderr
    assert all(content(theirs / path) == content(ours / path) for path in paths)
    assert clones.names_match_bytes(cached(theirs))


@pytest.mark.parametrize("remote", ["folder"], indirect=True)
def test_index_that_another_process_sets_up_is_waited_for(ours, theirs):
    paths = clones.pointers_of(ours)
    repo = Repo(str(theirs))
    index = Path(repo.site_cache_dir) / "index" / "data" / "db.db"
    repo.close()
    index.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(index, isolation_level=None, check_same_thread=False)) as other:
        other.execute("begin exclusive")
        longer_than_sqlite_waits = threading.Timer(5.5, lambda: other.execute("rollback"))
        longer_than_sqlite_waits.start()
        assert fetch(theirs, paths) == set(paths)
    assert all(content(theirs / path) == content(ours / path) for path in paths)


def test_only_requested_artifacts_are_fetched(ours, theirs):
    wanted, *others = clones.pointers_of(ours)
    assert fetch(theirs, [wanted]) == {wanted}
    assert set(cached(theirs)) == set(objects(ours / wanted))
    assert not any((theirs / path).exists() for path in others)


def test_dry_run_fetches_dir_objects_and_no_file(ours, theirs):
    paths = set(clones.pointers_of(ours))
    assert restoring.finder("required", theirs)(paths) == paths
    assert set(cached(theirs)) == {own(ours, path, dir_object=True) for path in paths}


@pytest.mark.parametrize("moment", ["planning", "restoring"])
def test_unreachable_remote_is_distinguished_from_missing_objects(ours, theirs, shared, moment):
    paths = set(clones.pointers_of(ours))
    if moment == "restoring":
        assert restoring.finder("required", theirs)(paths) == paths
    shared.stop()
    with pytest.raises(UserError) as raised:
        if moment == "planning":
            restoring.finder("required", theirs)(paths)
        else:
            restoring.restore(sorted(paths), theirs)
    assert "remote storage" in str(raised.value)
    assert "neither" not in str(raised.value)
    assert str(raised.value).count("remote storage") == 1
    assert not any((theirs / path).exists() for path in paths)
    assert restoring.finder("preferred", theirs)(paths) == set()
    assert not (theirs / restoring.LOST).exists()


def test_cached_artifacts_need_no_remote(ours, theirs, shared):
    first, *others = clones.pointers_of(ours)
    fetch(theirs, [first])
    shutil.rmtree(theirs / first)
    shared.stop()
    assert restoring.finder("preferred", theirs)({first, *others}) == {first}
    assert fetch(theirs, [first]) == {first}
    assert content(theirs / first) == content(ours / first)


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_host_that_hangs_is_contacted_once_and_given_up(ours, kind, monkeypatch):
    monkeypatch.setattr(remote_store, "TIMEOUT_S", 1)
    reached = []
    original = remote_store.RemoteStore._reach
    monkeypatch.setattr(remote_store.RemoteStore, "_reach", lambda self: (reached.append(1), original(self)))
    theirs = clones.clone(ours, "theirs")
    with servers.silence() as port:
        if kind == "ssh":
            configure(theirs, servers.Remote("ssh://127.0.0.1/store", {"port": port, "user": "nobody"}))
        else:
            options = {"endpointurl": f"http://127.0.0.1:{port}", "access_key_id": "a", "secret_access_key": "b"}
            configure(theirs, servers.Remote("s3://bucket/store", options))
        find = restoring.finder("preferred", theirs)
        for path in clones.pointers_of(ours):  # as planning does, level by level
            assert find({path}) == set()
        with pytest.raises(UserError, match="no response in time"):
            restoring.finder("required", theirs)(set(clones.pointers_of(ours)))
    assert len(reached) == 2


def test_incomplete_listing_is_not_trusted(ours, tmp_path, monkeypatch):
    """Over SSH a folder that cannot be listed is omitted from the listing without an error."""
    from sshfs import SSHFileSystem

    original = SSHFileSystem._ls

    async def incomplete(self, path, detail=True, **more):
        if "files/md5/" in path:
            raise PermissionError(path)
        return await original(self, path, detail=detail, **more)

    monkeypatch.setattr(SSHFileSystem, "_ls", incomplete)
    with servers.ssh(tmp_path / "remote") as remote:
        configure(ours, remote)
        sharing.share([], ours)
        theirs = clones.clone(ours, "theirs")
        paths = set(clones.pointers_of(ours))
        assert fetch(theirs, sorted(paths)) == paths


def test_remote_folder_may_be_a_symbolic_link(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        (tmp_path / "link").symlink_to(remote.path)
        configure(ours, servers.Remote(str(tmp_path / "link")))
        assert sharing.share([], ours).objects == len(remote.names()) > 0


def test_users_own_time_limit_takes_precedence(ours, monkeypatch):
    theirs = clones.clone(ours, "theirs")
    configure(theirs, servers.Remote("ssh://127.0.0.1/store", {"port": 1, "user": "nobody", "timeout": 77}))
    assert restoring.Storage(theirs).remote.fs.fs_args["timeout"] == 77
    configure(theirs, servers.Remote("ssh://127.0.0.1/store", {"port": 1, "user": "nobody"}))
    assert restoring.Storage(theirs).remote.fs.fs_args["timeout"] == remote_store.TIMEOUT_S


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_folder_without_read_permission_is_distinguished_from_missing_objects(template):
    with tempfile.TemporaryDirectory() as home, servers.folder(Path(home) / "remote") as remote:
        shutil.copytree(template, Path(home) / "git", symlinks=True)
        ours = Path(home) / "git/ours"
        configure(ours, remote)
        sharing.share([], ours)
        theirs = clones.clone(ours, "theirs")
        for each, mode in ((Path(home), 0o755), (ours.parent, 0o755), (remote.path, 0o700)):
            each.chmod(mode)
        clones.run(theirs, "chown", "-R", "nobody", str(theirs))
        program = (
            "import os, sys; from pathlib import Path; from fairshrink.remote import restoring\n"
            "restoring.finder('required', Path('../ours'))({sys.argv[1]})\n"  # imports what nobody cannot read
            "os.setuid(65534)\n"
            "restoring.finder('required')({sys.argv[1]})"
        )
        command = [sys.executable, "-c", program, clones.pointers_of(ours)[0]]
        env = {"PYTHONPATH": str(clones.ROOT), "DVC_SITE_CACHE_DIR": str(theirs / "site")}
        done = subprocess.run(command, cwd=theirs, env=env, capture_output=True, text=True)
        assert "no permission to read it" in done.stderr
        assert "neither" not in done.stderr


def test_missing_remote_is_reported_in_one_line(ours):
    theirs = clones.clone(ours, "theirs")
    with pytest.raises(UserError, match="3 recorded artifacts cannot be restored:\n  DVC has no default remote here:"):
        restoring.finder("required", theirs)(set(clones.pointers_of(ours)))
    assert restoring.finder("preferred", theirs)(set(clones.pointers_of(ours))) == set()


def test_policy_never_contacts_no_remote(ours):
    theirs = clones.clone(ours, "theirs")
    configure(theirs, servers.Remote("ssh://no.such.host.invalid/store"))
    assert restoring.finder("never", theirs)(set(clones.pointers_of(ours))) == set()
    assert restoring.finder("required", theirs)({"data/unrecorded-0123456789ab"}) == set()


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< HEAD\nouts:\n- md5: {0}\n=======\nouts:\n- md5: {0}\n>>>>>>> theirs\n",
        "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: file\n",
        "outs:\n- md5: ../../../../etc/passwd.dir\n  path: x\n",
        "outs: []\n",
        "",
    ],
)
def test_invalid_pointer_is_reported_with_the_remedy(ours, text):
    first = clones.pointers_of(ours)[0]
    (ours / f"{first}.dvc").write_text(text.format("0" * 32 + ".dir"))
    with pytest.raises(UserError, match=r"git checkout --ours") as raised:
        restoring.finder("required", ours)({first})
    assert f"{first}.dvc" in str(raised.value)


def test_unreadable_record_of_a_loss_is_ignored(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        sharing.share([], ours)
        theirs = clones.clone(ours, "theirs")
        first = clones.pointers_of(ours)[0]
        for text in ("{", "[]", '{"unknown": 1}', "null"):
            file = theirs / restoring.LOST / f"{own(ours, first, dir_object=True)}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            assert restoring.finder("required", theirs)({first}) == {first}
