"""What arrives has a size that the study can raise, and a kind that is known to run no code."""

from __future__ import annotations

import errno
import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from file_server import file_server
from pydantic import ValidationError

from fairshrink.errors import UserError
from fairshrink.sources import hub, hub_dataset, pypi, url
from fairshrink.sources._shared import formats, limits, transfer
from fairshrink.sources._shared.archives import unpack

ZEROS = bytes(1 << 20)


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.0)
    with file_server() as served:
        yield served


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def tarred(*sizes: int, sparse: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = 0 if sparse else size
            if sparse:  # one hole, of which the archive has no byte
                info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": f"{size},0"}
                info.pax_headers |= {"GNU.sparse.size": str(size), "GNU.sparse.name": info.name}
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return buffer.getvalue()


def smaller_than_it_says(content: bytes, size: int) -> bytes:
    """A zip archive of one member whose directory states another size."""
    at = content.index(b"PK\x01\x02") + 24
    return content[:at] + size.to_bytes(4, "little") + content[at + 4 :]


BOMBS = {
    "zip": zipped(a__txt=ZEROS),
    "zip of several": zipped(**{f"{name}__txt": bytes(40_000) for name in "abc"}),
    "zip in a zip": zipped(in__zip=zipped(a__txt=ZEROS)),
    "large zip in a zip": zipped(in__zip=ZEROS),
    "tar": tarred(1 << 20),
    "tar of several": tarred(40_000, 40_000, 40_000),
    "tar with a hole": tarred(1 << 40, sparse=True),
}


@pytest.mark.parametrize("name", BOMBS)
def test_archives_that_unpack_to_too_much_are_refused(tmp_path, name):
    archive, target = tmp_path / "x", tmp_path / "target"
    archive.write_bytes(BOMBS[name])
    pattern = "in.zip!*" if "in a zip" in name else "*"
    with pytest.raises(UserError, match=r"than the 0\.0001 GB that it may have; nothing was kept.*max_gb|a higher"):
        unpack(archive, "x.zip", [pattern], target, "x", 100_000)
    written = sum(each.stat().st_size for each in target.rglob("*") if each.is_file()) if target.exists() else 0
    assert written <= 100_000
    if "hole" not in name and name != "large zip in a zip":
        unpack(archive, "x.zip", [pattern], target, "x", 4 << 20)


def test_many_patterns_have_one_limit(tmp_path):
    (tmp_path / "x").write_bytes(BOMBS["zip of several"])
    with pytest.raises(UserError, match="a higher number"):
        unpack(tmp_path / "x", "x", ["a.txt", "b.txt", "c.txt"], tmp_path / "t", "x", 100_000)


def test_what_is_only_read_over_has_a_limit_too(tmp_path):
    (tmp_path / "x").write_bytes(tarred(3 << 20, 10))
    with pytest.raises(UserError, match=r"1\.txt: with it the archive unpacks to more"):
        unpack(tmp_path / "x", "x", ["1.txt"], tmp_path / "t", "x", 100_000)
    unpack(tmp_path / "x", "x", ["1.txt"], tmp_path / "t", "x", 400_000)


@pytest.mark.parametrize("stated", [10, 2 << 20])
def test_a_member_of_another_size_than_stated_is_damaged(tmp_path, stated):
    (tmp_path / "x").write_bytes(smaller_than_it_says(zipped(a__txt=ZEROS), stated))
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(tmp_path / "x", "x", ["*"], tmp_path / "t", "x", 4 << 20)


@pytest.mark.parametrize("length", [True, False])
def test_a_download_ends_at_its_limit(site, tmp_path, monkeypatch, length):
    content = bytes(300_000)
    site.pages["/f.txt"] = content
    if not length:
        monkeypatch.setattr("file_server.BaseHTTPRequestHandler.send_header", _without_length)
    settings = {"url": f"{site.url}/f.txt", "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / "t").mkdir()
    with pytest.raises(UserError, match=r"f\.txt (has|sends) .*more than the 0\.0001 GB") as raised:
        url.fetch(url.Settings(**settings, max_gb=1e-4), tmp_path / "t", tmp_path / "cache")
    assert len(site.requests) == 1 and not list((tmp_path / "cache").iterdir())
    assert ("write `max_gb: 0.000315`" in str(raised.value)) == length
    url.fetch(url.Settings(**settings, max_gb=0.000315), tmp_path / "t", tmp_path / "cache")
    assert (tmp_path / "t/f.txt").read_bytes() == content


def _without_length(self, name, value):
    if name != "Content-Length":
        self._headers_buffer.append(f"{name}: {value}\r\n".encode())


def test_an_index_does_not_go_on_for_ever(site, monkeypatch):
    site.pages["/simple/p/"] = bytes(3000)
    monkeypatch.setattr(transfer, "LARGEST_PAGE", 2000)
    with pytest.raises(UserError, match="more than"):
        transfer.get(f"{site.url}/simple/p/", "p", "*/*")


def test_no_library_writes_more_than_the_limit(tmp_path):
    with limits.largest_file(5000), pytest.raises(OSError, match="large") as raised:
        (tmp_path / "f").write_bytes(bytes(6000))
    assert raised.value.errno == errno.EFBIG
    (tmp_path / "f").write_bytes(bytes(6000))


def test_limits_are_in_no_key():
    at = {"sha256": "0" * 64}
    one = {"project": "p", "version": "1", "file": "p.whl", "members": ["*"]} | at
    assert pypi.pin(pypi.Settings(**one)) == pypi.pin(pypi.Settings(**one, max_gb=50))
    address = {"url": "https://a.org/x.csv"} | at
    assert url.pin(url.Settings(**address)) == url.pin(url.Settings(**address, max_gb=50))
    repository = {"repo": "a/b", "revision": "a" * 40}
    assert hub.pin(hub.Settings(**repository, files=["*"])) == hub.pin(
        hub.Settings(**repository, files=["*"], max_gb=1)
    )
    assert hub_dataset.pin(hub_dataset.Settings(**repository)) == hub_dataset.pin(
        hub_dataset.Settings(**repository, max_gb=1)
    )


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "a/model.safetensors.index.json", "x.GGUF", "m.onnx", "vocab.txt", "merges.txt"),
        *("spiece.model", "chat_template.jinja", "train.tsv.gz", "words/nurses", "x.tar.gz", "x-1.2", "type1.txt.dev"),
        *("*", "model/*", "tokenizer*", "*.p*", "LICENSE", ".gitattributes"),
    ],
)
def test_kinds_that_may_arrive(name):
    assert formats.is_allowed(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "pytorch_model.bin",
            "a.PT",
            "x.pth",
            "m.ckpt",
            "code.py",
            "x.pyc",
            "x.so",
            "m.h5",
            "a.npy",
            "a.npz",
            "a.pkl",
        ),
        *(
            "x.joblib",
            "x.keras",
            "x.mar",
            "x.pkl.gz",
            "*.bin",
            "x.sh",
            "x.exe",
            "x.html",
            "x.js",
            "x.whatever",
            "a.gz.gz",
        ),
    ],
)
def test_kinds_that_may_not(name):
    assert not formats.is_allowed(name)
    if "*" not in name:
        with pytest.raises(ValidationError, match="run no code"):
            url.Settings(url=f"https://a.org/{name}", sha256="0" * 64)
    with pytest.raises(ValidationError, match="run no code"):
        hub.Settings(repo="a/b", revision="a" * 40, files=[name])


def test_members_that_may_not_arrive_stay_in_their_archive(tmp_path, capsys):
    (tmp_path / "x").write_bytes(zipped(a__txt=b"a", b__pkl=b"b", c__py=b"1/0"))
    unpack(tmp_path / "x", "x", ["*"], tmp_path / "t", "x", 10**6)
    assert [each.name for each in (tmp_path / "t").iterdir()] == ["a.txt"]
    assert "left out 2 members, such as b.pkl" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"in x only b\.pkl, c\.py matches"):
        unpack(tmp_path / "x", "x", ["[bc].*"], tmp_path / "t", "x", 10**6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["."], "no name that a file can have"),
        (["a" * 300], "no name that a file can have"),
        (["a\nb"], "no name that a file can have"),
        (["a", "a/b"], "as a file and as a folder"),
        (["a/b", "a"], "as a file and as a folder"),
        (["a", "a"], "two members a"),
        (["a", "./a"], "two members ./a"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_no_file_can_have_and_names_that_collide(tmp_path, names, message, kind):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name in names:
                tar.addfile(tarfile.TarInfo(name))
    (tmp_path / "x").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=message):
        unpack(tmp_path / "x", "x", ["*"], tmp_path / "t", "x", 10**6)


def test_the_page_on_what_is_trusted_lists_the_kinds():
    page = (Path(__file__).parents[2] / "docs/security.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+) \| (`\..+`) \|$", page.split("<!-- kinds")[1], re.M)
    assert {what: tuple(each.strip("`.") for each in listed.split(", ")) for what, listed in rows} == formats.KINDS
