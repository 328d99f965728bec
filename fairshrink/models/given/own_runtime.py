"""A given ONNX file as a checkpoint that its own runtime computes, whatever operations are in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.initialization import no_init_weights

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.models import own_labels
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.checkpoint import AsMade, Checkpoint
from fairshrink.models.given import looking, onnx_counts, onnx_file, onnx_weights
from fairshrink.models.inference.sequences import padded
from fairshrink.models.reference import TEXTS, TOLERANCE
from fairshrink.models.stored_forms import own_runtime as form
from fairshrink.models.task_heads import build, with_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedConfig

    from fairshrink.models.given.onnx_file import Graph

HEADS: Mapping[TaskHead, str] = {
    "encoder": "states",
    "masked_lm": "words",
    "regression": "labels",
    "classification": "labels",
}
USUAL = {"states": ("last_hidden_state", "token_embeddings"), "words": ("logits",), "labels": ("logits",)}
"""What exporters call the outputs that are wanted."""
DIMENSIONS = {"states": 3, "words": 3, "labels": 2}


def read(
    folder: Path, file: str, config: PreTrainedConfig, original: Checkpoint, names: Mapping[str, str], *, own: bool
) -> Checkpoint:
    """The checkpoint, with tokenizer, task head and labels of its original; ``own``: the config is the file's own.

    UserError where the graph takes or gives anything else than an encoder does, or does not run.
    """
    where, heads = f"{folder}/{file}", HEADS[original.head]
    order = None
    if heads == "labels":
        if not own:
            raise UserError(f"{where}: which output is which label is not known; add its config.json")
        order = own_labels.order(config, original.head, original.labels, names, folder)
    config = with_head(config, original.head, original.labels, original.tokenizer)
    with no_init_weights():
        model = build(config, original.head)
    graph, content = onnx_file.read(folder / file), (folder / file).read_bytes()
    made = _made(graph, model, where)
    description: dict[str, Any] = {"bytes": len(content), "heads": heads, "order": order}
    description |= {"alone": onnx_counts.rounds_by_range(graph), "output": ""}
    try:
        session = form.opened(content)
        description["output"] = _output(session, heads)
        _check_inputs(session)
        form.apply(model, description)
        with torch.no_grad():
            model.get_submodule(form.NAME).graph.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        description["alone"] = _try(model, original, description)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    structure = {form.NAME: description}
    return Checkpoint(model.eval(), original.tokenizer, original.head, original.labels, structure, made=made)


def _made(graph: Graph, model: torch.nn.Module, where: str) -> AsMade:
    """The sizes of the file; zeros are counted where its weights can be decoded, and bits where they can be told."""
    size = sum(each.bits for each in graph.stored.values()) // 8
    linears = {f"{name}.weight" for name in linear_names(model, "encoder")}
    parameters = dict(model.named_parameters())
    counted = {
        "params": sum(each.numel() for each in parameters.values()),
        "prunable_params": sum(each.numel() for name, each in parameters.items() if name in linears),
    }
    try:
        decoded = onnx_weights.read(graph, model, where) if not looking.fused(graph) else None
    except UserError:
        decoded = None
    if decoded is None or not parameters.keys() <= decoded.weights.keys():
        return AsMade(size, onnx_counts.bits_of_products(graph, counted["prunable_params"]), **counted)
    zeros = {name: int((decoded.weights[name] == 0).sum()) for name in parameters}
    return AsMade(
        size,
        sum(decoded.bits[name] for name in linears & parameters.keys()),
        zeros=sum(zeros.values()),
        prunable_zeros=sum(zeros[name] for name in linears & parameters.keys()),
        **counted,
    )


def _output(session: Any, heads: str) -> str:
    """The name of the output that is read."""
    there = {each.name: each.shape for each in session.get_outputs()}
    fitting = [name for name, shape in there.items() if len(shape) == DIMENSIONS[heads]]
    usual = [name for name in USUAL[heads] if name in fitting]
    if usual or len(fitting) == 1:
        return (usual or fitting)[0]
    wanted = {
        "states": "the last hidden layer of every token (last_hidden_state)",
        "words": "logits of every token (logits)",
        "labels": "logits of every text (logits)",
    }[heads]
    raise UserError(f"its outputs are {_shapes(there)}, and {wanted} is needed; export it with that output")


def _check_inputs(session: Any) -> None:
    there = {each.name: each.shape for each in session.get_inputs()}
    if "input_ids" not in there or not there.keys() <= set(form.INPUTS):
        raise UserError(
            f"its inputs are {_shapes(there)}, and {', '.join(form.INPUTS)} are known; export it with these"
        )
    for name, shape in there.items():
        if len(shape) != 2 or isinstance(shape[1], int):
            raise UserError(
                f"{name} has the shape {shape}: texts of any length are needed; export it with dynamic axes"
            )


def _shapes(there: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in there.items())


@torch.inference_mode()
def _try(model: torch.nn.Module, original: Checkpoint, description: dict[str, Any]) -> bool:
    """Run two texts and every word at its end; whether texts have to be run one at a time. UserError if it fails."""
    last = model.get_input_embeddings().num_embeddings - 1
    sequences = [original.tokenizer(text, verbose=False)["input_ids"] for text in TEXTS]
    sequences[1] = [*sequences[1][:-1], last, sequences[1][-1]]
    alone = [_outputs(model, padded([ids], 0))[0] for ids in sequences]
    width = {"states": model.config.hidden_size, "words": last + 1, "labels": model.config.num_labels}
    for ids, each in zip(sequences, alone, strict=True):
        shape = [width["labels"]] if description["heads"] == "labels" else [len(ids), width[description["heads"]]]
        if list(each.shape) != shape:
            raise UserError(
                f"{description['output']} of a text of {len(ids)} tokens is {list(each.shape)}, and its config says "
                f"{shape}; take the config.json that belongs to the file"
            )
        if not bool(each.isfinite().all()):
            raise UserError("its outputs are not finite: its weights are damaged; get the file again")
    if description["alone"]:
        return True
    try:
        together = _outputs(model, padded(sequences, model.config.pad_token_id))
    except UserError:  # a graph for one text
        return True
    pairs = [(each, together[row][: len(each)]) for row, each in enumerate(alone)]
    return any(float((one - other).abs().max()) > TOLERANCE * max(1.0, float(one.abs().max())) for one, other in pairs)


def _outputs(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    found = model(**inputs)
    return found.logits if "logits" in found else found.last_hidden_state
