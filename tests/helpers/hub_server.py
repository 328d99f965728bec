"""A local imitation of the Hugging Face Hub: the requests with which huggingface_hub lists and downloads a repository.

    with hub_server({("model", "FacebookAI/roberta-base", revision): folder}) as endpoint:
        ...  # HF_ENDPOINT=endpoint

Files of a folder are served only at that revision; everything else responds as the hub does: 404 with an error code
that distinguishes a missing repository, revision and file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
Repositories = dict[tuple[str, str, str], Path]
_API = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)/(tree|revision)/([^/]+)")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


def fetched(
    program: str, endpoint: str, settings: list[dict], folder: Path, timeout: float = 600, **environment: str
) -> list:
    """What a Python program prints as JSON in a process of its own, in which variables of the hub are only these."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(settings), str(folder)],
        env=kept | {"HF_ENDPOINT": endpoint, "no_proxy": "127.0.0.1"} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@contextmanager
def hub_server(
    repositories: Repositories, failures: int = 0, log: list[str] | None = None, altered: Collection[str] = ()
) -> Iterator[str]:
    """Serve until the block ends; gives the endpoint's address.

    ``repositories`` maps (repo type, name, revision) to a folder. The first ``failures`` downloads of a file break off
    in the middle. ``log`` collects the requests as "METHOD path". Of the files ``altered`` a byte differs from what is
    listed.
    """
    state = {"failures": failures, "log": [] if log is None else log, "altered": altered}
    handler = type("Handler", (_Handler,), {"repositories": repositories, "state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repositories: Repositories
    state: dict

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state["log"].append(f"{self.command} {path}")
        if found := _API.fullmatch(path):
            kind, name, what, revision = found.groups()
            folder = self._folder(kind, name, revision)
            if folder is not None:
                content = _tree(folder) if what == "tree" else _info(folder, name, revision)
                self._send(json.dumps(content).encode(), {"Content-Type": "application/json"})
        elif found := _FILE.fullmatch(path):
            prefix, name, revision, file = found.groups()
            folder = self._folder("dataset" if prefix else "model", name, revision)
            if folder is not None:
                self._file(folder, file, revision)
        else:
            self._refuse("EntryNotFound")

    do_HEAD = do_GET  # noqa: N815

    def _folder(self, kind: str, name: str, revision: str) -> Path | None:
        if (kind, name, revision) in self.repositories:
            return self.repositories[kind, name, revision]
        known = any(each[:2] == (kind, name) for each in self.repositories)
        self._refuse("RevisionNotFound" if known else "RepoNotFound")
        return None

    def _file(self, folder: Path, file: str, revision: str) -> None:
        path = folder / file
        if not path.is_file():
            self._refuse("EntryNotFound")
            return
        content = path.read_bytes()
        if file in self.state["altered"]:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": revision}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(content, headers)
            return
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(content[first : last + 1], headers, 206)

    def _refuse(self, code: str) -> None:
        self._send(b"{}", {"X-Error-Code": code, "X-Error-Message": code}, 404)

    def _send(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.state["failures"] and "ETag" in headers:
            self.state["failures"] -= 1
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the requests are in the log."""


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


LARGE = (".parquet", ".safetensors")
"""What the hub keeps outside of git and lists with its sha256."""


def _tree(folder: Path) -> list[dict[str, object]]:
    return [_listed(each, each.relative_to(folder).as_posix()) for each in _files(folder)]


def _listed(path: Path, name: str) -> dict[str, object]:
    """As the hub lists a file: git's checksum, which of a large file is that of the pointer in its place."""
    content = path.read_bytes()
    lfs = {}
    if path.suffix in LARGE:
        digest = hashlib.sha256(content).hexdigest()
        lfs = {"lfs": {"oid": digest, "size": len(content), "pointerSize": 130}}
        content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
    oid = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": oid, **lfs}


def _info(folder: Path, name: str, revision: str) -> dict[str, object]:
    siblings = [{"rfilename": each.relative_to(folder).as_posix()} for each in _files(folder)]
    return {"id": name, "sha": revision, "private": False, "tags": [], "downloads": 0, "siblings": siblings}
