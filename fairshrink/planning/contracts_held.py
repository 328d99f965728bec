"""Check types statically: the package, and that every module found by its name keeps to its contract.

Run as ``python -m fairshrink.planning.contracts_held`` (part of ``make lint``). Nothing imports the modules by name, so
a type checker alone would never compare them with `fairshrink.contracts`: here each is handed to a function of
`fairshrink.planning.accepting` that accepts its kind only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from fairshrink import registry

ACCEPTED_BY = {
    "sources": "holds_source",
    "tasks": "holds_task",
    "compression": "holds_method",
    "metrics": "holds_metric",
}
OPTIONAL = {
    "compression": {
        "STORED": "holds_control",
        "TRAINS": "holds_training_method",
        "FITS": "holds_fitting_method",
        "FORMS": "holds_formed",
        "REMOVES": "holds_removal",
        "misfits": "holds_fitting",
    },
    "tasks": {"loss": "holds_loss", "train": "holds_training"},
    "metrics": {
        "signal": "holds_bias_metric",
        "OPTIONAL_ROLES": "holds_optional_data",
        "unsuited": "holds_selective",
    },
}
"""What a module may offer besides, and the functions that accept those that do."""


def main() -> int:
    """Run mypy over the package and the program; its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "contracts_held.py"
        program.write_text("\n".join(statements()) + "\n", encoding="utf-8")
        return subprocess.run([sys.executable, "-m", "mypy", "fairshrink", str(program)], check=False).returncode


def statements() -> list[str]:
    """A program that hands every module to the functions that accept its kind."""
    lines = ["from fairshrink.planning import accepting"]
    for kind, function in ACCEPTED_BY.items():
        modules = registry.modules(kind)
        for name in modules.names():
            path = f"fairshrink.{modules.path(name)}"
            offered = [held for each, held in OPTIONAL.get(kind, {}).items() if hasattr(modules[name], each)]
            lines += [f"import {path}", *(f"accepting.{each}({path})" for each in (function, *offered))]
    return lines


if __name__ == "__main__":
    sys.exit(main())
