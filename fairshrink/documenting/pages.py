"""The generated files of docs/: what they must hold, writing them, and which of them are out of date."""

from __future__ import annotations

import json
from pathlib import Path

from fairshrink.documenting import gallery, study_reference


def generated() -> dict[str, str]:
    """Contents of the generated files, by name."""
    schema = json.dumps(study_reference.schema(), indent=1, sort_keys=True, ensure_ascii=False)
    return {
        "study.md": study_reference.markdown(),
        "study.schema.json": f"{schema}\n",
        "gallery.md": gallery.markdown(),
    }


def write(folder: Path) -> None:
    """Write the generated files into the folder."""
    for name, text in generated().items():
        (folder / name).write_text(text, encoding="utf-8")


def outdated(folder: Path) -> list[str]:
    """Names of the generated files in the folder that are missing, or not what the code says now."""
    return [
        name
        for name, text in generated().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
