"""Recorded artifacts come back whole or are named, whatever is wrong with the remote, the cache or the process."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import clones
import pytest
import servers
from clones import cached, commit, configure, content, fetch, make, objects

from fairshrink.errors import UserError
from fairshrink.remote import pointers, remote_store, restoring, sharing
from fairshrink.store import artifacts

PLACES = ("data", "results/compressed", "results/scores/ckpt-0123456789ab")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A clone with three recorded and committed artifacts; tests work on copies."""
    home = tmp_path_factory.mktemp("template")
    root = clones.start(home / "ours")
    pointers.record([make(root, place, f"first{number}") for number, place in enumerate(PLACES)], root=root)
    commit(root)
    return home


@pytest.fixture
def ours(template, tmp_path):
    shutil.copytree(template, tmp_path / "git", symlinks=True)
    return tmp_path / "git" / "ours"


@pytest.fixture(params=servers.KINDS)
def remote(request, tmp_path):
    with servers.serving(request.param, tmp_path / "remote") as served:
        yield served


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


def own(root: Path, path: str, *, list_itself: bool = False) -> str:
    """The object of an artifact's weights, which no other artifact has; or its list of files."""
    weights = hashlib.md5((root / path / "model.bin").read_bytes()).hexdigest()
    return next(each for each in objects(root / path) if each.endswith(".dir")) if list_itself else weights


def replace(file: Path, data: bytes, mode: int) -> None:
    file.chmod(0o644)
    file.write_bytes(data)
    file.chmod(mode)


def in_cache(root: Path, name: str) -> Path:
    return root / ".dvc/cache/files/md5" / name[:2] / name[2:]


@pytest.mark.parametrize("list_itself", [False, True])
def test_object_that_is_gone_from_the_remote_is_found_before_anything_starts(ours, theirs, shared, list_itself, capsys):
    first, *others = clones.pointers_of(ours)
    shared.delete(own(ours, first, list_itself=list_itself))
    with pytest.raises(UserError) as told:
        restoring.finder("required", theirs)({first, *others})
    text = str(told.value)
    assert text.splitlines()[:3] == [
        "1 recorded artifacts cannot be restored:",
        "  it is neither in DVC's cache nor in the remote:",
        f"    {first}",
    ]
    assert "Nothing was started" in text
    assert "restore=preferred" in text
    assert "make share" in text
    assert restoring.finder("preferred", theirs)({first, *others}) == set(others)
    said = capsys.readouterr().err
    assert first in said
    assert "computed instead" in said
    assert fetch(theirs, others) == set(others)
    sharing.share([], ours)
    assert fetch(theirs, [first]) == {first}


def test_many_that_are_gone_share_one_line_of_reason(ours, theirs, shared):
    for path in clones.pointers_of(ours):
        shared.delete(own(ours, path, list_itself=path != clones.pointers_of(ours)[0]))
    with pytest.raises(UserError) as told:
        restoring.finder("required", theirs)(set(clones.pointers_of(ours)))
    assert str(told.value).count("neither") == 1


@pytest.mark.parametrize("list_itself", [False, True])
def test_object_with_other_bytes_in_the_remote_never_reaches_its_place(ours, theirs, shared, list_itself):
    first, *others = clones.pointers_of(ours)
    bad = own(ours, first, list_itself=list_itself)
    good = shared.read(bad)
    shared.write(bad, good[:-1] + b"?")
    missing = {first, *others}
    if not list_itself:
        assert restoring.finder("required", theirs)(missing) == missing  # looking does not read them
        with pytest.raises(UserError, match=r"damaged in the remote \(") as told:
            restoring.restore(sorted(missing), theirs)
        assert first in str(told.value)
        assert not (theirs / first).exists()
        assert all(content(theirs / path) == content(ours / path) for path in others)
    assert bad not in cached(theirs)
    with pytest.raises(UserError, match=r"1 recorded artifacts cannot be restored:\n  it is damaged in the remote \("):
        restoring.finder("required", theirs)(missing)
    assert restoring.finder("preferred", theirs)(missing) == set(others)
    assert clones.true_names(cached(theirs))
    assert bad in shared.names()  # a reader changes nothing there

    shared.delete(bad)
    assert sharing.share([], ours).objects == 1
    assert shared.read(bad) == good
    assert fetch(theirs, [first]) == {first}
    assert content(theirs / first) == content(ours / first)


@pytest.mark.parametrize("list_itself", [False, True])
def test_object_damaged_in_the_cache_is_fetched_anew(ours, shared, list_itself):
    first, *others = clones.pointers_of(ours)
    expected = content(ours / first)
    name = own(ours, first, list_itself=list_itself)
    shutil.rmtree(ours / first)
    replace(in_cache(ours, name), b"damaged" * 9, 0o444)
    assert fetch(ours, [first, *others]) == {first}
    assert content(ours / first) == expected
    assert clones.true_names(cached(ours))


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


def test_artifact_that_was_recorded_with_a_fault_is_told_once_and_known_then(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        path = make(ours, PLACES[1], "faulty")
        (ours / path / "model.bin").write_bytes(b"changed before it was recorded")
        sharing.share([path], ours)
        shutil.rmtree(ours / path)
        with pytest.raises(UserError, match=r"model\.bin: other bytes than recorded"):
            fetch(ours, [path])
        assert not (ours / path).exists()
        with pytest.raises(UserError, match=r"cannot be restored:\n  model\.bin: other bytes than recorded"):
            restoring.finder("required", ours)({path})
        assert restoring.finder("preferred", ours)({path}) == set()


def test_unfinished_object_in_the_cache_is_not_trusted(ours, theirs):
    """As a process leaves it that is killed after the transfer and before the check: writable, of any bytes."""
    first, *_ = clones.pointers_of(ours)
    for name in objects(ours / first):
        in_cache(theirs, name).parent.mkdir(parents=True, exist_ok=True)
        in_cache(theirs, name).write_bytes(b"half of i")
    assert fetch(theirs, [first]) == {first}
    assert content(theirs / first) == content(ours / first)
    assert clones.true_names(cached(theirs))


KILLED = """
import os, signal, sys
from pathlib import Path
from dvc_objects.fs.local import FsspecLocalFileSystem
from s3fs import S3FileSystem
from sshfs import SSHFileSystem
from fairshrink.remote import restoring
left = int(sys.argv[1])

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

local = FsspecLocalFileSystem.put_file
FsspecLocalFileSystem.put_file = copying
SSHFileSystem._get_file = asynchronous(SSHFileSystem._get_file)
S3FileSystem._get_file = asynchronous(S3FileSystem._get_file)
restoring.restore(sys.argv[2:])
"""


@pytest.mark.parametrize("arrived", [1, 4, 7])
def test_killed_restore_leaves_nothing_half_made_and_the_next_one_completes(ours, theirs, arrived):
    paths = clones.pointers_of(ours)
    command = [sys.executable, "-c", KILLED, str(arrived), *paths]
    done = subprocess.run(command, cwd=theirs, env={"PYTHONPATH": str(clones.ROOT)}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not any(artifacts.exists(theirs / path) for path in paths)
    assert clones.true_names(cached(theirs))
    assert fetch(theirs, paths) == set(paths)
    assert all(content(theirs / path) == content(ours / path) for path in paths)
    assert clones.true_names(cached(theirs))


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
        _, said = each.communicate(timeout=120)
        assert each.returncode == 0, said
    assert all(content(theirs / path) == content(ours / path) for path in paths)
    assert clones.true_names(cached(theirs))


def test_only_what_is_asked_for_is_fetched(ours, theirs):
    wanted, *others = clones.pointers_of(ours)
    assert fetch(theirs, [wanted]) == {wanted}
    assert set(cached(theirs)) == set(objects(ours / wanted))
    assert not any((theirs / path).exists() for path in others)


def test_dry_run_fetches_lists_and_no_file(ours, theirs):
    paths = set(clones.pointers_of(ours))
    assert restoring.finder("required", theirs)(paths) == paths
    assert set(cached(theirs)) == {own(ours, path, list_itself=True) for path in paths}


@pytest.mark.parametrize("moment", ["planning", "restoring"])
def test_remote_that_is_down_is_told_apart_from_missing_objects(ours, theirs, shared, moment):
    paths = set(clones.pointers_of(ours))
    if moment == "restoring":
        assert restoring.finder("required", theirs)(paths) == paths
    shared.stop()
    with pytest.raises(UserError) as told:
        if moment == "planning":
            restoring.finder("required", theirs)(paths)
        else:
            restoring.restore(sorted(paths), theirs)
    assert "remote storage" in str(told.value)
    assert "neither" not in str(told.value)
    assert str(told.value).count("remote storage") == 1
    assert not any((theirs / path).exists() for path in paths)
    assert restoring.finder("preferred", theirs)(paths) == set()
    assert not (theirs / restoring.LOST).exists()


def test_what_is_in_the_cache_needs_no_remote(ours, theirs, shared):
    first, *others = clones.pointers_of(ours)
    fetch(theirs, [first])
    shutil.rmtree(theirs / first)
    shared.stop()
    assert restoring.finder("preferred", theirs)({first, *others}) == {first}
    assert fetch(theirs, [first]) == {first}
    assert content(theirs / first) == content(ours / first)


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_host_that_hangs_is_asked_once_and_given_up(ours, kind, monkeypatch):
    monkeypatch.setattr(remote_store, "SECONDS", 1)
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
        for path in clones.pointers_of(ours):  # as a plan asks, level by level
            assert find({path}) == set()
        with pytest.raises(UserError, match="no answer in time"):
            restoring.finder("required", theirs)(set(clones.pointers_of(ours)))
    assert len(reached) == 2


def test_listing_that_leaves_out_a_folder_is_not_believed(ours, tmp_path, monkeypatch):
    """Over SSH a folder that cannot be listed is left out of the listing without an error."""
    from sshfs import SSHFileSystem

    original = SSHFileSystem._ls

    async def stingy(self, path, detail=True, **more):
        if "files/md5/" in path:
            raise PermissionError(path)
        return await original(self, path, detail=detail, **more)

    monkeypatch.setattr(SSHFileSystem, "_ls", stingy)
    with servers.ssh(tmp_path / "remote") as remote:
        configure(ours, remote)
        sharing.share([], ours)
        theirs = clones.clone(ours, "theirs")
        paths = set(clones.pointers_of(ours))
        assert fetch(theirs, sorted(paths)) == paths


def test_folder_behind_a_link_is_a_folder(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        (tmp_path / "link").symlink_to(remote.place)
        configure(ours, servers.Remote(str(tmp_path / "link")))
        assert sharing.share([], ours).objects == len(remote.names()) > 0


def test_own_time_limit_holds(ours, monkeypatch):
    theirs = clones.clone(ours, "theirs")
    configure(theirs, servers.Remote("ssh://127.0.0.1/store", {"port": 1, "user": "nobody", "timeout": 77}))
    assert restoring.Storage(theirs).remote.fs.fs_args["timeout"] == 77
    configure(theirs, servers.Remote("ssh://127.0.0.1/store", {"port": 1, "user": "nobody"}))
    assert restoring.Storage(theirs).remote.fs.fs_args["timeout"] == remote_store.SECONDS


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_folder_that_may_not_be_read_is_told_apart_from_missing_objects(template):
    with tempfile.TemporaryDirectory() as home, servers.folder(Path(home) / "remote") as remote:
        shutil.copytree(template, Path(home) / "git", symlinks=True)
        ours = Path(home) / "git/ours"
        configure(ours, remote)
        sharing.share([], ours)
        theirs = clones.clone(ours, "theirs")
        for each, mode in ((Path(home), 0o755), (ours.parent, 0o755), (remote.place, 0o700)):
            each.chmod(mode)
        clones.run(theirs, "chown", "-R", "nobody", str(theirs))
        program = (
            "import os, sys; from pathlib import Path; from fairshrink.remote import restoring\n"
            "restoring.finder('required', Path('../ours'))({sys.argv[1]})\n"  # imports what nobody may not read
            "os.setuid(65534)\n"
            "restoring.finder('required')({sys.argv[1]})"
        )
        command = [sys.executable, "-c", program, clones.pointers_of(ours)[0]]
        env = {"PYTHONPATH": str(clones.ROOT), "DVC_SITE_CACHE_DIR": str(theirs / "site")}
        done = subprocess.run(command, cwd=theirs, env=env, capture_output=True, text=True)
        assert "no permission to read it" in done.stderr
        assert "neither" not in done.stderr


def test_without_a_remote_the_reason_is_said_in_one_line(ours):
    theirs = clones.clone(ours, "theirs")
    with pytest.raises(UserError, match="3 recorded artifacts cannot be restored:\n  DVC has no default remote here:"):
        restoring.finder("required", theirs)(set(clones.pointers_of(ours)))
    assert restoring.finder("preferred", theirs)(set(clones.pointers_of(ours))) == set()


def test_never_asks_nobody(ours):
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
def test_file_that_is_no_pointer_is_named_with_the_remedy(ours, text):
    first = clones.pointers_of(ours)[0]
    (ours / f"{first}.dvc").write_text(text.format("0" * 32 + ".dir"))
    with pytest.raises(UserError, match=r"git checkout --ours") as told:
        restoring.finder("required", ours)({first})
    assert f"{first}.dvc" in str(told.value)


def test_unreadable_note_of_a_loss_is_no_note(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        sharing.share([], ours)
        theirs = clones.clone(ours, "theirs")
        first = clones.pointers_of(ours)[0]
        for text in ("{", "[]", '{"unknown": 1}', "null"):
            note = theirs / restoring.LOST / f"{own(ours, first, list_itself=True)}.json"
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(text)
            assert restoring.finder("required", theirs)({first}) == {first}
