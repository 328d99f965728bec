"""Clones exchange artifacts through real remotes: a folder, an SSH server, an S3 server."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import clones
import pytest
import servers
from clones import FOLDERS, commit, configure, content, dvc, fetch, git, make, objects

from fairshrink.errors import UserError
from fairshrink.remote import pointers, remote_store, sharing, storage
from fairshrink.store import artifacts


def complete(remote: servers.Remote) -> bool:
    """Whether all objects in the remote match their names, and every file that a ``.dir`` object lists exists."""
    names = remote.names()
    store = {name: remote.read(name) for name in names}
    lists = [json.loads(data) for name, data in store.items() if name.endswith(".dir")]
    return clones.names_match_bytes(store) and all(each["md5"] in names for listed in lists for each in listed)


def test_clones_exchange_artifacts_both_ways(ours, remote):
    configure(ours, remote)
    first = clones.pointers_of(ours)
    assert sharing.share([], ours).artifacts == first
    theirs = clones.clone(ours, "theirs")
    assert fetch(theirs, first) == set(first)
    for path in first:
        assert artifacts.exists(theirs / path)
        assert content(theirs / path) == content(ours / path)
        assert artifacts.faults(theirs / path, Path(path).name) == []

    mine, yours = make(ours, FOLDERS[1], "mine"), make(theirs, "results/scores/new-0123456789ab", "yours")
    assert sharing.share([mine], ours).uncommitted == [f"{mine}.dvc"]
    assert sharing.share([yours], theirs).uncommitted == [f"{yours}.dvc"]
    commit(theirs)
    commit(ours)
    git(theirs, "pull", "-q")
    assert fetch(ours, clones.pointers_of(ours)) == {yours}
    assert fetch(theirs, clones.pointers_of(theirs)) == {mine}
    assert content(ours / yours) == content(theirs / yours)
    assert content(theirs / mine) == content(ours / mine)
    assert complete(remote)
    assert git(ours, "status", "--porcelain") == ""


def test_only_missing_objects_are_uploaded_and_counted(ours, remote):
    configure(ours, remote)
    expected = {name: size for path in clones.pointers_of(ours) for name, size in objects(ours / path).items()}
    done = sharing.share([], ours)
    assert remote.names() == set(expected)
    assert (done.recorded, len(done.artifacts)) == (3, 3)
    assert (done.objects, done.size) == (len(expected), sum(expected.values()))
    again = sharing.share([], ours)
    assert (again.artifacts, again.objects, again.size) == ([], 0, 0)
    new = make(ours, FOLDERS[0], "new")
    third = sharing.share([new], ours)
    fresh = {name: size for name, size in objects(ours / new).items() if name not in expected}
    assert third.artifacts == [new]
    assert (third.objects, third.size) == (len(fresh), sum(fresh.values()))
    lost = min(fresh)
    remote.delete(lost)
    assert sharing.share([], ours).objects == 1
    assert lost in remote.names()


def test_it_is_compatible_with_dvc_push_and_pull(ours, remote):
    configure(ours, remote)
    dvc(ours, "push", "-q")
    assert sharing.share([], ours).objects == 0
    new = make(ours, FOLDERS[0], "new")
    assert sharing.share([new], ours).objects > 0
    assert "up to date" in dvc(ours, "push")
    commit(ours)
    theirs = clones.clone(ours, "theirs")
    dvc(theirs, "pull", "-q")
    assert all(artifacts.exists(theirs / path) for path in clones.pointers_of(ours))


KILLED = """
import os, signal, sys
from pathlib import Path
from fairshrink.remote import sharing
left, kind = int(sys.argv[1]), sys.argv[2]
if kind == "ssh":
    from sshfs import SSHFileSystem as Kind
elif kind == "s3":
    from s3fs import S3FileSystem as Kind
else:
    from dvc_objects.fs.local import FsspecLocalFileSystem as Kind

def last():
    global left
    left -= 1
    return left < 0

async def send_half(self, source, target, **more):
    if last():
        half = Path("half")
        half.write_bytes(Path(source).read_bytes()[:-1])
        if kind == "ssh":
            await whole(self, str(half), target, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    await whole(self, source, target, **more)

def copy_half(self, source, target, **more):
    if last():
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, source, target, **more)

method, stopping = ("put_file", copy_half) if kind == "folder" else ("_put_file", send_half)
whole = getattr(Kind, method)
setattr(Kind, method, stopping)
sharing.share([])
"""


@pytest.mark.parametrize("sent", [0, 4, 8])
def test_killed_upload_leaves_no_incomplete_object(ours, remote, sent):
    configure(ours, remote)
    kind = type(remote).__name__.lower()
    command = [sys.executable, "-c", KILLED, str(sent), kind]
    done = subprocess.run(command, cwd=ours, env={"PYTHONPATH": str(clones.ROOT)}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = remote.names()
    assert complete(remote)
    assert sharing.share([], ours).objects > 0
    assert before < remote.names()
    assert complete(remote)
    theirs = clones.clone(ours, "theirs")
    assert fetch(theirs, clones.pointers_of(ours)) == set(clones.pointers_of(ours))


@pytest.mark.parametrize("kind", ["folder", "ssh"])
def test_object_truncated_in_the_remote_is_uploaded_again(ours, tmp_path, kind):
    with servers.serving(kind, tmp_path / "remote") as remote:
        configure(ours, remote)
        sharing.share([], ours)
        (name,) = set(objects(ours / clones.pointers_of(ours)[0])) & {hashlib.md5(clones.TOKENIZER).hexdigest()}
        remote.write(name, remote.read(name)[:7])
        done = sharing.share([], ours)
        assert (done.objects, done.size) == (1, len(clones.TOKENIZER))
        assert complete(remote)


def test_object_damaged_in_the_cache_is_not_uploaded(ours, remote):
    configure(ours, remote)
    first, *others = clones.pointers_of(ours)
    bad = hashlib.md5((ours / first / "model.bin").read_bytes()).hexdigest()
    file = ours / ".dvc/cache/files/md5" / bad[:2] / bad[2:]
    file.chmod(0o644)
    file.write_bytes(b"x" * file.stat().st_size)
    file.chmod(0o444)
    done = sharing.share([], ours)
    assert done.damaged == done.unavailable == [first]
    assert done.artifacts == others
    assert bad not in remote.names()
    assert not {name for name in objects(ours / first) if name.endswith(".dir")} & remote.names()
    assert complete(remote)
    text = sharing.report(done)
    assert first in text
    assert f"{others[0]}\n" not in text
    assert "2 of 3 recorded artifacts are there" in text


def test_unavailable_artifact_is_reported_and_stops_nothing(ours, remote):
    theirs = clones.clone(ours, "theirs")  # has the pointers, but the artifacts were never shared
    configure(theirs, remote)
    yours = make(theirs, FOLDERS[0], "yours")
    done = sharing.share([yours], theirs)
    assert done.artifacts == [yours]
    assert done.unavailable == clones.pointers_of(ours)
    assert done.damaged == []
    text = sharing.report(done)
    assert "3 recorded artifacts are neither" in text
    assert all(path in text for path in done.unavailable)


def test_report_says_how_to_commit_and_the_command_does_it(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        git(ours, "config", "status.showUntrackedFiles", "no")  # as some set it for large repositories
        new = make(ours, FOLDERS[2], "new")
        text = sharing.report(sharing.share([new], ours))
        (command,) = [line.strip() for line in text.splitlines() if line.startswith("  git ")]
        assert f"{new}.dvc" in text
        git(ours, "config", "user.name", "tester")
        git(ours, "config", "user.email", "tester@example.org")
        clones.run(ours, "bash", "-c", command)
        assert git(ours, "ls-tree", "-r", "--name-only", "origin/main").count(f"{new}.dvc") == 1
        assert sharing.uncommitted(ours) == []
        assert "All pointers are committed" in sharing.report(sharing.share([], ours))


def test_artifacts_of_other_studies_are_shared_too(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        other = make(ours, "results/baselines", "of_another_study")
        pointers.record([other], root=ours)
        stray = make(ours, "results/baselines", "unrecorded")
        done = sharing.share([], ours)
        assert other in done.artifacts
        assert stray not in done.artifacts
        assert set(objects(ours / other)) <= remote.names()


def test_of_two_pointers_of_the_same_artifact_either_can_be_kept(ours, tmp_path):
    with servers.folder(tmp_path / "remote") as remote:
        theirs = clones.clone(ours, "theirs")
        for root in (ours, theirs):
            configure(root, remote)
            same = make(root, FOLDERS[1], "same", machine=root.name)
            sharing.share([same], root)
        assert (ours / f"{same}.dvc").read_text() != (theirs / f"{same}.dvc").read_text()
        commit(theirs)
        git(ours, "add", "data", "results")
        git(ours, "commit", "-q", "-m", "artifacts")
        merged = clones.run(ours, "git", "pull", "-q", "--no-rebase", "--no-edit", check=False)
        assert merged.returncode != 0
        with pytest.raises(UserError, match=r"git checkout --ours") as raised:
            sharing.share([], ours)
        assert f"{same}.dvc" in str(raised.value)
        git(ours, "checkout", "--ours", "--", f"{same}.dvc")
        git(ours, "add", f"{same}.dvc")
        git(ours, "commit", "-q", "-m", "merged")
        git(ours, "push", "-q")
        third = clones.clone(ours, "third")
        assert same in fetch(third, [same])
        assert content(third / same) == content(ours / same)


def test_many_artifacts_take_few_requests(ours, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BATCH_SIZE", 52)
    requests: list[str] = []

    def counting(name):
        original = getattr(remote_store.RemoteStore, name)

        def counted(self, *arguments):
            requests.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(remote_store.RemoteStore, name, counted)

    for name in ("existing", "get", "put", "stamps"):
        counting(name)
    with servers.ssh(tmp_path / "remote") as remote:
        configure(ours, remote)
        sharing.share([], ours)
        assert requests == ["existing", "put", "put", "existing"]
        many = [make(ours, "results/scores/ckpt-0123456789ab", f"m{n}", {"items": b"%d" % n}) for n in range(60)]
        requests.clear()
        assert len(sharing.share(many, ours).artifacts) == 60
        assert requests == ["existing", *["put"] * 5, "existing"]  # 120 files in parts of 52, then 60 lists
        requests.clear()
        commit(ours)
        theirs = clones.clone(ours, "theirs")
        assert fetch(theirs, many) == set(many)
        assert [each for each in requests if each == "get"] == ["get"] * 5  # 60 lists while planning, 120 files after
        assert 1 <= requests.count("existing") <= 6
        assert all(content(theirs / path) == content(ours / path) for path in many)


@pytest.mark.parametrize("kind", servers.KINDS)
def test_unreachable_remote_is_reported_with_the_remedy(ours, tmp_path, kind):
    with servers.serving(kind, tmp_path / "remote") as remote:
        configure(ours, remote)
        remote.stop()
        with pytest.raises(UserError) as raised:
            sharing.share([], ours)
        assert "remote storage" in str(raised.value)
        assert "dvc remote add -d storage" in str(raised.value)


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_host_that_hangs_is_given_up(ours, kind, monkeypatch):
    monkeypatch.setattr(remote_store, "TIMEOUT_S", 1)
    with servers.silence() as port:
        urls = {
            "ssh": servers.Remote("ssh://127.0.0.1/store", {"port": port, "user": "nobody"}),
            "s3": servers.Remote("s3://bucket/store", {"endpointurl": f"http://127.0.0.1:{port}"}),
        }
        configure(ours, urls[kind], **({"access_key_id": "a", "secret_access_key": "b"} if kind == "s3" else {}))
        with pytest.raises(UserError, match="no response in time"):
            sharing.share([], ours)


def test_read_only_remote(ours, tmp_path):
    with servers.ssh(tmp_path / "remote", read_only=True) as remote:
        configure(ours, remote)
        with pytest.raises(UserError, match=r"remote storage .*[Pp]ermission"):
            sharing.share([], ours)


def test_host_that_rejects_the_key(ours, tmp_path):
    with servers.ssh(tmp_path / "remote") as remote:
        (tmp_path / "remote/authorized").write_text("")
        configure(ours, remote)
        with pytest.raises(UserError, match=r"remote storage .*[Pp]ermission denied"):
            sharing.share([], ours)
        configure(ours, remote, keyfile=tmp_path / "nowhere")
        with pytest.raises(UserError, match="nowhere"):
            sharing.share([], ours)


def test_missing_folder_or_bucket_is_not_taken_for_an_empty_one(ours, remote):
    remote.url = remote.url.replace("store", "unmounted").replace("artifacts", "forgotten")
    configure(ours, remote)
    with pytest.raises(UserError, match="does not exist"):
        sharing.share([], ours)


def test_without_a_remote_the_message_says_how_to_add_one(ours):
    with pytest.raises(UserError, match=r"no default remote.*dvc remote add -d storage"):
        sharing.share([], ours)
    for pointer in ours.rglob("*-*.dvc"):  # also where there is nothing to share yet
        pointer.unlink()
    assert not pointers.recorded(ours)
    with pytest.raises(UserError, match=r"no default remote.*dvc remote add -d storage"):
        sharing.share([], ours)
    shutil.rmtree(ours / ".dvc")
    with pytest.raises(UserError, match="dvc init"):
        sharing.share([], ours)


def test_settings_of_another_kind_of_remote_are_reported(ours, tmp_path):
    configure(ours, servers.Remote(str(tmp_path), {"access_key_id": "left over"}))
    with pytest.raises(UserError, match=r"access_key_id.*\.dvc/config\.local"):
        sharing.share([], ours)


def test_command_shares_the_studys_artifacts_and_ends_without_traceback(ours, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(clones.ROOT))
    command = [sys.executable, "-m", "fairshrink", "share", "--study", str(clones.ROOT / "config.yaml")]
    failed = clones.run(ours, *command, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: DVC has no default remote")
    with servers.folder(tmp_path / "remote") as remote:
        configure(ours, remote)
        assert "of 3 artifacts; 3 of 3 recorded artifacts are there" in clones.run(ours, *command).stdout
        assert complete(remote)
        assert len(remote.names()) > 3
