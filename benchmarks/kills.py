"""Does a run that is killed lose or leave anything? A small study is killed again and again, then finished.

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/kills.py

Each kill is a SIGKILL for the whole process group of a run: one at every moment at which something new is on disk
(`tests/helpers/killing.py`), others at random. A series of kills starts from nothing; each run goes on where the one
before it was killed, and after the last kill one more runs to the end. Then all artifacts and tables have the bytes of
an undisturbed run, every artifact has its pointer, and nothing is left over. Exit status 1 if that is not so.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import killing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--random", type=int, default=3, help="further series, of five kills at random moments each")
    parser.add_argument("--series", type=int, default=8, help="how many; with as many as kills, each is alone")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the series to run, from 0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, help="an empty one, or that of a call before, whose undisturbed run is used"
    )
    parser.add_argument("--json", type=Path, help="append what each series did to this file, a line each")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    kills: list[list[str | float]] = [
        list(killing.MOMENTS[number :: options.series]) for number in range(options.series)
    ]
    kills += [[draw.uniform(0.1, 0.5) for _ in range(5)] for _ in range(options.random)]
    with tempfile.TemporaryDirectory() as place:
        outcomes = list(run(options.folder or Path(place), kills, options.only, options.json))
    sys.exit(any(each["wrong"] for each in outcomes))


def run(place: Path, kills: list[list[str | float]], only: list[int] | None, report: Path | None) -> Iterator[dict]:
    """What became of each series."""
    start, undisturbed, folder = (place / name for name in ("start", "undisturbed", "killed"))
    if not (place / "whole_s").is_file():
        killing.prepared(start)
        shutil.copytree(start, undisturbed, symlinks=True)
        began = time.monotonic()
        killing.finish(undisturbed)
        (place / "whole_s").write_text(str(time.monotonic() - began))
    whole_s = float((place / "whole_s").read_text())
    for number in range(len(kills)) if only is None else only:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(start, folder, symlinks=True)
        outcome = {"series": number} | killed(folder, undisturbed, kills[number], whole_s)
        print(json.dumps(outcome), flush=True)
        if report:
            with report.open("a") as stream:
                stream.write(json.dumps(outcome) + "\n")
        yield outcome


def killed(folder: Path, undisturbed: Path, kills: list[str | float], whole_s: float) -> dict:
    """A series of kills, at moments or after shares of the time that an undisturbed run takes, and the run after it.

    ``kills``: when runs were killed, and what there was then: artifacts, and what was left unfinished.
    """
    done, wrong = [], []
    for when in kills:
        moment, seconds = (when, None) if isinstance(when, str) else ("", when * whole_s)
        ended = killing.run(folder, moment, seconds)
        made = sum(1 for pattern in killing.ARTIFACT_GLOBS for _ in folder.glob(f"{pattern}/{killing.MARKER}"))
        if ended.status == -9:
            left = len(killing.leftovers(folder))
            done.append({"when": moment or f"{seconds:.1f} s", "artifacts": made, "unfinished": left})
        elif moment:
            wrong.append(f"{moment}: not killed, but {ended.status}: {ended.text[-1000:]}")
    try:
        killing.finish(folder)
        wrong += killing.faults(folder, undisturbed)
    except AssertionError as error:
        wrong.append(str(error))
    return {"kills": done, "wrong": wrong}


if __name__ == "__main__":
    main()
