"""Write docs/study.md and docs/study.schema.json from the settings that validate studies."""

import json
import sys
from pathlib import Path


def main() -> None:
    """Generate both files."""
    from fairshrink.documenting import study_reference

    docs = Path(__file__).resolve().parents[1] / "docs"
    (docs / "study.md").write_text(study_reference.markdown(), encoding="utf-8")
    text = json.dumps(study_reference.schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (docs / "study.schema.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
