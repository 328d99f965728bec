"""The generated files of docs/: what they must hold, writing them, and which of them are out of date."""

from __future__ import annotations

import json
from pathlib import Path

from fairshrink.documenting import architectures, default_study, gallery, models, study_reference

README = "../README.md"


def generated(folder: Path) -> dict[str, str]:
    """Contents of the generated files of the folder, by name; of the README beside it, if there is one."""
    schema = json.dumps(study_reference.schema(), indent=1, sort_keys=True, ensure_ascii=False)
    made = {
        "study.md": study_reference.markdown(),
        "study.schema.json": f"{schema}\n",
        "gallery.md": gallery.markdown(folder),
        "models.md": models.markdown(),
        "models_compressions.md": architectures.markdown(),
    }
    readme = folder / README
    if readme.is_file() and (folder / default_study.VERDICTS).is_file():
        made[README] = default_study.with_answer(readme.read_text(encoding="utf-8"), folder)
    return made


def write(folder: Path) -> None:
    """Write the generated files into the folder."""
    for name, text in generated(folder).items():
        (folder / name).write_text(text, encoding="utf-8")


def outdated(folder: Path) -> list[str]:
    """Names of the generated files in the folder that are missing, or not what the code says now."""
    return [
        name
        for name, text in generated(folder).items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
