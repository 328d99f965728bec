"""Models of the Hugging Face Hub by name: the commit is resolved, said, and fetched once."""

from __future__ import annotations

import os
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.sources._shared.hub_files import fetch_files, listing, open_repository

COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"[\w.-]+/[\w.-]+")
FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
)
"""What is fetched, of the top folder: nothing that can run code."""


def is_name(model: str) -> bool:
    """Whether this is owner/name, and no folder here."""
    return NAME.fullmatch(model) is not None and not Path(model).exists()


def fetched(name: str, revision: str | None) -> tuple[Path, str]:
    """The folder of a model of the hub at a commit, and the commit. UserError if the hub does not serve it."""
    commit = revision if revision and COMMIT.fullmatch(revision) else _resolve(name, revision or "main")
    target = _cache() / name.replace("/", "--") / commit
    if not (target / "config.json").is_file():
        repository = open_repository(name, "model", commit)
        there = listing(repository)
        wanted = {path: each for path, each in there.items() if any(fnmatchcase(path, one) for one in FILES)}
        wanted = {path: each for path, each in wanted.items() if "/" not in path}
        if not any(path.endswith(".safetensors") for path in wanted):
            raise UserError(
                f"{name}: there are no safetensors in it; only such weights are read, as others can run code"
            )
        total = sum(each.size for each in wanted.values())
        log(f"{name}: fetching {len(wanted)} files of commit {commit}, {total / 1e9:.2f} GB")
        partial = target.with_name(f".{commit}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        fetch_files(repository, wanted, partial, total)  # it was asked for by name: no other limit
        partial.rename(target)
    return target, commit


def _resolve(name: str, revision: str) -> str:
    """The commit of a branch or tag now."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    repository = open_repository(name, "model", revision)
    from huggingface_hub import HfApi

    try:
        found = HfApi(endpoint=repository.endpoint).model_info(name, revision=revision).sha
    except (HfHubHTTPError, httpx2.HTTPError, OfflineModeIsEnabled, OSError) as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"{name}: {repository.endpoint} does not say which commit '{revision}' is ({reason})"
            "; check the name, the network and HF_ENDPOINT, or name a folder"
        ) from error
    if not found:
        raise UserError(f"{name}: {repository.endpoint} names no commit for '{revision}'; write --revision COMMIT")
    log(f"{name}: '{revision}' is commit {found}; write --revision {found} to have the same again")
    return str(found)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "fairshrink" / "models"
