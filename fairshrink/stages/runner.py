"""One job of a plan: its process is prepared, then its stage does the work."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

from fairshrink.errors import UserError
from fairshrink.models.libraries import importing
from fairshrink.planning import arrivals, plan_files
from fairshrink.planning.plan import Job
from fairshrink.stages import as_planned, gpus
from fairshrink.store import artifacts, checked, failures
from fairshrink.store.artifacts import Recipe


def run(stage: str, plan_file: Path, job_name: str, threads: int | None) -> None:
    """Find the job in the plan and make its artifacts; downloads are checked. Raises UserError."""
    if not plan_file.is_file():
        raise UserError(f"{plan_file}: there is no such plan; `snakemake -n` writes one")
    loaded, job = plan_files.read_with_job(plan_file, job_name, stage)
    gpus.assign(job.gpus)
    # The libraries read these when they are first imported: set them before the stage imports torch.
    os.environ["OMP_NUM_THREADS"] = str(threads or loaded.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    settings = {"save_minutes": loaded.save_minutes} if stage in ("finetune", "compress") else {}
    device = _device(loaded.device) if job.gpus else "cpu"
    lost = [] if stage in ("restore", "download") else _lost(job)
    unfit = {recipe.path for recipe, _ in lost}
    sound = [each for each in job.artifacts if each.recipe.path not in unfit]
    with failures.before(lost):
        if lost and not sound:
            with failures.collected(0):
                return  # which ends with what is wrong
        planned = as_planned.of(loaded.package, sound)
        module = _imported(stage)
        with artifacts.witnessed(planned.check):
            module.run(sound, device=device, **settings)
    arrivals.check(loaded.study, job.expects)


def _lost(job: Job) -> list[tuple[Recipe, UserError]]:
    """The artifacts that cannot be made as what they are made from is damaged, and what is wrong with it.

    UserError for damage to an input that no artifact names as its own: then any of them may rest on it.
    """
    wrong: dict[str, str] = {}
    for each in job.inputs:
        folder = Path(each).parent
        try:
            checked.require(folder)
        except UserError as error:
            wrong[folder.name.rpartition("-")[2]] = str(error)
    found = []
    for order in job.artifacts:
        reasons = [wrong[key] for key in wrong if key in _inputs(order.recipe)]
        if reasons:
            found.append((order.recipe, UserError("\n".join(reasons))))
    named = {key for order in job.artifacts for key in _inputs(order.recipe)}
    shared = [reason for key, reason in wrong.items() if key not in named]
    if shared:
        raise UserError(*shared)
    return found


def _inputs(recipe: Recipe) -> set[str]:
    """Keys of what an artifact is made from."""
    return set(recipe.parts["inputs"].values())


def _imported(stage: str) -> ModuleType:
    """The module of a stage, with the large libraries of those that compute with models."""
    with importing():
        if stage in ("finetune", "compress", "evaluate"):
            importlib.import_module("transformers.modeling_utils")
        return importlib.import_module(f"fairshrink.stages.{stage}")


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
