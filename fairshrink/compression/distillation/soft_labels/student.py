"""Students: models of the teacher's architecture with fewer or narrower blocks."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

import torch

from fairshrink.errors import UserError
from fairshrink.models import task_heads
from fairshrink.models.architecture.blocks import blocks, prefixes
from fairshrink.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from fairshrink.compression.distillation.soft_labels.settings import StudentSettings


def student_of(teacher: Checkpoint, settings: StudentSettings, seed: int) -> Checkpoint:
    """An untrained student; what is not taken from the teacher is initialized from ``seed``."""
    kept = kept_layers(len(prefixes(teacher.model)), settings)
    config = _config(teacher, kept, settings.width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = task_heads.build(config, teacher.head)
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
            raise UserError(f"soft_labels: a {config.model_type} cannot be made smaller like this: {error}") from error
    if len(prefixes(model)) != len(kept):
        raise UserError(f"soft_labels: layers of a {config.model_type} cannot be left out")
    if settings.width == 1 and settings.initial == "teacher":
        _adopt(model, teacher.model, kept)
    return dataclasses.replace(teacher, model=model.to(teacher.device).eval(), path=None)


def kept_layers(number: int, settings: StudentSettings) -> list[int]:
    """Which of ``number`` blocks a student starts with; alternate ones are spread evenly from the first on."""
    if settings.kept_layers:
        if settings.kept_layers[-1] >= number:
            raise UserError(f"soft_labels: there is no block {settings.kept_layers[-1]}: blocks are 0 to {number - 1}")
        return settings.kept_layers
    wanted = number if settings.student_layers is None else settings.student_layers
    if wanted > number:
        raise UserError(f"soft_labels: `student_layers` is {wanted}, and the teacher has {number}: write fewer")
    if settings.choice == "alternate":
        return [place * number // wanted for place in range(wanted)]
    return list(range(wanted) if settings.choice == "first" else range(number - wanted, number))


def _config(teacher: Checkpoint, kept: list[int], width: float) -> PreTrainedConfig:
    config = copy.deepcopy(teacher.model.config)
    if len(prefixes(teacher.model)) != config.num_hidden_layers:
        raise UserError(f"soft_labels: layers of a {config.model_type} share their weights and cannot be left out")
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[each] for each in kept]
    config.num_hidden_layers = len(kept)
    if width < 1:
        _narrow(config, teacher, width)
    return config


def _narrow(config: PreTrainedConfig, teacher: Checkpoint, width: float) -> None:
    """Fewer heads, of the same width; the groups that share keys and values stay as large as they are."""
    block = blocks(teacher.model)[0]
    inner = getattr(config, "intermediate_size", None)
    if inner is None or block.head_dim * block.n_heads != config.hidden_size:
        raise UserError(f"soft_labels: a {config.model_type} has no narrower form known here: leave `width` out")
    groups = max(1, round(width * block.kv_heads))
    config.num_attention_heads = groups * (block.n_heads // block.kv_heads)
    if getattr(config, "num_key_value_heads", None):
        config.num_key_value_heads = groups
    config.hidden_size = block.head_dim * config.num_attention_heads
    config.intermediate_size = max(1, round(width * inner))
    if getattr(config, "embedding_size", None) == teacher.model.config.hidden_size:
        config.embedding_size = config.hidden_size


def _adopt(student: torch.nn.Module, teacher: torch.nn.Module, kept: list[int]) -> None:
    """Weights of the kept blocks and of everything outside of blocks."""
    found, theirs = teacher.state_dict(), prefixes(teacher)
    sources = {f"{mine}.": f"{theirs[number]}." for mine, number in zip(prefixes(student), kept, strict=True)}
    weights = {}
    for name, value in student.state_dict().items():
        mine = next((each for each in sources if name.startswith(each)), "")
        # What only the first block has (T5's positions) stays where it is.
        source = sources.get(mine, "") + name.removeprefix(mine)
        taken = found.get(source, found.get(name))
        if taken is not None and taken.shape == value.shape:
            weights[name] = taken
    student.load_state_dict(weights, strict=False)
