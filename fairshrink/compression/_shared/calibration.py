"""Calibration: texts of the task, and a walk through a model that gives each linear layer's inputs.

    for stage in walk(cp, texts, linear_names(cp.model, scope), {"squares"}):
        for each in stage:
            ...  # change each.layer.weight in place, or put another layer in the model under each.name

Blocks are treated in the order in which texts pass through them. The moments of all layers of a block are of the block
as it was before, after blocks that have been treated: as Wanda, SparseGPT and GPTQ do it. What is done to the layers of
a stage before the next is asked for counts in the inputs of later ones. Cost: two forward passes in all. Memory: the
moments of one block's layers, and one hidden state for each token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from fairshrink.compression._shared.moments import Moment, Moments, gathering
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.by_block import ByBlock, Inputs
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import batches, causal_ids, collate, encode

if TYPE_CHECKING:
    from fairshrink.compression._shared.settings import CalibratedSettings
    from fairshrink.contracts import Context

# The same on all devices, so that sums in float32 are of the same parts.
TOKENS_PER_BATCH = 1024


class Text(NamedTuple):
    """Token ids of a text, or of a pair of texts with the type of each token."""

    ids: Sequence[int]
    types: Sequence[int] | None = None


class Calibrated(NamedTuple):
    """A linear layer that is to be treated now, by its name in the model, and the moments of its inputs."""

    name: str
    layer: torch.nn.Module
    inputs: Moments


def calibration_texts(cp: Checkpoint, settings: CalibratedSettings, context: Context, method: str) -> list[Text]:
    """Training examples of the task as the model reads them, drawn by the split's seed; never of dev or test.

    At most ``calibration_items``, each of at most ``calibration_length`` tokens, and no more than the task's own
    ``max_length``; causal models get their start token. UserError if the task has no ``train:`` table.
    """
    task = context.task_with_examples(method)
    frame = frames(task)["train"].head(settings.calibration_items)
    length = min(settings.calibration_length, getattr(task.settings, "max_length", settings.calibration_length))
    texts = list(frame["text"])
    if cp.head == "causal_lm":
        return [Text(causal_ids(cp, text, length)) for text in texts]
    pairs = list(frame["text_pair"]) if "text_pair" in frame else None
    encoded = encode(cp, texts, pairs, max_length=length)
    types = encoded.get("token_type_ids") or [None] * len(texts)
    return [Text(ids, own) for ids, own in zip(encoded["input_ids"], types, strict=True)]


def walk(
    cp: Checkpoint, texts: Sequence[Text], names: Collection[str], wanted: Collection[Moment]
) -> Iterator[list[Calibrated]]:
    """The layers ``names`` of a model, stage by stage, with the ``wanted`` moments of their inputs.

    First what comes before the blocks (a projection of embeddings), then block by block, then what comes after them
    (a task head). UserError for a layer that gets no inputs.
    """
    texts = [text for text in texts if len(text.ids)]
    runner = ByBlock(cp.model.eval(), in_batches(cp, texts))
    inside = {name for stage in runner.stages for block in stage for name in names if name.startswith(f"{block}.")}
    outside = [name for name in names if name not in inside]
    early: list[Calibrated] = []
    if outside:
        with gathering(_layers(cp, outside), lambda: runner.mask, wanted) as found:
            runner.before()
        early = _calibrated(cp, list(found), found)
        if early:
            yield early
    for number, stage in enumerate(runner.stages):
        mine = [name for name in names if name.startswith(tuple(f"{block}." for block in stage))]
        with gathering(_layers(cp, mine), lambda: runner.mask, wanted) as found:
            runner.compute(number)
        yield _calibrated(cp, mine, found)
        runner.advance(number)
    late = [name for name in outside if name not in {each.name for each in early}]
    if late:
        with gathering(_layers(cp, late), lambda: runner.mask, wanted) as found:
            runner.after()
        yield _calibrated(cp, late, found)


def in_batches(cp: Checkpoint, texts: Sequence[Text]) -> list[Inputs]:
    """Model inputs of texts of similar length together, the longest first; the same on all devices."""
    made = []
    for rows in batches([len(text.ids) for text in texts], TOKENS_PER_BATCH):
        types = [types for row in rows if (types := texts[row].types) is not None]
        made.append(collate(cp, [texts[row].ids for row in rows], types or None))
    return made


def _layers(cp: Checkpoint, names: Collection[str]) -> dict[str, torch.nn.Module]:
    return {name: cp.model.get_submodule(name) for name in names}


def _calibrated(cp: Checkpoint, names: Collection[str], found: dict[str, Moments]) -> list[Calibrated]:
    for name in names:
        if name not in found:
            raise UserError(f"{name} gets no inputs when texts are run: choose another `scope`")
    return [Calibrated(name, cp.model.get_submodule(name), found[name]) for name in names]
