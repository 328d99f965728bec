"""A model or data set on the Hugging Face Hub at one commit; `HF_ENDPOINT` names another hub.

Only formats that cannot run code are fetched (docs/security.md lists them): safetensors, tokenizers, JSON, Parquet, ….

Pin: `revision`, a commit of 40 hex digits, and the chosen files. `sha256` is optional, as a commit pins its files
    already; given, it is checked for the files that it names. Size and checksum of each file are compared with those
    that the hub lists for the commit.
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

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.settings import FetchedSettings, Inside
from fairshrink.sources._shared.formats import is_allowed, refused, why
from fairshrink.sources._shared.hub_files import fetch_files, listing, open_repository


class Settings(FetchedSettings):
    """Settings of a repository on the hub."""

    repo: str = Field(pattern="^[^/ ]+/[^/ ]+$", description="owner/name")
    repo_type: Literal["model", "dataset"] = Field("model", description="model or dataset")
    revision: str = Field(pattern="^[0-9a-f]{40}$", description="commit, 40 hex digits: branches move, commits do not")
    files: list[Inside] = Field(min_length=1, description="which files: globs over their paths (`*` matches `/` too)")
    sha256: dict[str, str] = Field({}, description="further checksums to verify, by path")

    @field_validator("files")
    @classmethod
    def _safe(cls, files: list[str]) -> list[str]:
        for each in refused(files):
            raise ValueError(why(each))
        return files


def pin(settings: Settings) -> dict[str, Any]:
    """The commit identifies the contents, whichever hub they come from."""
    return settings.model_dump(mode="json", exclude={"sha256", "files", "max_gb"}) | {
        "files": sorted(set(settings.files))
    }


def code(settings: Settings) -> tuple[CodeEntry, ...]:
    """Nothing that is found by its name."""
    return ()


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """Fill ``target`` with the chosen files. UserError if hub, repository, commit, files or checksums are wrong."""
    from fairshrink.log import log
    from fairshrink.store.artifacts import file_digests

    repository = open_repository(settings.repo, settings.repo_type, settings.revision)
    log(f"{repository.what}: downloading from {repository.endpoint}")
    there = listing(repository)
    wanted = _choose(settings, list(there), repository.what)
    fetch_files(repository, {name: there[name] for name in wanted}, target, settings.most)
    digests = file_digests(target)
    _verify(settings, digests, repository.what)
    return {
        "kind": "hub",
        "url": f"{repository.endpoint}/{settings.repo}",
        "revision": settings.revision,
        "files": digests,
    }


def _choose(settings: Settings, names: list[str], what: str) -> list[str]:
    """Paths that match; each glob has to match at least one."""
    from difflib import get_close_matches

    safe = [name for name in names if is_allowed(name)]
    for pattern in settings.files:
        if not any(fnmatchcase(name, pattern) for name in safe):
            unsafe = [name for name in names if fnmatchcase(name, pattern)]
            close = get_close_matches(pattern, safe, n=3, cutoff=0.4) or safe[:10]
            hint = f"only {', '.join(unsafe)}, of no kind that is known to run no code; " if unsafe else ""
            raise UserError(
                f"{what}: files: nothing matches '{pattern}'; {hint}there is {', '.join(close) or 'nothing'}"
            )
    for path in settings.sha256:
        if not any(fnmatchcase(path, pattern) for pattern in settings.files) or path not in safe:
            raise UserError(f"{what}: sha256: '{path}' is not among the files that `files` chooses; fix the path")
    return sorted(name for name in safe if any(fnmatchcase(name, pattern) for pattern in settings.files))


def _verify(settings: Settings, digests: dict[str, str], what: str) -> None:
    for path, expected in settings.sha256.items():
        if digests[path] != expected:
            raise UserError(
                f"{what}: {path} has the checksum\n    sha256: {digests[path]}\nand the study expects\n"
                f"    sha256: {expected}\nThe file was not kept; fix `sha256`, or do not trust this hub."
            )
