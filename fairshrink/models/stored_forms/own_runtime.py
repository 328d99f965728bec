"""A model that its own runtime, onnxruntime, computes: the bytes of an ONNX file in place of weights.

Description: {"bytes", "output", "heads", "alone", "order"}: the size of the file; the name of the output that is read;
whether that is "states", "words" (logits of every token) or "labels" (logits of every text); whether texts are run one
at a time; the numbers of the outputs in the order of the task's labels, or null.

The architecture's modules stay as a description: layers can be named and measured, their weights have shapes and no
values, and its forward passes ask the runtime. So whatever asks a model for hidden states or logits asks the runtime.

The runtime's version is part of this code, and so of a checkpoint's key: kernels of another version may round
otherwise, so another version is refused. One provider (CPU), as many threads as torch has when it starts; what is
computed does not depend on their number. A runtime that rounds activations by their range takes the range of all
that it is given, padding and other texts included: there each text is run alone (``alone``), so that a score depends
on its own text only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions, MaskedLMOutput
from transformers.modeling_outputs import SequenceClassifierOutput as LabelsOutput

from fairshrink.errors import UserError
from fairshrink.models.given.runtime import missing

ORDER = 0
PROVIDER = "CPUExecutionProvider"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a graph may be given."""
NAME = "own_runtime"


class OwnRuntime(torch.nn.Module):
    """The file, and a session of the runtime that is opened when it is first asked."""

    def __init__(self, description: dict[str, Any], base: torch.nn.Module) -> None:
        super().__init__()
        self.graph = torch.nn.Parameter(torch.zeros(description["bytes"], dtype=torch.uint8), requires_grad=False)
        self.description = description
        self._session: Any = None
        # Not a submodule: the model is not part of what it is made of.
        self._base = (base,)

    def __getstate__(self) -> dict[str, Any]:
        """What is copied: a session belongs to a process."""
        return dict(super().__getstate__()) | {"_session": None}

    def session(self) -> Any:
        """The runtime with the graph; UserError if it is not installed, or does not take the file."""
        if self._session is None:
            self._session = opened(self.graph.detach().cpu().numpy().tobytes())
        return self._session

    def states(self, input_ids: torch.Tensor, **inputs: Any) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """The forward pass of the transformer; for a language model logits stand in for its states."""
        if self.description["heads"] == "labels":
            raise UserError("its file gives logits of its labels alone: hidden states cannot be had from it")
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=self._run(input_ids, inputs))

    def words(self, input_ids: torch.Tensor, **inputs: Any) -> MaskedLMOutput:
        """The forward pass of a masked language model: what stands in for its states are the logits."""
        return MaskedLMOutput(logits=self._base[0](input_ids=input_ids, **inputs).last_hidden_state)

    def labels(self, input_ids: torch.Tensor, **inputs: Any) -> LabelsOutput:
        """The forward pass of a classifier or regression model."""
        logits, order = self._run(input_ids, inputs), self.description["order"]
        return LabelsOutput(logits=logits if order is None else logits[:, order])

    def _run(self, ids: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        """The output of the graph for padded inputs [n, length]; zeros at padding where texts are run alone."""
        mask, types = inputs.pop("attention_mask", None), inputs.pop("token_type_ids", None)
        inputs.pop("use_cache", None)
        if any(value is not None and value is not False for value in inputs.values()):
            raise UserError(f"{', '.join(inputs)}: what its own runtime computes cannot be seen or changed inside")
        mask = torch.ones_like(ids) if mask is None else mask
        given = {"input_ids": ids, "attention_mask": mask}
        given["token_type_ids"] = torch.zeros_like(ids) if types is None else types
        arrays = {name: value.cpu().numpy().astype(np.int64) for name, value in given.items()}
        if not self.description["alone"]:
            return torch.from_numpy(self._asked(arrays)).to(ids.device)
        lengths = [int(row.sum()) for row in arrays["attention_mask"]]
        parts = [
            self._asked({name: value[row : row + 1, :length] for name, value in arrays.items()})[0]
            for row, length in enumerate(lengths)
        ]
        if self.description["heads"] == "labels":
            return torch.from_numpy(np.stack(parts)).to(ids.device)
        found = np.zeros((*ids.shape, parts[0].shape[-1]), dtype=np.float32)
        for row, part in enumerate(parts):
            found[row, : len(part)] = part
        return torch.from_numpy(found).to(ids.device)

    def _asked(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        session = self.session()
        wanted = [each.name for each in session.get_inputs()]
        if "token_type_ids" not in wanted and arrays["token_type_ids"].any():
            raise UserError("its file does not take token types, which tell the first text of a pair from the second")
        try:
            (found,) = session.run([self.description["output"]], {name: arrays[name] for name in wanted})
        except Exception as error:  # the runtime raises classes of its own, which are no part of its interface
            raise UserError(f"onnxruntime cannot compute it: {_short(error)}") from error
        return np.asarray(found, dtype=np.float32)


def opened(content: bytes) -> Any:
    """A session with a file's bytes; UserError if the runtime is not installed or does not take the file."""
    reason = missing()
    if reason:
        raise UserError(reason)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to torch
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=[PROVIDER])
    except Exception as error:  # as above
        raise UserError(f"onnxruntime does not take the file: {_short(error)}") from error


def apply(model: torch.nn.Module, description: dict[str, Any]) -> None:
    """Let the runtime answer in place of a newly built model; the bytes of the file are filled in afterwards."""
    base: torch.nn.Module = model.base_model
    for module in list(model.modules()):
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            delattr(module, name)
            # On this device every use of a value is an error.
            setattr(module, name, torch.empty(value.shape, dtype=value.dtype, device="meta"))
    runtime = OwnRuntime(description, base)
    model.add_module(NAME, runtime)
    base.forward = runtime.states
    if description["heads"] == "words":
        model.forward = runtime.words
    elif description["heads"] == "labels":
        model.forward = runtime.labels


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
