"""How much of its checkpoints' bytes a study's store keeps: files of equal contents once, as DVC's cache and remote do.

    python benchmarks/stored_bytes.py [config.yaml]

Run it where the study has run. Dense: for each checkpoint the bytes of its baseline. It prints the sum of these, the
bytes of all weight files, those of the files that differ, and which parts of the models they are of. Contents are told
apart by the checksums in the artifacts' records. Checkpoints of controls that are made in memory are in no store; the
last line counts them among the dense ones.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from fairshrink.planning import grid, studies
from fairshrink.store.artifacts import exists, read_provenance
from fairshrink.study.jobs import AggregateJob

WEIGHTS = ".safetensors"


def main() -> None:
    """Print the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="config.yaml")
    whole = grid.expand(studies.load(parser.parse_args().study))
    made = [each for each in whole.values() if each.stage in ("finetune", "compress")]
    records = {each.path: read_provenance(Path(each.path)) for each in made if exists(Path(each.path))}
    if len(records) < len(made):
        print(f"{len(made) - len(records)} of {len(made)} checkpoints are not here and are left out")
    by_key = {each["key"]: each for each in records.values()}
    dense = {path: _dense(each, by_key) for path, each in records.items()}
    sizes, parts, held = {}, Counter(), 0
    for path, record in records.items():
        for name, digest in record["files"].items():
            if name.endswith(WEIGHTS):
                size = Path(path, name).stat().st_size
                held += size
                if digest not in sizes:
                    sizes[digest] = size
                    parts[name.removesuffix(WEIGHTS).partition("-")[2]] += size
    kept, total = sum(sizes.values()), sum(dense.values())
    print(f"{len(records)} checkpoints: {total / 1e6:,.0f} MB dense, {held / 1e6:,.0f} MB in files")
    print(f"{kept / 1e6:,.0f} MB in {len(sizes)} files that differ: {kept / total:.3f} of dense")
    print(", ".join(f"{part or 'whole models'} {size / 1e6:,.0f} MB" for part, size in parts.most_common()))
    more = _in_memory(whole, by_key)
    print(f"with {len(more)} controls that are not stored: {kept / (total + sum(more)):.3f} of dense")


def _dense(record: dict[str, Any], by_key: dict[str, Any]) -> int:
    """Bytes of the baseline that a checkpoint was made from, or its own."""
    while record["identity"]["method"] != "none" and (before := record["parts"]["inputs"].get("checkpoint")):
        record = by_key[before]
    return int(record["ledger"]["bytes"])


def _in_memory(whole: grid.Grid, by_key: dict[str, Any]) -> list[int]:
    """Bytes of the baselines of checkpoints that are made when they are scored."""
    job = whole.tables.job
    assert isinstance(job, AggregateJob)
    baselines = [each.baseline_key for each in job.checkpoints if not each.path]
    return [int(by_key[each]["ledger"]["bytes"]) for each in baselines if each in by_key]


if __name__ == "__main__":
    main()
