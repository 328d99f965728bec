"""Build the final tables and figures from per-item scores."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from fairshrink.stages.runner import main

    main("aggregate", __doc__)
