"""Sums over the inputs that linear layers get: what calibrated methods need to know of the data.

Counted as if each text was run by itself, so that batches make no difference: padding does not count, and what a layer
computes once for all texts of a batch (projections of relative positions) counts once for each text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch

T = TypeVar("T")
Moment = Literal["sums", "absolutes", "squares", "largest", "products"]


@dataclass
class Moments:
    """Sums over the inputs x of one layer, over all tokens; those that were not asked for are missing.

    ``count``: how many inputs. ``values``: "sums" of x, "absolutes" of |x|, "squares" of x² and the "largest" |x|, each
    [in] in float64; "products": the sum of x xᵀ, [in, in] in float32 (X^T X, if the rows of X are the inputs).
    """

    count: int = 0
    values: dict[Moment, torch.Tensor] = field(default_factory=dict)
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def once(self, make: Callable[..., T], moment: Moment, *settings: Any) -> T:
        """``make(moment, *settings)``, computed once for all layers that have the same inputs."""
        key = (make, moment, *settings)
        if key not in self._made:
            self._made[key] = make(self.values[moment], *settings)
        made: T = self._made[key]
        return made

    def __getitem__(self, moment: Moment) -> torch.Tensor:
        return self.values[moment]

    def add(self, count: int, values: Mapping[Moment, torch.Tensor], times: int) -> None:
        """Add the moments of ``count`` more inputs, ``times`` times."""
        self.count += count * times
        for name, value in values.items():
            if name not in self.values:
                self.values[name] = value.clone() if name == "largest" else value * times
            elif name == "largest":
                self.values[name] = torch.maximum(self.values[name], value)
            else:
                self.values[name].add_(value, alpha=times)


def output_error(change: torch.Tensor, products: torch.Tensor) -> float:
    """Σ over inputs x of ‖change x‖², for a change [out, in] of weights: how much the layer's outputs change in all."""
    change = change.double()
    return float(((change @ products.to(change)) * change).sum())


@contextlib.contextmanager
def gathering(
    layers: Mapping[str, torch.nn.Module], mask: Callable[[], torch.Tensor], wanted: Collection[Moment]
) -> Iterator[dict[str, Moments]]:
    """A context in which inputs of ``layers`` add to the moments that it gives, by the layers' names.

    ``mask()``: the attention mask [n, length] of the texts that are being run. A layer that gets no inputs has no
    moments. Layers that get the same input share the arithmetic; those that always do have the same `Moments` in the
    end.
    """
    found: dict[str, Moments] = {}
    latest: list[Any] = [None, None]
    inputs, got = 0, dict[str, list[int]]()

    def hook(name: str) -> Callable[..., None]:
        def add(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            nonlocal inputs
            if latest[0] is not args[0]:
                latest[:] = args[0], _moments(args[0].detach(), mask(), wanted)
                inputs += 1
            got.setdefault(name, []).append(inputs)
            found.setdefault(name, Moments()).add(*latest[1])

        return add

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
    first: dict[tuple[int, ...], Moments] = {}
    for name, numbers in got.items():
        found[name] = first.setdefault(tuple(numbers), found[name])


def _moments(
    x: torch.Tensor, mask: torch.Tensor, wanted: Collection[Moment]
) -> tuple[int, dict[Moment, torch.Tensor], int]:
    """How many inputs, their moments, how often they count."""
    rows, times = _rows(x, mask)
    rows = rows.float()
    values: dict[Moment, torch.Tensor] = {}
    if "sums" in wanted:
        values["sums"] = rows.sum(0, dtype=torch.float64)
    if "absolutes" in wanted:
        values["absolutes"] = rows.abs().sum(0, dtype=torch.float64)
    if "squares" in wanted:
        values["squares"] = rows.square().sum(0, dtype=torch.float64)
    if "largest" in wanted:
        values["largest"] = rows.abs().amax(0).double()
    if "products" in wanted:
        values["products"] = rows.t() @ rows
    return len(rows), values, times


def _rows(x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Inputs [k, in] in ``x`` that are not padding, and how often each counts."""
    if x.shape[:-1] == mask.shape:
        return x[mask.bool()], 1
    if x.ndim == 2 and len(x) == mask.numel():  # OPT: all tokens one below the other
        return x[mask.flatten().bool()], 1
    if x.ndim == 2 and len(x) == len(mask):  # one vector for each text
        return x, 1
    return x.reshape(-1, x.shape[-1]), len(mask)
