"""Thousands of random edits of a study that uses every section: which become of it what they must not?

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/mutated_studies.py --edits 2000

An edited study is a mistake that names file, key and remedy, or it means what its file says, as an independent reading
of the file finds. Everything else (a traceback, a hang, a value that became another one) is printed with its seed, and
the exit status is 1. `tests/study/test_mutated_studies.py` does the same with hundreds.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import every_section
import study_edits
import study_outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=100_000, help="of the first edit; the others follow")
    given = parser.parse_args()
    base, outcomes = every_section.content(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, study_outcomes.workplace(Path(folder)) as place:
        for seed in range(given.seed, given.seed + given.edits):
            data = study_edits.other(random.Random(seed), base)
            try:
                outcomes[study_outcomes.judged(data, place)] += 1
            except Exception as error:
                outcomes["wrong"] += 1
                print(f"seed {seed}: {error!r}\n{study_outcomes.described(data)}\n", flush=True)
    print(", ".join(f"{number} {what}" for what, number in sorted(outcomes.items())))
    return int(bool(outcomes["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
