"""Make a baseline: a pretrained model, fine-tuned on one split of a task or unchanged (`fairshrink run finetune`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["run", "finetune", *sys.argv[1:]])
