"""What two artifacts have in common is one object in DVC's cache and remote, and one file on disk."""

import os
import shutil

from stub_artifacts import dvc, flip, job, make, repository

from fairshrink.remote import pointers, recording, restoring
from fairshrink.upkeep.verify import verify

EMBEDDINGS = "embeddings.safetensors"
BASELINE = job("finetune", "bert", seed=1)
COMPRESSED = job("compress", "bert-random", seed=1)


def test_a_file_that_two_artifacts_share_is_kept_once(tmp_path):
    root = repository(tmp_path / "r")
    common, paths = os.urandom(50_000), [BASELINE["path"], COMPRESSED["path"]]
    make(root, BASELINE, {f"model-{EMBEDDINGS}": common, "model-attention.safetensors": os.urandom(9000)})
    make(root, COMPRESSED, {f"compressed-{EMBEDDINGS}": common, "compressed-attention.safetensors": os.urandom(3000)})
    assert pointers.record(paths, root=root) == sorted(paths)
    objects = [each for each in (root / ".dvc/cache/files/md5").rglob("*") if each.is_file()]
    assert sum(each.stat().st_size == len(common) for each in objects) == 1
    files = [root / paths[0] / f"model-{EMBEDDINGS}", root / paths[1] / f"compressed-{EMBEDDINGS}"]
    assert files[0].stat().st_ino == files[1].stat().st_ino
    dvc(root, "remote", "add", "-q", "-d", "storage", str(tmp_path / "remote"))
    dvc(root, "push", "-q")
    pushed = [each for each in (tmp_path / "remote").rglob("*") if each.is_file()]
    assert sum(each.stat().st_size == len(common) for each in pushed) == 1
    for path in (*paths, ".dvc/cache"):
        shutil.rmtree(root / path)
    restoring.restore(paths, root)
    assert [each.read_bytes() for each in files] == [common, common]
    assert files[0].stat().st_ino == files[1].stat().st_ino
    assert verify(root).is_clean


def test_files_stay_copies_where_dvc_copies_or_other_bytes_are_in_the_cache(tmp_path):
    root = repository(tmp_path / "r")
    for entry in (BASELINE, COMPRESSED):
        make(root, entry, {EMBEDDINGS: b"common" * 1000})
    files = [root / entry["path"] / EMBEDDINGS for entry in (BASELINE, COMPRESSED)]
    dvc(root, "config", "cache.type", "copy")
    pointers.record([BASELINE["path"], COMPRESSED["path"]], root=root)
    assert [each.stat().st_nlink for each in files] == [1, 1]
    dvc(root, "config", "cache.type", "hardlink,copy")
    (stored,) = [each for each in (root / ".dvc/cache/files/md5").rglob("*") if each.stat().st_size == 6000]
    flip(stored)
    recording.link([BASELINE["path"]], root)
    assert [each.stat().st_nlink for each in files] == [1, 1]
    flip(stored)
    recording.link([BASELINE["path"]], root)
    assert files[0].samefile(stored)
    assert verify(root).is_clean
    assert not list((root / ".dvc/tmp").glob("link-*"))


def test_what_is_not_as_its_record_says_gets_no_pointer(tmp_path, capsys):
    """Others would restore the damaged bytes, and here they would be restored after `make verify`."""
    root, paths = repository(tmp_path / "r"), [BASELINE["path"], COMPRESSED["path"]]
    for entry in (BASELINE, COMPRESSED):
        make(root, entry, {EMBEDDINGS: b"weights"})
    flip(root / paths[1] / EMBEDDINGS)
    assert pointers.record(paths, root=root) == [paths[0]]
    assert not pointers.pointer(root / paths[1]).exists()
    assert f"not recorded: {paths[1]}: {EMBEDDINGS}: not the recorded bytes" in capsys.readouterr().err
    assert pointers.record(paths, root=root) == []


def test_an_unpacked_archive_without_git_is_told_what_to_do_and_can_be_verified(tmp_path, capsys):
    """`.dvc` came with the archive, so DVC is asked, and says only that there is no git repository."""
    root = repository(tmp_path / "r")
    shutil.rmtree(root / ".git")
    make(root, BASELINE, {EMBEDDINGS: b"weights"})
    assert pointers.record([BASELINE["path"]], root=root) == []
    assert "`dvc config --local core.no_scm true`" in capsys.readouterr().err
    found = verify(root)
    assert found.is_clean and [each.path for each in found.findings] == [BASELINE["path"]]
    assert "DVC cannot start" in capsys.readouterr().err
    flip(root / BASELINE["path"] / EMBEDDINGS)
    assert [each.state for each in verify(root).findings] == ["damaged"]
    make(root, BASELINE, {EMBEDDINGS: b"weights"})
    dvc(root, "config", "--local", "core.no_scm", "true")
    assert pointers.record([BASELINE["path"]], root=root) == [BASELINE["path"]]
    assert verify(root).is_clean
