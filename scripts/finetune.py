"""Make a baseline: fine-tune a pretrained model on one split of a task, or take it as it is."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from fairshrink.stages.runner import main

    main("finetune", __doc__)
