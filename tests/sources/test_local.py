"""What of a local source counts: files through links inside it, nothing that other programs leave beside them."""

import hashlib

import pytest

from fairshrink.errors import UserError
from fairshrink.sources import local


def sha(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source/deep").mkdir(parents=True)
    (tmp_path / "source/a.csv").write_bytes(b"1")
    (tmp_path / "source/deep/b.csv").write_bytes(b"2")
    return tmp_path / "source"


def files(source, **more) -> dict[str, str]:
    settings = local.Settings(path=str(source), **more)
    pinned = local.pin(settings)["files"]
    target = source.parent / "target"
    assert local.fetch(settings, target, target)["files"] == pinned
    copied = {each.relative_to(target).as_posix(): each for each in target.rglob("*") if each.is_file()}
    assert {name: sha(each.read_bytes()) for name, each in copied.items()} == pinned
    assert not any(each.is_symlink() for each in target.rglob("*"))
    return pinned


PLAIN = {"a.csv": sha(b"1"), "deep/b.csv": sha(b"2")}


def test_what_other_programs_leave_and_what_people_read_does_not_count(source):
    for name in (
        ".git/HEAD",
        ".git/objects/x",
        "deep/__pycache__/m.pyc",
        ".cache/huggingface/x",
        ".ipynb_checkpoints/n",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x")
    for name in (
        ".DS_Store",
        "deep/.DS_Store",
        ".gitattributes",
        ".dvcignore",
        "README",
        "README.md",
        "deep/readme.TXT",
        "LICENSE.txt",
        "half.part",
        ".snakemake_timestamp",
        "provenance.json",
    ):
        (source / name).write_text("x")
    assert files(source) == PLAIN


def test_what_only_looks_like_them_counts(source):
    for name in ("readme_words.txt", "license.csv", "README.tar.gz", "part", ".hidden", "cache"):
        (source / name).write_text("x")
    assert set(files(source)) == {
        *PLAIN,
        "readme_words.txt",
        "license.csv",
        "README.tar.gz",
        "part",
        ".hidden",
        "cache",
    }


def test_links_inside_are_followed_and_copied_as_files(source):
    (source / "same.csv").symlink_to("a.csv")
    (source / "again").symlink_to("deep")
    assert files(source) == PLAIN | {"same.csv": sha(b"1"), "again/b.csv": sha(b"2")}


def test_a_source_that_is_itself_a_link(source):
    (source.parent / "link").symlink_to("source")
    assert files(source.parent / "link") == PLAIN


@pytest.mark.parametrize("what", ["outside.csv", "folder"])
def test_links_that_lead_outside_are_refused_unless_the_study_says_so(source, what):
    (source.parent / "outside.csv").write_bytes(b"3")
    (source.parent / "folder").mkdir()
    (source.parent / "folder/c.csv").write_bytes(b"4")
    (source / "deep/link").symlink_to(source.parent / what)
    with pytest.raises(UserError, match=r"deep/link is a link that leads out .* `links: follow`"):
        local.pin(local.Settings(path=str(source)))
    more = {"deep/link": sha(b"3")} if what == "outside.csv" else {"deep/link/c.csv": sha(b"4")}
    assert files(source, links="follow") == PLAIN | more


def test_links_that_lead_nowhere_or_in_circles(source):
    (source / "deep/up").symlink_to("..")
    with pytest.raises(UserError, match="deep/up is a link to a folder that it is in"):
        local.pin(local.Settings(path=str(source)))
    (source / "deep/up").unlink()
    (source / "deep/lost").symlink_to("nothing.csv")
    with pytest.raises(UserError, match=r"deep/lost is a link to .*nothing\.csv, which does not exist"):
        local.pin(local.Settings(path=str(source)))
