"""Files of a repository on the Hugging Face Hub at one commit: listed, fetched, and compared with what is listed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fairshrink.errors import UserError
from fairshrink.log import arriving, log
from fairshrink.sources._shared.limits import largest_file, too_much

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

HUB = "https://huggingface.co"
TRIES = 3
BACKOFF_S = 1.0
CHUNK = 1 << 20
SLACK = 1 << 26
"""Bytes that a file may have beside what is listed, for what the library notes."""


@dataclass(frozen=True)
class Repository:
    """A repository at a commit of 40 hex digits; ``endpoint`` is the hub's address."""

    name: str
    kind: Literal["model", "dataset"]
    revision: str
    endpoint: str

    @property
    def what(self) -> str:
        """What messages call it."""
        return f"{self.name}@{self.revision[:8]}"


def open_repository(name: str, kind: Literal["model", "dataset"], revision: str) -> Repository:
    """The repository at the hub that HF_ENDPOINT names; sets variables that huggingface_hub reads when imported."""
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if endpoint != HUB:
        # The Xet protocol uses Hugging Face's own servers; a mirror serves files by plain HTTP.
        os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # there is one for all files
    return Repository(name, kind, revision, endpoint)


def listing(repository: Repository) -> dict[str, RepoFile]:
    """All files by path. UserError if there is no such hub, repository or commit."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.hf_api import RepoFile

    try:
        found = HfApi(endpoint=repository.endpoint).list_repo_tree(
            repository.name, recursive=True, revision=repository.revision, repo_type=repository.kind
        )
        return {each.path: each for each in found if isinstance(each, RepoFile)}
    except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(_explanation(repository, error)) from error


def fetch_files(repository: Repository, wanted: Mapping[str, RepoFile], target: Path, most: int) -> None:
    """The files into ``target``, below their paths, each compared with the size and checksum that the hub lists.

    UserError if the hub does not serve one, or another one than it lists, or lists more than ``most`` bytes.
    """
    partial = target / ".partial"
    total = sum(each.size for each in wanted.values())
    if total > most:
        raise UserError(f"{repository.what}: {repository.endpoint} lists {too_much(total, most)}")
    try:
        with largest_file(total + SLACK), arriving(repository.what, partial, total):
            _download(repository, sorted(wanted), partial)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise UserError(
            f"{repository.what}: {repository.endpoint} sends more than the {total} bytes that it lists; nothing was "
            "kept: do not trust this hub or what is between it and you"
        ) from error
    for path, listed in wanted.items():
        _compare(repository, partial / path, path, listed)
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(partial / path, target / path)
    shutil.rmtree(partial)


def _compare(repository: Repository, file: Path, path: str, listed: RepoFile) -> None:
    """A large file's checksum is its sha256, a small one's that of git: the sha1 of its length and contents."""
    size = file.stat().st_size
    digest = hashlib.sha256() if listed.lfs else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    expected = listed.lfs.sha256 if listed.lfs else listed.blob_id
    if size != listed.size or digest.hexdigest() != expected:
        raise UserError(
            f"{repository.what}: {path} arrived with {size} bytes and the checksum {digest.hexdigest()}, and "
            f"{repository.endpoint} lists {listed.size} bytes and {expected}; the file was not kept: run again, and if "
            "that does not help, do not trust this hub or what is between it and you"
        )


def _download(repository: Repository, wanted: Collection[str], folder: Path) -> None:
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    for attempt in range(1, TRIES + 1):
        try:
            snapshot_download(
                repository.name,
                repo_type=repository.kind,
                revision=repository.revision,
                allow_patterns=[_literal(name) for name in wanted],
                local_dir=folder,
                cache_dir=folder / ".cache" / "hub",
                endpoint=repository.endpoint,
            )
            return
        except (HfHubHTTPError, httpx2.HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            status = getattr(getattr(error, "response", None), "status_code", None)
            if attempt == TRIES or (status is not None and 400 <= status < 500 and status != 429):
                raise UserError(_explanation(repository, error)) from error
            log(f"{repository.what}: {type(error).__name__}; trying again ({attempt + 1} of {TRIES})")
            time.sleep(BACKOFF_S * 2**attempt)


def _literal(name: str) -> str:
    """A glob that matches only this name."""
    return "".join(f"[{each}]" if each in "[*?" else each for each in name)


def _explanation(repository: Repository, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    what, endpoint = repository.what, repository.endpoint
    if isinstance(error, GatedRepoError):
        return f"{what}: {endpoint} requires consent first; give it on the repository's page and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{what}: repo: {endpoint} has no {repository.kind} '{repository.name}' that you may read; check the "
            "name and `repo_type`, and set HF_TOKEN if it is private"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{what}: revision: '{repository.name}' has no commit {repository.revision} at {endpoint}; check it"
    reason = (str(error).strip().splitlines() or [""])[0]
    return (
        f"{what}: {endpoint} did not serve it ({type(error).__name__}: {reason}); check the network and HF_ENDPOINT, "
        "and run again"
    )
