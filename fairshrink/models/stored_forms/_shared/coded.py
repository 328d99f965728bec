"""Matrices that are stored as codes: linear layers, word embeddings, and layers that use another's matrix.

A form defines how codes become weights (`Coded.decode`) and two classes, one for each kind of module. A module whose
weights were the same parameter as those of a coded one (an output layer tied to the embeddings, layers tied to each
other) uses its codes: tied stays tied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.linear import LINEAR, sizes


class Shape(NamedTuple):
    """Of a matrix of weights: outputs and inputs of a layer, or words and width of embeddings."""

    rows: int
    columns: int


class Coded(torch.nn.Module):
    """A module with a matrix of weights that is stored as codes.

    ``overhead`` names the tensors that are needed to decode others.
    """

    overhead: tuple[str, ...] = ()
    shape: Shape

    def decode(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The weights as float32 [rows, columns]: those of these rows [n], or all."""
        raise NotImplementedError

    @property
    def weight(self) -> torch.Tensor:
        """The weights, decoded: some architectures ask for their type, or multiply by those of the embeddings."""
        return self.decode()

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many weights are stored in a tensor, and how many of them are not zero."""
        return {"codes": (self.shape.rows * self.shape.columns, int(torch.count_nonzero(self.decode())))}

    def extra_repr(self) -> str:
        """Sizes, shown when a model is printed."""
        return f"rows={self.shape.rows}, columns={self.shape.columns}"


class CodedLinear(Coded):
    """[…, columns] to […, rows]."""

    bias: torch.nn.Parameter | None

    def start(self, shape: Shape, bias: torch.nn.Parameter | None) -> None:
        """Sizes under the names of torch's `Linear`, and the layer's bias, which stays as it is."""
        self.shape, self.bias = shape, bias
        self.out_features, self.in_features = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product with the decoded weights, in the arithmetic of the activations."""
        return torch.nn.functional.linear(x, self.decode().to(x.dtype), self.bias)


class CodedEmbedding(Coded):
    """Whole numbers […] to vectors […, columns]; ``factor``: what an architecture (Gemma) multiplies them by."""

    def start(self, shape: Shape, old: torch.nn.Embedding) -> None:
        """Sizes and padding under the names of torch's `Embedding`."""
        self.shape = shape
        self.num_embeddings, self.embedding_dim = shape
        self.padding_idx, self.factor = old.padding_idx, float(getattr(old, "scalar_embed_scale", 1.0))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of these numbers."""
        return self.decode(ids.flatten()).unflatten(0, ids.shape) * self.factor


class TiedLinear(CodedLinear):
    """A linear layer with the weights of another module, and a bias of its own; it stores no weights."""

    def __init__(self, source: Coded, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self.start(source.shape, bias)
        self._source = (source,)  # in a tuple it is no submodule, so its codes are stored once

    def decode(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The weights of the other module."""
        return self._source[0].decode(rows)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Nothing: the weights are counted where they are stored."""
        return {}


class TiedEmbedding(CodedEmbedding):
    """Word embeddings that are another module's; they store nothing."""

    def __init__(self, source: Coded, old: torch.nn.Embedding) -> None:
        super().__init__()
        self.start(source.shape, old)
        self._source = (source,)

    def decode(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The weights of the other module."""
        return self._source[0].decode(rows)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Nothing: the weights are counted where they are stored."""
        return {}


def word_embeddings(model: torch.nn.Module) -> str:
    """The name of a model's word embeddings; UserError where they are none of torch's, or coded already."""
    wanted = model.get_input_embeddings()
    if not isinstance(wanted, torch.nn.Embedding):
        raise UserError(
            f"the word embeddings are a {type(wanted).__name__}, not dense: they cannot be compressed again"
        )
    return next(name for name, module in model.named_modules() if module is wanted)


def put(model: torch.nn.Module, name: str, make: Callable[[torch.nn.Module, Shape], Coded]) -> Coded:
    """Replace a dense linear layer, or word embeddings, by what ``make`` makes of it and its shape, empty.

    Modules with the same parameter are tied to it. Returns the new module.
    """
    old = model.get_submodule(name)
    size = sizes(old) if isinstance(old, LINEAR) else None
    if size is not None:
        shape = Shape(size[1], size[0])
    elif isinstance(old, torch.nn.Embedding):
        shape = Shape(old.num_embeddings, old.embedding_dim)
    else:
        raise UserError(f"{name} is a {type(old).__name__}, neither a dense linear layer nor dense embeddings")
    new = make(old, shape)
    model.set_submodule(name, new)
    for other, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            model.set_submodule(other, new)
        elif getattr(module, "_parameters", {}).get("weight") is old.weight:
            model.set_submodule(other, tied(new, module))
    return new


def tied(source: Coded, module: torch.nn.Module) -> Coded:
    """What uses the weights of ``source`` in place of a module that shared its parameter with it."""
    if isinstance(module, torch.nn.Embedding):
        return TiedEmbedding(source, module)
    return TiedLinear(source, module.bias)
