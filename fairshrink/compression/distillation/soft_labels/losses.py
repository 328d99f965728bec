"""The loss of a student: that of the task, and the distance from what its teacher says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from fairshrink.contracts import LossTask
from fairshrink.data.examples import Task
from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import causal_ids, collate, encode
from fairshrink.models.inference.forward import hidden_states, token_logits
from fairshrink.models.inference.outputs import sequence_logits
from fairshrink.training.fit import Loss
from fairshrink.training.losses import sequence_loss
from fairshrink.training.masking import choose_masked
from fairshrink.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pandas import DataFrame

Inputs = tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]
"""What a model is given, which positions [n, length] predict a token (bool), and these tokens' ids."""


def distillation_loss(
    student: Checkpoint, teacher: Checkpoint, task: Task, frame: DataFrame, alpha: float, temperature: float
) -> Loss:
    """``alpha`` x the task's loss + (1 - alpha) x the distance from the teacher; UserError where a kind has no loss."""
    if not isinstance(task.module, LossTask):
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no loss to train on")
    if student.head in ("regression", "classification"):
        return _of_sequences(student, teacher, task, frame, alpha, temperature)
    settings = task.settings.model_dump()
    if student.head == "masked_lm":
        return _of_tokens(student, teacher, *_masked(student, frame, settings), alpha, temperature)
    return _of_tokens(student, teacher, *_causal(student, frame, settings), alpha, temperature)


def soft_cross_entropy(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)) of logits [n, outputs], the mean over n."""
    ours = functional.log_softmax(student.float() / temperature, dim=-1)
    theirs = functional.log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _of_sequences(
    student: Checkpoint, teacher: Checkpoint, task: Task, frame: DataFrame, alpha: float, temperature: float
) -> Loss:
    settings = task.settings
    assert isinstance(settings, TrainingSettings)
    pairs = list(frame["text_pair"]) if "text_pair" in frame else None
    said = sequence_logits(teacher, list(frame["text"]), pairs, max_length=settings.max_length)
    soft = torch.tensor(said, dtype=torch.float32)
    if student.head == "regression":
        numbers = torch.tensor(frame["label"].to_numpy("float32"))

        def criterion(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            places, found = rows.cpu(), logits[:, 0]
            hard = functional.mse_loss(found, numbers[places].to(found.device))
            return alpha * hard + (1 - alpha) * functional.mse_loss(found, soft[places, 0].to(found.device))
    else:
        labels = torch.tensor([student.labels.index(name) for name in frame["label"]])

        def criterion(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            places = rows.cpu()
            hard = functional.cross_entropy(logits, labels[places].to(logits.device))
            return alpha * hard + (1 - alpha) * soft_cross_entropy(logits, soft[places].to(logits.device), temperature)

    # The criterion is given the numbers of the rows in place of their labels.
    return sequence_loss(student, frame, settings, torch.arange(len(frame)), criterion)


def _of_tokens(
    student: Checkpoint,
    teacher: Checkpoint,
    lengths: list[int],
    inputs_of: Callable[[Sequence[int], torch.Generator], Inputs],
    alpha: float,
    temperature: float,
) -> Loss:
    def mean(rows: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        inputs, predicting, wanted = inputs_of(rows, generator)
        hidden = hidden_states(student.model, inputs)
        if not predicting.any():
            return hidden.sum() * 0.0
        logits = token_logits(student.model, hidden[predicting]).float()
        with torch.no_grad():
            soft = token_logits(teacher.model, hidden_states(teacher.model, inputs)[predicting])
        hard = functional.cross_entropy(logits, wanted)
        return alpha * hard + (1 - alpha) * soft_cross_entropy(logits, soft, temperature)

    return Loss(lengths, mean)


def _causal(
    cp: Checkpoint, frame: DataFrame, settings: dict[str, int]
) -> tuple[list[int], Callable[[Sequence[int], torch.Generator], Inputs]]:
    sequences = [causal_ids(cp, text, max_length=settings["max_length"]) for text in frame["text"]]

    def inputs_of(rows: Sequence[int], generator: torch.Generator) -> Inputs:
        inputs = collate(cp, [sequences[i] for i in rows])
        real = inputs["attention_mask"][:, 1:].bool()
        predicting = functional.pad(real, (0, 1), value=False)
        return inputs, predicting, inputs["input_ids"][:, 1:][real]

    return [len(ids) for ids in sequences], inputs_of


def _masked(
    cp: Checkpoint, frame: DataFrame, settings: dict[str, float]
) -> tuple[list[int], Callable[[Sequence[int], torch.Generator], Inputs]]:
    encoded = encode(cp, list(frame["text"]), max_length=int(settings["max_length"]))
    sequences, special = encoded["input_ids"], encoded["special_tokens_mask"]

    def inputs_of(rows: Sequence[int], generator: torch.Generator) -> Inputs:
        inputs = collate(cp, [sequences[i] for i in rows])
        ids = inputs["input_ids"].cpu()
        real = torch.zeros(ids.shape, dtype=torch.bool)
        for at, i in enumerate(rows):
            real[at, : len(special[i])] = torch.tensor(special[i]) == 0
        chosen, masked = choose_masked(ids, real, settings["mask_share"], cp, generator)
        return {**inputs, "input_ids": masked.to(cp.device)}, chosen.to(cp.device), ids[chosen].to(cp.device)

    return [len(ids) for ids in sequences], inputs_of
