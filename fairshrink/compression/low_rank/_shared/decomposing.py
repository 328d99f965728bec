"""Singular value decompositions of weight matrices, and layers that are replaced by their products."""

from __future__ import annotations

import dataclasses

import torch

from fairshrink.compression.low_rank._shared.settings import RankSettings
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.stored_forms import factors

CLEAR = 1e-8
"""Share of the largest squared singular value above which one has eight digits when it is computed by squares."""
Factors = tuple[torch.Tensor, torch.Tensor]
"""[out, rank] and [rank, in]."""


def decomposed(weights: torch.Tensor, rank: int, root: torch.Tensor | None = None) -> Factors:
    """The factors of rank ``rank`` whose product P minimizes ‖(weights − P) root‖, in Frobenius' norm.

    ``root`` [in, in], invertible, or [in] for a diagonal one; the identity if there is none. In float64: each factor
    has the square roots of the singular values.
    """
    values = weights.double()
    if root is not None:
        values = values * root.double() if root.ndim == 1 else values @ root.double()
    left, singular, right = _leading(values, rank)
    scale = singular.sqrt()
    expand, reduce = left * scale, scale[:, None] * right
    if root is not None:
        one = root.double()
        reduce = reduce / one if one.ndim == 1 else torch.linalg.solve(one, reduce, left=False)
    return expand.float(), reduce.float()


def _leading(values: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The ``rank`` largest singular values with their left [out, rank] and right vectors [rank, in], in float64.

    Of the eigenvectors of the smaller product of the matrix with itself, which is several times as fast as decomposing
    the matrix, unless the smallest of these values is too small for that.
    """
    tall = values.shape[0] > values.shape[1]
    squares, vectors = torch.linalg.eigh(values.t() @ values if tall else values @ values.t())
    squares, vectors = squares[-rank:].flip(0), vectors[:, -rank:].flip(1)
    if not bool(squares[-1] > CLEAR * squares[0]):
        left, singular, right = torch.linalg.svd(values, full_matrices=False)
        return left[:, :rank], singular[:rank], right[:rank]
    singular = squares.sqrt()
    others = (values @ vectors if tall else values.t() @ vectors) / singular
    return (others, singular, vectors.t()) if tall else (vectors, singular, others.t())


def root_of(products: torch.Tensor, damping: float) -> torch.Tensor:
    """A matrix R [in, in] with R Rᵀ = products + damping x their mean diagonal, in float64 (Cholesky)."""
    values = products.double()
    mean = values.diagonal().mean()
    added = torch.where(mean > 0, damping * mean, torch.ones_like(mean))
    values.diagonal().add_(added)
    return torch.linalg.cholesky(values)


class LowRank:
    """Replaces layers of a checkpoint one by one and records it; ``names``: those that would become smaller."""

    def __init__(self, cp: Checkpoint, settings: RankSettings) -> None:
        """UserError where nothing in scope is dense, or a rank is above that of a matrix."""
        self._cp, self._done = cp, dict(cp.structure.get("factors", {}))
        owners: dict[int, str] = {}
        for name in linear_names(cp.model, settings.scope):
            owners.setdefault(id(cp.model.get_submodule(name).weight), name)
        if not owners:
            raise UserError(f"scope {settings.scope!r}: there is no dense linear layer to decompose")
        self._ranks: dict[str, int] = {}
        for name in owners.values():
            outputs, inputs = matrix(cp.model.get_submodule(name)).shape
            if settings.rank and settings.rank > min(outputs, inputs):
                raise UserError(
                    f"{name} is {outputs} x {inputs}, so it has no rank of {settings.rank}: write a smaller `rank`"
                )
            rank = settings.rank_of(outputs, inputs)
            if rank is not None:
                self._ranks[name] = rank

    @property
    def names(self) -> list[str]:
        """The layers that are replaced, in the model's order."""
        return list(self._ranks)

    def replace(self, name: str, root: torch.Tensor | None = None) -> None:
        """Put the product that is nearest, as `decomposed` says, in the place of a layer."""
        found = decomposed(matrix(self._cp.model.get_submodule(name)), self._ranks[name], root)
        layer = factors.replace(self._cp.model, name, self._ranks[name])
        with torch.no_grad():
            layer.expand.copy_(found[0])
            layer.reduce.copy_(found[1])
        self._done[name] = self._ranks[name]

    def checkpoint(self) -> Checkpoint:
        """The checkpoint as it is now."""
        self._cp.model.eval()
        structure = {**self._cp.structure, **({"factors": self._done} if self._done else {})}
        return dataclasses.replace(self._cp, path=None, structure=structure)
