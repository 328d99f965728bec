"""Check types statically: the package, and that every module found by name keeps to its contract."""

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


def main() -> int:
    """Run mypy; its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "contracts_held.py"
        program.write_text("\n".join(statements()) + "\n", encoding="utf-8")
        return subprocess.run([sys.executable, "-m", "mypy", "fairshrink", str(program)], check=False).returncode


def statements() -> list[str]:
    """A program that hands every module to the function that accepts its kind."""
    lines = ["from fairshrink import contracts"]
    for kind, function in ACCEPTED_BY.items():
        modules = registry.modules(kind)
        for name in modules.names():
            lines += [f"import fairshrink.{modules.path(name)}"]
            lines += [f"contracts.{function}(fairshrink.{modules.path(name)})"]
    for name in registry.names("tasks"):
        module = registry.modules("tasks")
        for function, definition in (("holds_loss", "loss"), ("holds_training", "train")):
            if hasattr(module[name], definition):
                lines.append(f"contracts.{function}(fairshrink.{module.path(name)})")
    return lines


if __name__ == "__main__":
    sys.exit(main())
