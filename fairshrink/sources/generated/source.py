"""A data set made by rules of this project's own, one Parquet file: `<generator>.parquet`.

`nli`: sentence pairs with columns premise, hypothesis, label and rule; its labels cannot be read off the hypothesis
alone and it holds no word for a gender or an occupation (see `fairshrink/sources/generated/nli/generate.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fairshrink.settings import Settings as BaseSettings


class Settings(BaseSettings):
    """Settings of a generated data set."""

    generator: Literal["nli"] = Field(description="which rules")
    size: int = Field(ge=1, le=200_000, description="rows")
    seed: int = Field(0, ge=0, description="of everything random in it")


def CODE(settings: Settings) -> list[tuple[str, str]]:  # noqa: N802
    """The generator is found by name, so it is named as code that the download depends on."""
    return [(f"sources.generated.{settings.generator}.generate", "generate")]


def pin(settings: Settings) -> dict[str, Any]:
    """Settings and code say all."""
    return settings.model_dump(mode="json")


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """Write ``<generator>.parquet``."""
    import importlib

    from fairshrink.store.artifacts import file_digests

    module = importlib.import_module(f"fairshrink.sources.generated.{settings.generator}.generate")
    table = module.generate(settings.size, settings.seed)
    table.to_parquet(target / f"{settings.generator}.parquet", index=False)
    return {"kind": "generated"} | settings.model_dump(mode="json") | {"files": file_digests(target)}
