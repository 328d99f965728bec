"""How long the analysis of a large study takes, and how much memory: from drawn score files to every table.

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/analysis.py --scores 20000

One process, no model, no torch. The limits that it has to keep: under 5 minutes and 4 GiB for 20,000 score files.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import synthetic_study

from fairshrink.analysis.study import analyze


def main() -> None:
    """Draw a study of the wanted size, analyze it, print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=20_000, help="score files (default: 20,000)")
    parser.add_argument("--items", type=int, default=240, help="items in each (default: 240)")
    options = parser.parse_args()
    each = (1 + len(synthetic_study.CELLS)) * len(synthetic_study.MODULES) * 3
    models = [f"model{i}" for i in range(max(1, round(options.scores / each)))]
    with tempfile.TemporaryDirectory() as folder:
        spec = synthetic_study.write(Path(folder), splits=3, models=models, n=options.items)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter(), time.process_time()
        found = analyze(synthetic_study.job(spec), synthetic_study.MODULES)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{len(spec['scores']):,} score files, {len(found.results):,} rows, {len(found.cells):,} cells: "
        f"{wall:.1f} s ({cpu:.1f} s CPU), {peak / 2**20:.2f} GiB (before: {before / 2**20:.2f}), "
        f"torch imported: {'torch' in sys.modules}"
    )


if __name__ == "__main__":
    main()
