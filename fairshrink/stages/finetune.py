"""Stage 2: baselines, by fine-tuning a pretrained model on one split of a task, or by taking it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairshrink import artefacts, ledger, models, registry
from fairshrink.log import log
from fairshrink.task import frames, from_spec
from fairshrink.training_state import TrainingState


def run(jobs: list[dict[str, Any]], device: str = "cpu", save_minutes: float = 5.0) -> None:
    """Make each baseline; every ``save_minutes`` of training its state is kept, for a run that is killed to resume."""
    for job in jobs:
        state = TrainingState(_state_folder(Path(job["path"])), job["key"], log, 60 * save_minutes)
        artefacts.make(job, lambda folder, job=job, state=state: _fill(folder, job, device, state))
        state.clear()


def _state_folder(artefact: Path) -> Path:
    """Beside the artefact: the folder in which the artefact itself is made does not outlast its process."""
    return artefact.with_name(f".{artefact.name}.training")


def _fill(folder: Path, job: dict[str, Any], device: str, state: TrainingState) -> dict[str, Any]:
    spec = job["spec"]
    task = from_spec(spec["task"])
    module = registry.load("tasks", task.kind)
    checkpoint = source(spec["model"], task.seed)
    checkpoint.model.to(device)
    if module.TRAINED:
        module.train(checkpoint, frames(task), task.settings, task.seed, log, state=state)
    models.save(checkpoint, folder)
    return {
        "identity": spec["identity"],
        "ledger": ledger.ledger(checkpoint, checkpoint),
        "measurements": ledger.measure(checkpoint, checkpoint),
    }


def source(model: dict[str, Any], seed: int) -> models.Checkpoint:
    """The pretrained model with the task's head, as fine-tuning starts from it."""
    return models.from_source(
        Path(model["path"]),
        head=model["head"],
        labels=tuple(model["labels"]),
        gguf_file=model["gguf_file"],
        dtype=model["dtype"],
        seed=seed,
    )
