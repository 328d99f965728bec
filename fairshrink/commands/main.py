"""The command line: finds the subcommands, runs one, and turns a user error into one message.

A subcommand is a module of this folder. Its docstring is its help, ``configure(parser)`` adds its options and
``run(options)`` does the work and returns the exit status. Its name is that of its file, or ``NAME`` where the standard
library has a module of that name. Only ``run`` may import slow modules, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from fairshrink.errors import UserError
from fairshrink.log import shown

FOLDER = Path(__file__).parent
DESCRIPTION = "What compressing a language model does to its social bias. Works on the study in the current folder."
MISTAKE = 1
"""Exit status for a user error; argparse itself exits with 2 if options are wrong."""


def process(arguments: Sequence[str] | None = None) -> NoReturn:
    """`main` as all that this process does: it ends without taking apart what was imported."""
    try:
        main(arguments)
    except SystemExit as ended:
        _end(ended.code or 0)
        raise
    raise AssertionError("`main` exits")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand that the arguments (by default the command line's) name, and exit with its status."""
    options = parser().parse_args(arguments)
    try:
        _refuse_other_code(Path())
        status = options.run(options)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        status = MISTAKE
    except BrokenPipeError:
        # The reader has closed the pipe (`fairshrink list | head`); Python would report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:
        from fairshrink.store import places

        line = places.refusal(error)
        if line is None:
            raise
        print(f"error: {shown(line)}", file=sys.stderr)
        status = MISTAKE
    sys.exit(status)


def _end(status: object) -> None:
    """End this process as Python does, except that modules and objects go with it as they are.

    Taking apart torch and transformers takes half a second. Returns where Python has more to do: a message in place of
    a status, threads that it waits for, a profiler or tracer that writes what it saw.
    """
    waits = any(not each.daemon for each in threading.enumerate() if each is not threading.main_thread())
    if not isinstance(status, int) or waits or sys.gettrace() or sys.getprofile():
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def subcommands() -> dict[str, ModuleType]:
    """The module of each subcommand, by its name on the command line."""
    stems = [path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_") and path.stem != "main"]
    modules = {stem: importlib.import_module(f"fairshrink.commands.{stem}") for stem in stems}
    return dict(sorted((getattr(module, "NAME", stem), module) for stem, module in modules.items()))


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    whole = argparse.ArgumentParser(prog="fairshrink", description=DESCRIPTION)
    parts = whole.add_subparsers(title="subcommands", metavar="COMMAND", required=True)
    for name, module in subcommands().items():
        description = module.__doc__ or ""
        part = parts.add_parser(
            name,
            help=description.splitlines()[0].rstrip("."),
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(part)
        part.set_defaults(run=module.run)
    return whole


def _refuse_other_code(folder: Path) -> None:
    """Keys depend on code, so a clone must be planned, explained and cleaned with its own code.

    Raises UserError if ``folder`` contains another copy of the package than the one that runs.
    """
    own = folder / "fairshrink"
    if (own / "__init__.py").is_file() and own.resolve() != FOLDER.parent.resolve():
        raise UserError(
            f"this is the code of {FOLDER.parent.parent}, but {folder.resolve()} has its own. "
            "Write `python -m fairshrink …`, which uses the code of the current folder."
        )
