"""A data set on the Hugging Face Hub as its users name it: repository, configuration, splits, and the commit.

Which files make up a split, and what the classes of a label are called, is taken from the data set's card and the names
of its files, by the rules of the library `datasets`. Tables name a split instead of files: `split: train`. No code of
the data set is ever run; `HF_ENDPOINT` names another hub.

Pin: `revision`, a commit of 40 hex digits, repository, configuration and splits. Size and checksum of each file are
    compared with those that the hub lists for the commit.
Network: The hub, at the first fetch; nothing is asked when a study is planned.
Limits: Data sets that are stored as Parquet, as the hub converts most; of others, name the files with `source: hub`.
Use:
    mnli:
      source: hub_dataset
      repo: nyu-mll/glue
      configuration: mnli
      revision: bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c
      splits: [train, validation_matched, validation_mismatched]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.contracts import CodeEntry
from fairshrink.data.splits import INDEX
from fairshrink.errors import UserError
from fairshrink.settings import FetchedSettings
from fairshrink.sources._shared.hub_files import Repository, fetch_files, listing, open_repository

if TYPE_CHECKING:
    from datasets import Features
    from huggingface_hub.hf_api import RepoFile

CARD = "README.md"


class Settings(FetchedSettings):
    """Settings of a data set on the hub."""

    repo: str = Field(pattern="^[^/ ]+/[^/ ]+$", description="owner/name")
    configuration: str | None = Field(None, description="which of its configurations, where it has several")
    revision: str = Field(pattern="^[0-9a-f]{40}$", description="commit, 40 hex digits: branches move, commits do not")
    splits: list[str] = Field([], description="which splits are fetched; by default all of the configuration")

    @property
    def offered_splits(self) -> Sequence[str]:
        """The splits that tables can name; any where none is listed."""
        return self.splits


def pin(settings: Settings) -> dict[str, Any]:
    """The commit identifies the contents, whichever hub they come from."""
    return settings.model_dump(mode="json", exclude={"max_gb"}) | {"splits": sorted(set(settings.splits))}


def code(settings: Settings) -> tuple[CodeEntry, ...]:
    """Nothing that is found by its name."""
    return ()


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """The Parquet files of the splits below their paths in the repository, and an index of splits and classes.

    UserError if hub, repository, commit, configuration, a split or a file is wrong.
    """
    from fairshrink.log import log
    from fairshrink.store.artifacts import file_digests

    repository = open_repository(settings.repo, "dataset", settings.revision)
    log(f"{repository.what}: downloading from {repository.endpoint}")
    there = listing(repository)
    splits, features = _described(settings, repository, there)
    wanted = {name: there[name] for files in splits.values() for name in files}
    fetch_files(repository, wanted, target, settings.most)
    first = next(iter(wanted))
    classes = _classes(features or _stored(target / first, f"{repository.what}: {first}"))
    content = json.dumps({"splits": splits, "classes": classes}, indent=2, sort_keys=True, ensure_ascii=False)
    (target / INDEX).write_text(content + "\n", encoding="utf-8")
    return {
        "kind": "hub_dataset",
        "url": f"{repository.endpoint}/datasets/{settings.repo}",
        "configuration": settings.configuration,
        "revision": settings.revision,
        "files": file_digests(target),
    }


def _described(
    settings: Settings, repository: Repository, there: Mapping[str, RepoFile]
) -> tuple[dict[str, list[str]], Features | None]:
    """Paths by split, and the features that the card describes, as `datasets` understands the repository.

    It is shown the card and the names of the Parquet files, empty files, so that nothing but names is looked at.
    """
    import datasets
    from datasets.exceptions import DatasetsError
    from yaml import YAMLError

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "repository"
        root.mkdir()
        if CARD in there:
            fetch_files(repository, {CARD: there[CARD]}, root, settings.most)
        names = [name for name in there if name.endswith(".parquet")]
        if not names:
            kinds = sorted({Path(name).suffix for name in there} - {"", ".md", ".gitattributes"})
            raise UserError(
                f"{repository.what}: has no Parquet files, but {', '.join(kinds) or 'none at all'}; choose the files "
                "with `source: hub`, `repo_type: dataset` and `files`"
            )
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        try:
            builder = datasets.load_dataset_builder(
                str(root), name=settings.configuration, cache_dir=str(Path(folder) / "cache")
            )
            found = {
                str(split): [Path(str(file)).relative_to(root).as_posix() for file in files]
                for split, files in (builder.config.data_files or {}).items()
            }
        except YAMLError as error:
            reason = " ".join(str(error).split())
            remedy = "choose the files with `source: hub`, `repo_type: dataset` and `files`"
            raise UserError(f"{repository.what}: its card is damaged ({CARD}: {reason}); {remedy}") from error
        except (ValueError, OSError, DatasetsError) as error:
            raise UserError(_explanation(settings, repository, root, error)) from error
        chosen = settings.splits or sorted(found)
        splits = {split: sorted(files) for split, files in found.items() if split in chosen}
        for split in settings.splits:
            if split not in splits:
                known = ", ".join(sorted(found)) or "none"
                raise UserError(f"{repository.what}: splits: there is no split '{split}'; there is {known}")
        return splits, builder.info.features


def _explanation(settings: Settings, repository: Repository, root: Path, error: Exception) -> str:
    lines = [line for line in str(error).replace(f"{root}/", "").splitlines() if line.strip()]
    reason = " ".join(line.strip() for line in lines[:2]) or type(error).__name__
    given = f" '{settings.configuration}'" if settings.configuration else ""
    return f"{repository.what}: configuration{given}: {reason}; write `configuration: NAME`"


def _classes(features: Features) -> dict[str, list[str]]:
    """The names of classes by column, of those columns that have any."""
    from datasets import ClassLabel

    return {name: list(each.names) for name, each in features.items() if isinstance(each, ClassLabel)}


def _stored(file: Path, what: str) -> Features:
    """The features that the library wrote into a Parquet file, else those of its columns' types."""
    import datasets
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return datasets.Features.from_arrow_schema(read_schema(file))
    except ArrowException as error:
        raise UserError(f"{what} is no Parquet file ({error}); choose another revision or data set") from error
