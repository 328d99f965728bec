"""Remotes for tests, each a real one: a folder, an SSH server and an S3 server on this machine."""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

KINDS = ("folder", "ssh", "s3")
_buckets = itertools.count()


@dataclass
class Remote:
    """A remote as configured in DVC (``url``, ``options``), with direct access to its objects."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Names of all objects in the remote."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        raise NotImplementedError

    def write(self, name: str, content: bytes) -> None:
        raise NotImplementedError

    def delete(self, name: str) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Make it permanently unreachable."""
        raise NotImplementedError


@dataclass
class Folder(Remote):
    path: Path = Path()

    def file(self, name: str) -> Path:
        return self.path / "files/md5" / name[:2] / name[2:]

    def names(self) -> set[str]:
        found = self.path.glob("files/md5/??/*")
        return {each.parent.name + each.name for each in found}

    def read(self, name: str) -> bytes:
        return self.file(name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        self.file(name).unlink()
        self.file(name).write_bytes(content)

    def delete(self, name: str) -> None:
        self.file(name).unlink()

    def stop(self) -> None:
        self.path.rename(self.path.with_name("moved"))


@dataclass
class Ssh(Folder):
    process: Any = None

    def write(self, name: str, content: bytes) -> None:
        super().write(name, content)
        before = time.time() - 60  # SFTP reports whole seconds: two writes within one would look the same
        os.utime(self.file(name), (before, before))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class S3(Remote):
    client: Any = None
    bucket: str = ""
    server: Any = None

    def _key(self, name: str) -> str:
        return f"shared/files/md5/{name[:2]}/{name[2:]}"

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="shared/files/md5/")
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {"".join(key.split("/")[-2:]) for key in keys}

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def stop(self) -> None:
        self.server.stop()


@contextmanager
def serving(kind: str, tmp: Path) -> Iterator[Remote]:
    """A fresh remote of a kind until the block ends; ``tmp`` is an empty folder for its files."""
    with {"folder": folder, "ssh": ssh, "s3": s3}[kind](tmp) as remote:
        yield remote


@contextmanager
def folder(tmp: Path) -> Iterator[Folder]:
    """A folder, as on a shared disk."""
    (tmp / "store").mkdir(parents=True)
    yield Folder(str(tmp / "store"), path=tmp / "store")


def free_port() -> int:
    """A port of this machine that is not in use at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def ssh(tmp: Path, *, read_only: bool = False) -> Iterator[Ssh]:
    """OpenSSH's server with its own keys; it accepts this user with one key."""
    daemon = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if daemon is None or shutil.which("ssh-keygen") is None:
        pytest.skip("needs OpenSSH's server: apt install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (tmp / "store").mkdir(parents=True)
    for name in ("host", "user"):
        make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp / name)]
        subprocess.run(make_key, check=True, stdin=subprocess.DEVNULL)
    shutil.copy(tmp / "user.pub", tmp / "authorized")
    (tmp / "sshd.conf").write_text(
        f"ListenAddress 127.0.0.1\nHostKey {tmp}/host\nAuthorizedKeysFile {tmp}/authorized\n"
        f"PidFile {tmp}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        f"Subsystem sftp internal-sftp{' -R' if read_only else ''}\n"
    )
    process, port = _listening([daemon, "-D", "-e", "-f", str(tmp / "sshd.conf")], tmp / "sshd.log")
    try:
        options = {"user": getpass.getuser(), "port": port, "keyfile": str(tmp / "user")}
        yield Ssh(f"ssh://127.0.0.1{tmp / 'store'}", options, tmp / "store", process)
    finally:
        process.kill()
        process.wait()


def _listening(command: list[str], log: Path) -> tuple[Any, int]:
    """The server's process and its port, once it listens there; where somebody else was quicker, on another port."""
    while True:
        port = free_port()
        with log.open("w") as stream:
            process = subprocess.Popen([*command, "-p", str(port)], stderr=stream)
        while process.poll() is None:
            if f"Server listening on 127.0.0.1 port {port}." in log.read_text():
                return process, port
            time.sleep(0.02)
        if "Address already in use" not in log.read_text():
            raise RuntimeError(f"sshd does not start: {log.read_text()}")


@contextmanager
def s3(tmp: Path) -> Iterator[S3]:
    """A server that speaks S3, with one bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"access_key_id": "reader", "secret_access_key": "secret"}
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **{f"aws_{k}": v for k, v in keys.items()}
    )
    bucket = f"artifacts-{next(_buckets)}"
    client.create_bucket(Bucket=bucket)
    options = {"endpointurl": f"http://{host}:{port}", "region": "us-east-1", **keys}
    try:
        yield S3(f"s3://{bucket}/shared", options, client=client, bucket=bucket, server=server)
    finally:
        client.close()
        server.stop()


@contextmanager
def silence() -> Iterator[int]:
    """A port that accepts connections and never responds, like a host that hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]
