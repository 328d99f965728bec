"""Settings that several methods share; without torch, because validating a study imports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from fairshrink.contracts import Scope
from fairshrink.models.architecture.families import number_of_layers
from fairshrink.settings import Settings

SCOPE = (
    "which linear layers: all in the blocks (encoder), their query, key and value (attention), feed_forward, or all "
    "including those of the task head; never embeddings, a decoder tied to them, or normalization"
)


class SparsitySettings(Settings):
    """How many weights are removed."""

    sparsity: float = Field(ge=0, lt=1, description="share of the weights in scope that become zero")


class ScopedSparsitySettings(SparsitySettings):
    """How many weights are removed, and from which layers."""

    scope: Scope = Field("encoder", description=SCOPE)


class CalibratedSettings(Settings):
    """Texts that a method runs through the model to see the inputs of its layers: training examples of the task."""

    calibration_items: int = Field(
        128,
        ge=1,
        description="training examples of the task whose inputs to each layer are looked at, drawn by the split",
    )
    calibration_length: int = Field(
        128,
        ge=2,
        description="tokens of such an example; longer ones are truncated, as they are by the task's own limit",
    )


class FittingSettings(Settings):
    """How a method trains by itself, on the loss of the task."""

    epochs: int = Field(1, ge=1, description="passes over the training examples")
    learning_rate: float | None = Field(
        None, gt=0, description="peak learning rate; by default the task's, or 5e-5 where it has none"
    )
    batch_size: int | None = Field(
        None, ge=1, description="examples per step; by default the task's, or 32 where it has none"
    )
    train_items: int | None = Field(
        None, ge=1, description="at most this many of the training examples; by default all of them"
    )
    layers: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="numbers of the blocks that are trained, from 0, and nothing else; by default the whole model"
    )
    counterfactual: bool = Field(
        False, description="train on each text with gendered words a second time, with these words exchanged"
    )


def misfits_of_blocks(
    numbers: Sequence[int], config: Mapping[str, Any], setting: str = "layers"
) -> list[tuple[str, str, str]]:
    """What `misfits` of a method says of numbers of blocks, from 0, that a model never had."""
    total = number_of_layers(config)
    beyond = [each for each in numbers if total is not None and each >= total]
    if total is None or not beyond:
        return []
    return [(setting, f"there is no block {beyond[0]}", f"numbers from 0 to {total - 1}, or other `models`")]
