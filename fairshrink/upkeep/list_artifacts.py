"""A script that lists the artifacts of studies, using the package in the current folder.

Run as ``python -c TEXT OUTPUT STUDY…``, because the folder may contain an older version of the package, without this
file. Writes ``{study: [paths of its artifacts]}``, or ``{study: "why it cannot be listed"}``, as JSON to OUTPUT.
"""

import json
import sys
from pathlib import Path


def listed(file: str) -> list[str] | str:
    """Paths of all artifacts of a study, or what is wrong with it."""
    try:
        try:
            from fairshrink.planning import grid, studies
        except ImportError:  # a commit from before modules moved into folders
            from fairshrink import grid  # type: ignore[no-redef, attr-defined]
            from fairshrink import study as studies  # type: ignore[no-redef]

        if not Path(grid.__file__).resolve().is_relative_to(Path().resolve()):
            return "there is no package fairshrink here"
        return [str(path) for path in grid.expand(studies.load(file))]
    except Exception as error:  # older code may fail in any way; its pointers then say what it needs
        known = any(each.__name__ == "UserError" for each in type(error).__mro__)
        return str(error) if known else f"{file}: {type(error).__name__}: {error}"


def main() -> None:
    """List every study named on the command line."""
    sys.path.insert(0, str(Path().resolve()))
    output, *studies = sys.argv[1:]
    Path(output).write_text(json.dumps({file: listed(file) for file in studies}), encoding="utf-8")


if __name__ == "__main__":
    main()
