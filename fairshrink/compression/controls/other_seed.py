"""Control: the baseline trained once more with another seed, a pseudo-compression that shows what training moves.

Nothing is compressed. The new layers, the order of examples, dropout and masked tokens are drawn anew; data, split and
settings are the baseline's, so the two may be compared on the same test items. What differs between them is no effect
of anything: a compression that changes bias no more than this has not changed it beyond the luck of training.

Formula:
    the pretrained model, fine-tuned as the baseline is, but for the seed, drawn from the split's seed and control_seed
Paper: Seeds as a source of variance in fine-tuning: Dodge et al., *Fine-Tuning Pretrained Language Models: Weight
    Initializations, Data Orders, and Early Stopping*, 2020.
Cost: One fine-tuning, as the baseline's, for each seed.
Saves: Nothing.
Limits: Only for tasks that are trained. Pretraining has one seed, so its share of the luck is not seen.
Use:
    - {method: other_seed, control_seed: [0, 1, 2]}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fairshrink.compression.controls._shared.seeds import SeededSettings
from fairshrink.contracts import TaskHead

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
TRAINS = True
STORED = True
HEADS: tuple[TaskHead, ...] = ("masked_lm", "regression", "classification")
OUTPUTS_ONLY = False


class Settings(SeededSettings):
    """Which other seed."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """A model trained with another seed; ``cp`` is not changed. UserError for a task without training."""
    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.compression.controls._shared.training import trained_task
    from fairshrink.data.examples import frames

    task, module = trained_task(context, "other_seed")
    seed = combined(task.seed, settings.control_seed)
    trained = context.source(seed)
    trained.model.to(cp.device)
    module.train(trained, frames(task), task.settings, seed, context.log, state=context.state)
    return dataclasses.replace(trained, path=None)
