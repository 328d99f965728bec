"""List the artifacts of one stage that the study rests on, for DVC to watch."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Write results/manifests/<stage>.json: each artifact's path below its stage's folder, and its key."""
    from fairshrink.planning import grid
    from fairshrink.store.artifacts import write_json
    from fairshrink.study import reader

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=grid.STAGES)
    parser.add_argument("--study", default="config.yaml", help="study file")
    options = parser.parse_args()
    artifacts = grid.expand(reader.load(options.study)).values()
    listed = {each.path: each.key for each in artifacts if each.stage == options.stage}
    write_json(Path(f"results/manifests/{options.stage}.json"), listed)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
