"""The steps of iterative magnitude pruning: train, prune the remaining weights, rewind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fairshrink.compression._shared.pruning import dense_names
from fairshrink.compression._shared.selection import count, magnitude, smallest
from fairshrink.contracts import TrainedTask
from fairshrink.data.examples import Task, frames
from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint

Masks = dict[str, torch.Tensor]
"""Parameter name -> bool tensor of its shape, False where the weight has been removed."""


class PrunedTraining:
    """A model that is trained on one task several times, always with the task's seed and from the same step on."""

    def __init__(
        self, checkpoint: Checkpoint, module: TrainedTask[Any], task: Task, rewind_step: int, log: Callable[[str], None]
    ) -> None:
        self.checkpoint, self.rewind_step = checkpoint, rewind_step
        self._module, self._task, self._log = module, task, log
        self._frames = frames(task)

    def early_weights(self) -> dict[str, torch.Tensor]:
        """The weights to rewind to: the current ones, or those after ``rewind_step`` steps of training."""
        if self.rewind_step:
            done = [0]
            self._train(stop_step=self.rewind_step, on_step=done.append)
            if done[-1] < self.rewind_step:
                raise UserError(
                    f"iterative_magnitude: `rewind_step` is {self.rewind_step}, but tasks.{self._task.name} trains for "
                    f"{done[-1]} steps: write a smaller one"
                )
        return {name: value.clone() for name, value in self.checkpoint.model.state_dict().items()}

    def train(self, masks: Masks) -> None:
        """Train from the rewinding step to the end; removed weights stay zero."""
        self._train(masks=masks, start_step=self.rewind_step)

    def full_masks(self, scope: str) -> Masks:
        """Masks of all weights in scope, none of them removed."""
        weights = {f"{name}.weight" for name in dense_names(self.checkpoint, scope)}
        named = self.checkpoint.model.named_parameters()
        return {name: torch.ones_like(value, dtype=torch.bool) for name, value in named if name in weights}

    def prune(self, masks: Masks, sparsity: float) -> Masks:
        """Masks for a sparsity: the weights removed before, and the smallest of the others."""
        number = count(sparsity, sum(mask.numel() for mask in masks.values()))
        weights = self.checkpoint.model.get_parameter
        # One more than the magnitude's key, so that a removed weight comes before a remaining one that is zero.
        keys = [lambda n=n, mask=mask: (magnitude(weights(n)) + 1) * mask for n, mask in masks.items()]
        return {name: ~gone for name, gone in zip(masks, smallest(keys, number), strict=True)}

    def reset(self, weights: dict[str, torch.Tensor], masks: Masks) -> None:
        """Set all weights back to ``weights``, removed ones to zero."""
        self.checkpoint.model.load_state_dict(weights)
        with torch.no_grad():
            for name, mask in masks.items():
                self.checkpoint.model.get_parameter(name).masked_fill_(~mask, 0.0)

    def _train(self, **steps: Any) -> None:
        settings, seed = self._task.settings, self._task.seed
        self._module.train(self.checkpoint, self._frames, settings, seed, self._log, **steps)
