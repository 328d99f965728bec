"""Stage 2: baselines, by fine-tuning a pretrained model on one split of a task, or by taking it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairshrink import registry
from fairshrink.data.examples import frames, from_spec
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.store import artifacts
from fairshrink.training.state import TrainingState


def run(jobs: list[dict[str, Any]], device: str = "cpu", save_minutes: float = 5.0) -> None:
    """Make each baseline; every ``save_minutes`` of training its state is kept, for a run that is killed to resume."""
    for job in jobs:
        state = TrainingState(_state_folder(Path(job["path"])), job["key"], log, 60 * save_minutes)
        artifacts.make(job, lambda folder, job=job, state=state: _fill(folder, job, device, state))
        state.clear()


def _state_folder(artifact: Path) -> Path:
    """Beside the artifact: the folder in which the artifact itself is made does not outlast its process."""
    return artifact.with_name(f".{artifact.name}.training")


def _fill(folder: Path, job: dict[str, Any], device: str, state: TrainingState) -> dict[str, Any]:
    spec = job["spec"]
    task = from_spec(spec["task"])
    module = registry.load("tasks", task.kind)
    checkpoint = source(spec["model"], task.seed)
    checkpoint.model.to(device)
    if module.TRAINED:
        module.train(checkpoint, frames(task), task.settings, task.seed, log, state=state)
    checkpoints.save(checkpoint, folder)
    return {
        "identity": spec["identity"],
        "ledger": ledger.ledger(checkpoint, checkpoint),
        "measurements": ledger.measure(checkpoint, checkpoint),
    }


def source(model: dict[str, Any], seed: int) -> checkpoints.Checkpoint:
    """The pretrained model with the task's head, as fine-tuning starts from it."""
    return checkpoints.from_source(
        Path(model["path"]),
        head=model["head"],
        labels=tuple(model["labels"]),
        gguf_file=model["gguf_file"],
        dtype=model["dtype"],
        seed=seed,
    )
