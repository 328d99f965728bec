"""Sources of downloads: what they fetch, what identifies it, and their messages when something is wrong."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from file_server import Site, file_server
from pydantic import ValidationError

from fairshrink.errors import UserError
from fairshrink.sources import local, pypi, url
from fairshrink.sources._shared import transfer
from fairshrink.sources._shared.archives import unpack
from fairshrink.sources.generated import source as generated

FILE = "things-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    """No proxy between the tests and their own server, and no waiting."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.0)


@pytest.fixture
def site():
    with file_server() as served:
        yield served


@pytest.fixture
def folders(tmp_path):
    target, cache = tmp_path / "target", tmp_path / "cache"
    target.mkdir()
    return target, cache


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish(site: Site, content: bytes, monkeypatch, index: str = "json") -> None:
    """Publish the wheel on an index, which the environment variable names."""
    site.pages["/files/" + FILE] = content
    address = f"../../files/{FILE}#sha256={sha(content)}"
    page = json.dumps({"meta": {"api-version": "1.1"}, "files": [{"filename": FILE, "url": address}]})
    if index == "html":
        page = f'<!DOCTYPE html><html><body><a href="{address}" data-x="1">{FILE}</a><br/></body></html>'
    site.pages["/simple/things/"] = page.encode()
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/")


def wheel(content: bytes, members: list[str], **changed: str) -> pypi.Settings:
    values = {"project": "Things", "version": "1.0", "file": FILE, "sha256": sha(content), "members": members}
    return pypi.Settings(**(values | changed))


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("index", ["json", "html"])
def test_a_wheel_is_found_on_the_index_and_only_the_chosen_members_are_unpacked(site, folders, monkeypatch, index):
    inner = tarred({"texts/a_truth.txt": b"A", "texts/a_raw.txt": b"raw", "texts/b_truth.txt": b"B"})
    content = zipped({"m/config.json": b"{}", "m/sub/x.txt": b"x", "code.py": b"1/0", "res/texts.tar.gz": inner})
    publish(site, content, monkeypatch, index)
    found = pypi.fetch(wheel(content, ["m/*", "*/texts.tar.gz!texts/*_truth.txt"]), *folders)
    expected = {"m/config.json": b"{}", "m/sub/x.txt": b"x", "texts/a_truth.txt": b"A", "texts/b_truth.txt": b"B"}
    assert files(folders[0]) == expected
    assert found["files"] == {name: sha(data) for name, data in expected.items()}
    assert found["url"] == f"{site.url}/files/{FILE}"
    json.dumps(found)


def test_a_second_fetch_needs_no_server(site, folders, monkeypatch, tmp_path):
    content = zipped({"a.txt": b"a", "b.txt": b"b"})
    publish(site, content, monkeypatch)
    pypi.fetch(wheel(content, ["a.txt"]), *folders)
    asked = len(site.requests)
    again = tmp_path / "again"
    again.mkdir()
    pypi.fetch(wheel(content, ["b.txt"]), again, folders[1])
    assert files(again) == {"b.txt": b"b"}
    assert len(site.requests) == asked
    assert [each.name for each in folders[1].iterdir()] == [sha(content)]


def test_a_damaged_cache_is_detected_and_repaired(site, folders, monkeypatch):
    content = zipped({"a.txt": b"a"})
    publish(site, content, monkeypatch)
    folders[1].mkdir()
    kept = folders[1] / sha(content)
    kept.write_bytes(content[:-1] + b"?")
    pypi.fetch(wheel(content, ["a.txt"]), *folders)
    assert kept.read_bytes() == content
    assert files(folders[0]) == {"a.txt": b"a"}


def test_a_wrong_checksum_names_both_and_keeps_nothing(site, folders, monkeypatch):
    content = zipped({"a.txt": b"a"})
    publish(site, content, monkeypatch)
    with pytest.raises(UserError) as raised:
        pypi.fetch(wheel(content, ["a.txt"], sha256="0" * 64), *folders)
    assert sha(content) in str(raised.value) and "0" * 64 in str(raised.value) and "Things 1.0" in str(raised.value)
    assert list(folders[1].iterdir()) == [] and files(folders[0]) == {}


def test_a_wrong_file_name_shows_what_the_index_has(site, folders, monkeypatch):
    content = zipped({"a.txt": b"a"})
    publish(site, content, monkeypatch)
    with pytest.raises(UserError, match=f"no file 'things-1.0.zip'; it has {FILE}"):
        pypi.fetch(wheel(content, ["a.txt"], file="things-1.0.zip"), *folders)


def test_an_unknown_project_is_requested_only_once(site, folders, monkeypatch):
    content = zipped({"a.txt": b"a"})
    publish(site, content, monkeypatch)
    with pytest.raises(UserError, match=r"/simple/thinks/ responded 404 .*check the names"):
        pypi.fetch(wheel(content, ["a.txt"], project="Thinks"), *folders)
    assert len(site.requests) == 1


def test_a_missing_member_shows_close_ones(site, folders, monkeypatch):
    content = zipped({"data/dev.json": b"a", "data/test.json": b"b"})
    publish(site, content, monkeypatch)
    with pytest.raises(UserError, match=r"nothing in things.*matches 'data/dve.json'; did you mean 'data/dev.json'"):
        pypi.fetch(wheel(content, ["data/dve.json"]), *folders)
    inner = zipped({"in.tar.gz": tarred({"x/a.txt": b"a"})})
    site.pages["/i"] = inner
    settings = url.Settings(url=site.url + "/i", sha256=sha(inner), members=["in.tar.gz!y/*"])
    with pytest.raises(UserError, match=r"nothing in in.tar.gz matches 'y/\*'; it contains x/a.txt"):
        url.fetch(settings, *folders)


def test_user_name_and_password_of_an_index_are_used_and_not_revealed(site, folders, monkeypatch, capfd):
    content = zipped({"a.txt": b"a"})
    publish(site, content, monkeypatch)
    monkeypatch.setenv("PIP_INDEX_URL", site.url.replace("//", "//me:s%40cret@") + "/simple")
    found = pypi.fetch(wheel(content, ["a.txt"]), *folders)
    assert all(headers["Authorization"] == "Basic bWU6c0BjcmV0" for _, headers in site.requests)
    assert len(site.requests) == 2
    with pytest.raises(UserError) as raised:
        pypi.fetch(wheel(content, ["a.txt"], project="other", sha256="1" * 64), *folders)
    assert "cret" not in str(found) + str(raised.value) + capfd.readouterr().err


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed(site, folders, ranges):
    content = bytes(range(256)) * 40
    site.pages["/f.txt"], site.faults["/f.txt"], site.ranges = content, ["cut", 503, "cut"], ranges
    with pytest.raises(UserError, match=r"f.txt: .*/f.txt cannot be reached \(the connection ended after"):
        url.fetch(url.Settings(url=site.url + "/f.txt", sha256=sha(content)), *folders)
    assert list(folders[1].iterdir()) == []
    site.faults["/f.txt"] = ["cut", "cut"]
    url.fetch(url.Settings(url=site.url + "/f.txt", sha256=sha(content)), *folders)
    assert files(folders[0]) == {"f.txt": content}
    starts = [headers.get("Range") for _, headers in site.requests[-3:]]
    assert starts == ([None, "bytes=5120-", "bytes=7680-"] if ranges else [None, "bytes=5120-", "bytes=5120-"])


def test_without_a_network_the_error_says_so(folders):
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/f cannot be reached \(.*refused.*check the network"):
        url.fetch(url.Settings(url="http://127.0.0.1:9/f", sha256="0" * 64), *folders)


def test_a_full_disk_is_not_taken_for_a_broken_connection(site, folders, monkeypatch):
    site.pages["/f"] = b"x"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "_copy", full)
    with pytest.raises(OSError, match="No space") as raised:
        url.fetch(url.Settings(url=site.url + "/f", sha256=sha(b"x")), *folders)
    assert raised.value.errno == errno.ENOSPC and len(site.requests) == 1


def test_an_address_gives_a_file_or_members(site, folders):
    content = tarred({"d/a.csv": b"1,2", "d/b.csv": b"3"})
    site.pages["/x/data%20set.tar.gz"] = content
    address = site.url + "/x/data%20set.tar.gz?download=1"
    site.pages["/x/data%20set.tar.gz?download=1"] = content
    url.fetch(url.Settings(url=address, sha256=sha(content)), *folders)
    assert files(folders[0]) == {"data set.tar.gz": content}
    again = folders[0] / "again"
    again.mkdir()
    url.fetch(url.Settings(url=address, sha256=sha(content), members=["*/a.csv"]), again, folders[1])
    assert files(again) == {"d/a.csv": b"1,2"}
    named = folders[0] / "named"
    named.mkdir()
    url.fetch(url.Settings(url=address, sha256=sha(content), name="d.tgz"), named, folders[1])
    assert list(files(named)) == ["d.tgz"]


def link(name: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def zipped_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(zipped({"../x": b"x"}), "written outside", id="zip-parent"),
        pytest.param(zipped({"/x": b"x"}), "written outside", id="zip-absolute"),
        pytest.param(zipped({"a/../../x": b"x"}), "written outside", id="zip-through-parent"),
        pytest.param(zipped({"..\\x": b"x"}), "written outside", id="zip-backslash"),
        pytest.param(zipped({"C:x": b"x"}), "written outside", id="zip-drive"),
        pytest.param(tarred({"../x": b"x"}), "written outside", id="tar-parent"),
        pytest.param(tarred({"/x": b"x"}), "written outside", id="tar-absolute"),
        pytest.param(tarred({"x": link("x")}), "is a link", id="tar-symlink"),
        pytest.param(tarred({"x": link("x", tarfile.LNKTYPE)}), "is a link|cannot be unpacked", id="tar-hardlink"),
        pytest.param(tarred({"x": link("x", tarfile.FIFOTYPE)}), "is a link or device", id="tar-fifo"),
        pytest.param(zipped_link(), "is a link", id="zip-symlink"),
        pytest.param(zipped({"x": b"x" * 9999})[:60], "truncated", id="zip-truncated"),
        pytest.param(tarred({"x": bytes(range(256)) * 99})[:-40], "truncated", id="tar-truncated"),
        pytest.param(gzip.compress(b"no tar at all" * 99), "damaged", id="gzip-without-tar"),
        pytest.param(b"<html>not found</html>", "not a zip or tar archive", id="html"),
        pytest.param(b"", "not a zip or tar archive", id="empty"),
    ],
)
def test_archives_cannot_write_elsewhere_and_damaged_ones_are_reported(tmp_path, content, message):
    archive, target = tmp_path / "archive", tmp_path / "deep" / "target"
    archive.write_bytes(content)
    target.mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        unpack(archive, "x.zip", ["*"], target, "test", 10**6)
    assert {p.name for p in tmp_path.rglob("*") if target not in p.parents} == {"archive", "deep", "target"}


def test_a_damaged_member_is_reported(tmp_path):
    content = bytearray(zipped({"x": bytes(range(256)) * 50}))
    content[60] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a.zip cannot be unpacked"):
        unpack(tmp_path / "a.zip", "a.zip", ["*"], tmp_path, "test", 10**6)


def test_settings_reject_invalid_values():
    good = {"project": "p", "version": "1", "file": "p.whl", "sha256": "0" * 64, "members": ["*"]}
    pypi.Settings(**good)
    for wrong in ({"sha256": "0" * 63}, {"sha256": "A" * 64}, {"members": []}, {"file": "../p.whl"}, {"x": 1}):
        with pytest.raises(ValidationError):
            pypi.Settings(**(good | wrong))
    for wrong in ({"url": "ftp://x/y"}, {"name": "../x"}, {"name": ".hidden"}, {"members": []}):
        with pytest.raises(ValidationError):
            url.Settings(**({"url": "http://x/y", "sha256": "0" * 64} | wrong))


def test_pins_say_what_the_contents_depend_on():
    content = b"c"
    one = wheel(content, ["b", "a"])
    assert pypi.pin(one) == pypi.pin(wheel(content, ["a", "b", "a"], project="mirror-of-things"))
    assert pypi.pin(one) != pypi.pin(wheel(content, ["a"])) != pypi.pin(wheel(b"d", ["a"]))
    at = {"sha256": "0" * 64}
    assert url.pin(url.Settings(url="http://a/f", **at)) == url.pin(url.Settings(url="https://b/x/f?y", **at))
    assert url.pin(url.Settings(url="http://a/f", **at)) != url.pin(url.Settings(url="http://a/g", **at))
    members = {"members": ["*"]} | at
    assert url.pin(url.Settings(url="http://a/f", **members)) == url.pin(url.Settings(url="http://a/g", **members))


def test_local_folders_and_files_are_copied_and_pinned_by_their_contents(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    target.mkdir()
    (source / "a.csv").write_bytes(b"1")
    (source / "deep" / "b.csv").write_bytes(b"2")
    (source / "provenance.json").write_bytes(b"of another artifact")
    settings = local.Settings(path=str(source))
    assert local.pin(settings) == {"files": {"a.csv": sha(b"1"), "deep/b.csv": sha(b"2")}}
    assert local.fetch(settings, target, tmp_path)["files"] == local.pin(settings)["files"]
    assert files(target) == {"a.csv": b"1", "deep/b.csv": b"2"}
    before = local.pin(settings)
    source.rename(tmp_path / "elsewhere")
    assert local.pin(local.Settings(path=str(tmp_path / "elsewhere"))) == before
    (tmp_path / "elsewhere" / "a.csv").write_bytes(b"9")
    assert local.pin(local.Settings(path=str(tmp_path / "elsewhere"))) != before
    single = local.Settings(path=str(tmp_path / "elsewhere" / "a.csv"))
    assert local.pin(single) == {"files": {"a.csv": sha(b"9")}}


def test_missing_local_sources_are_reported(tmp_path):
    with pytest.raises(UserError, match="nowhere: this local source does not exist"):
        local.pin(local.Settings(path=str(tmp_path / "nowhere")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty folder"):
        local.fetch(local.Settings(path=str(tmp_path / "empty")), tmp_path, tmp_path)


def test_generated_pairs_are_the_same_bytes_each_time(tmp_path):
    settings = generated.Settings(generator="nli", size=60, seed=3)
    digests = []
    for name in "ab":
        (tmp_path / name).mkdir()
        digests.append(generated.fetch(settings, tmp_path / name, tmp_path)["files"])
    assert digests[0] == digests[1] and list(digests[0]) == ["nli.parquet"]
    assert generated.pin(settings) == {"generator": "nli", "size": 60, "seed": 3}
    with pytest.raises(ValidationError):
        generated.Settings(generator="nil", size=60)


def test_the_code_of_a_generator_is_part_of_its_key():
    from fairshrink.planning.definitions import code_of

    entries = generated.code(generated.Settings(generator="nli", size=1))
    assert {"generate", "event_pair", "FRAMES", "SCALES", "STATES", "_KINDS"} <= set(code_of(tuple(entries)))
