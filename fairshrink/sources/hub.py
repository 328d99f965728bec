"""A model or data set on the Hugging Face Hub at one commit; `HF_ENDPOINT` names another hub.

Only formats that cannot run code are fetched: safetensors, tokenizers, JSON, text, Parquet.

Pin: `revision`, a commit of 40 hex digits, and the chosen files. `sha256` is optional, as a commit pins its files
    already; given, it is checked for the files that it names.
Network: The hub, at the first fetch.
Limits: Repositories whose weights are pickles (`pytorch_model.bin`) or that need code of their own cannot be used.
Use:
    roberta:
      source: hub
      repo: FacebookAI/roberta-base
      revision: e2da8e2f811d1448a5b465c236feacd80ffbac7b
      files: [config.json, model.safetensors, "tokenizer*", vocab.json, merges.txt]
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.settings import SourceSettings

HUB = "https://huggingface.co"
UNSAFE = (".bin", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".py", ".h5", ".msgpack", ".joblib", ".npy")
TRIES = 3
BACKOFF_S = 1.0


class Settings(SourceSettings):
    """Settings of a repository on the hub."""

    repo: str = Field(pattern="^[^/ ]+/[^/ ]+$", description="owner/name")
    repo_type: Literal["model", "dataset"] = Field("model", description="model or dataset")
    revision: str = Field(pattern="^[0-9a-f]{40}$", description="commit, 40 hex digits: branches move, commits do not")
    files: list[str] = Field(min_length=1, description="which files: globs over their paths (`*` matches `/` too)")
    sha256: dict[str, str] = Field({}, description="further checksums to verify, by path")

    @field_validator("files")
    @classmethod
    def _safe(cls, files: list[str]) -> list[str]:
        for each in files:
            if each.lower().endswith(UNSAFE):
                raise ValueError(f"'{each}' can run code when loaded; name safetensors, json, txt, parquet files")
        return files


def pin(settings: Settings) -> dict[str, Any]:
    """The commit identifies the contents, whichever hub they come from."""
    return settings.model_dump(mode="json", exclude={"sha256", "files"}) | {"files": sorted(set(settings.files))}


def code(settings: Settings) -> tuple[CodeEntry, ...]:
    """Nothing that is found by its name."""
    return ()


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """Fill ``target`` with the chosen files. UserError if hub, repository, commit, files or checksums are wrong."""
    from fairshrink.log import log
    from fairshrink.store.artifacts import file_digests

    endpoint = _environment()
    what = f"{settings.repo}@{settings.revision[:8]}"
    log(f"{what}: downloading from {endpoint}")
    wanted = _choose(settings, _listing(settings, endpoint, what), what)
    partial = target / ".partial"
    _download(settings, endpoint, wanted, partial, what)
    for each in wanted:
        (target / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(partial / each, target / each)
    shutil.rmtree(partial)
    digests = file_digests(target)
    _verify(settings, digests, what)
    return {"kind": "hub", "url": f"{endpoint}/{settings.repo}", "revision": settings.revision, "files": digests}


def _environment() -> str:
    """The hub's address; sets variables that huggingface_hub reads when it is first imported."""
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if endpoint != HUB:
        # The Xet protocol uses Hugging Face's own servers; a mirror serves files by plain HTTP.
        os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return endpoint


def _listing(settings: Settings, endpoint: str, what: str) -> list[str]:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return HfApi(endpoint=endpoint).list_repo_files(
            settings.repo, repo_type=settings.repo_type, revision=settings.revision
        )
    except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(_explanation(settings, endpoint, what, error)) from error


def _choose(settings: Settings, names: list[str], what: str) -> list[str]:
    """Paths that match; each glob has to match at least one."""
    from difflib import get_close_matches

    safe = [name for name in names if not name.lower().endswith(UNSAFE)]
    for pattern in settings.files:
        if not any(fnmatchcase(name, pattern) for name in safe):
            unsafe = [name for name in names if fnmatchcase(name, pattern)]
            close = get_close_matches(pattern, safe, n=3, cutoff=0.4) or safe[:10]
            hint = f"only {', '.join(unsafe)}, which can run code when loaded; " if unsafe else ""
            raise UserError(
                f"{what}: files: nothing matches '{pattern}'; {hint}there is {', '.join(close) or 'nothing'}"
            )
    for path in settings.sha256:
        if not any(fnmatchcase(path, pattern) for pattern in settings.files) or path not in safe:
            raise UserError(f"{what}: sha256: '{path}' is not among the files that `files` chooses; fix the path")
    return sorted(name for name in safe if any(fnmatchcase(name, pattern) for pattern in settings.files))


def _download(settings: Settings, endpoint: str, wanted: list[str], folder: Path, what: str) -> None:
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    from fairshrink.log import log

    for attempt in range(1, TRIES + 1):
        try:
            snapshot_download(
                settings.repo,
                repo_type=settings.repo_type,
                revision=settings.revision,
                allow_patterns=[_literal(name) for name in wanted],
                local_dir=folder,
                cache_dir=folder / ".cache" / "hub",
                endpoint=endpoint,
            )
            return
        except (HfHubHTTPError, httpx2.HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            status = getattr(getattr(error, "response", None), "status_code", None)
            if attempt == TRIES or (status is not None and 400 <= status < 500 and status != 429):
                raise UserError(_explanation(settings, endpoint, what, error)) from error
            log(f"{what}: {type(error).__name__}; trying again ({attempt + 1} of {TRIES})")
            time.sleep(BACKOFF_S * 2**attempt)


def _literal(name: str) -> str:
    """A glob that matches only this name."""
    return "".join(f"[{each}]" if each in "[*?" else each for each in name)


def _verify(settings: Settings, digests: dict[str, str], what: str) -> None:
    for path, expected in settings.sha256.items():
        if digests[path] != expected:
            raise UserError(
                f"{what}: {path} has the checksum\n    sha256: {digests[path]}\nand the study expects\n"
                f"    sha256: {expected}\nThe file was not kept; fix `sha256`, or do not trust this hub."
            )


def _explanation(settings: Settings, endpoint: str, what: str, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{what}: {endpoint} requires consent first; give it on the repository's page and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{what}: repo: {endpoint} has no {settings.repo_type} '{settings.repo}' that you may read; check the "
            "name and `repo_type`, and set HF_TOKEN if it is private"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{what}: revision: '{settings.repo}' has no commit {settings.revision} at {endpoint}; check it"
    reason = (str(error).strip().splitlines() or [""])[0]
    return (
        f"{what}: {endpoint} did not serve it ({type(error).__name__}: {reason}); check the network and HF_ENDPOINT, "
        "and run again"
    )
