"""Write the generated files of docs/: study.md, study.schema.json, gallery.md; --check says which are out of date."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Generate, or compare."""
    from fairshrink.documenting import pages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a file is out of date")
    options = parser.parse_args()
    docs = Path(__file__).resolve().parents[1] / "docs"
    if not options.check:
        pages.write(docs)
    elif outdated := pages.outdated(docs):
        sys.exit(f"out of date: {', '.join(f'docs/{name}' for name in outdated)}; run `make docs`")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
