"""Unstructured pruning: single weights of linear layers are set to zero."""

from __future__ import annotations

import dataclasses

import torch

from fairshrink.compression._shared.patterns import Pattern, removed
from fairshrink.compression._shared.selection import Keys, KeysOf, count, magnitude_keys, smallest
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names, matrices
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.checkpoint import Checkpoint


def prune(cp: Checkpoint, sparsity: float, scope: str, keys_of: KeysOf = magnitude_keys) -> Checkpoint:
    """Zero the round(sparsity x N) weights with the smallest keys of all N in scope, in place."""
    weights = _weights(cp, scope)
    _zero(weights, keys_of(weights), count(sparsity, sum(weight.numel() for weight in weights)))
    return dataclasses.replace(cp, path=None)


def prune_groups(cp: Checkpoint, scope: str, pattern: Pattern) -> Checkpoint:
    """Zero half of the weights of each group of a pattern in each output, those nearest to zero, in place.

    UserError where a group does not divide a layer's inputs.
    """
    for name in dense_names(cp, scope):
        weight = matrix(cp.model.get_submodule(name))
        weight.masked_fill_(removed(weight.abs(), 0.5, pattern), 0.0)
    return dataclasses.replace(cp, path=None)


def prune_each(cp: Checkpoint, sparsity: float, scope: str) -> Checkpoint:
    """Zero the round(sparsity x n) weights nearest to zero of the n of each matrix in scope, in place.

    Query, key and value are three matrices, also in architectures that store them as one.
    """
    dense_names(cp, scope)
    for weight in matrices(cp.model, scope):
        _zero([weight], magnitude_keys([weight]), count(sparsity, weight.numel()))
    return dataclasses.replace(cp, path=None)


def dense_names(cp: Checkpoint, scope: str) -> list[str]:
    """Names of the linear layers in scope; UserError if there is none that can be pruned."""
    names = linear_names(cp.model, scope)
    if not names:
        raise UserError(f"scope {scope!r}: no dense linear layer to prune; prune before quantizing")
    return names


def _weights(cp: Checkpoint, scope: str) -> list[torch.Tensor]:
    return [cp.model.get_submodule(name).weight.detach() for name in dense_names(cp, scope)]


def _zero(weights: list[torch.Tensor], keys: list[Keys], number: int) -> None:
    for weight, mask in zip(weights, smallest(keys, number), strict=True):
        weight.masked_fill_(mask, 0.0)
