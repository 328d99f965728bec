"""The Fisher information of the inputs of linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from fairshrink.contracts import LossTask
from fairshrink.data.examples import Task
from fairshrink.errors import UserError
from fairshrink.models.architecture.linear import output_dim
from fairshrink.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pandas import DataFrame

# Of the mean weight, added to each: inputs without any gradient (a padding of features) are divided by it.
ADDED = 1e-3


def row_weights(
    cp: Checkpoint, task: Task, frame: DataFrame, names: Sequence[str], seed: int
) -> dict[str, torch.Tensor]:
    """For each layer [in] the root of the summed Fisher information of an input's weights, in float64.

    One example at a time, so that gradients of single examples are squared. UserError for a task without a loss.
    """
    if not isinstance(task.module, LossTask):
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no loss to take gradients of")
    loss = task.module.loss(cp, frame, task.settings)
    layers = {name: cp.model.get_submodule(name) for name in names}
    weights = [layer.weight for layer in layers.values()]
    dims = [output_dim(layer) for layer in layers.values()]
    totals = [
        torch.zeros(weight.shape[1 - dim], dtype=torch.float64) for weight, dim in zip(weights, dims, strict=True)
    ]
    cp.model.eval()
    for row in range(len(loss.lengths) if names else 0):
        gradients = torch.autograd.grad(loss([row], seed + row), weights, allow_unused=True)
        for total, gradient, dim in zip(totals, gradients, dims, strict=True):
            if gradient is not None:
                total += gradient.double().square().sum(dim).cpu()
    return {name: _rooted(total / len(loss.lengths)).to(cp.device) for name, total in zip(names, totals, strict=True)}


def _rooted(information: torch.Tensor) -> torch.Tensor:
    root = information.sqrt()
    return root + ADDED * root.mean() if root.any() else torch.ones_like(root)
