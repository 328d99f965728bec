"""k-means of numbers: exact steps of Lloyd's algorithm over sorted values, in time that does not grow with them.

The clusters of numbers are intervals. With the values sorted once and their cumulative sums, a step is a binary search
for each border and a difference of sums for each mean, so the many steps that k-means takes are free.
"""

from __future__ import annotations

import torch

MOST_STEPS = 1000


def codebook(values: torch.Tensor, clusters: int) -> torch.Tensor:
    """At most ``clusters`` values (float32, rising) for numbers of any shape; the numbers' own if these are so few.

    Where more than one in ``clusters`` numbers is zero, because they have been pruned, one value is exactly zero, and
    the others are those of the other numbers.
    """
    flat = values.flatten().float()
    if not torch.isfinite(flat).all():  # a broken model stays visibly broken
        return torch.full((1,), float("nan"), device=flat.device)
    zeros = int((flat == 0).sum())
    if zeros * clusters > flat.numel() and zeros < flat.numel() and clusters > 1:
        found = torch.cat([_lloyd(flat[flat != 0].sort().values, clusters - 1), flat.new_zeros(1)])
        return found.unique()
    return _lloyd(flat.sort().values, clusters)


def nearest(values: torch.Tensor, book: torch.Tensor) -> torch.Tensor:
    """The index of the nearest value of a rising codebook for each number, the lower of two that are equally near."""
    return torch.bucketize(values.float().contiguous(), _borders(book.double()).float())


def _lloyd(ordered: torch.Tensor, clusters: int) -> torch.Tensor:
    """From evenly spaced values, as many steps as change something; ``ordered``: [n], rising."""
    distinct = torch.unique_consecutive(ordered)
    if len(distinct) <= clusters:
        return distinct
    exact = ordered.double()
    sums = torch.cat([exact.new_zeros(1), exact.cumsum(0)])
    share = torch.arange(clusters, device=ordered.device, dtype=torch.float64) / max(clusters - 1, 1)
    centers = exact[0] + (exact[-1] - exact[0]) * share
    before = None
    for _ in range(MOST_STEPS):
        inside = torch.searchsorted(exact, _borders(centers), right=True)
        ends = torch.cat([inside.new_zeros(1), inside, inside.new_full((1,), len(exact))])
        if before is not None and torch.equal(ends, before):
            break
        counts = ends.diff()
        means = sums[ends].diff() / counts.clamp(min=1)
        centers = torch.where(counts > 0, means, centers)  # an empty cluster waits for numbers
        before = ends
    return centers.float().unique()


def _borders(centers: torch.Tensor) -> torch.Tensor:
    return (centers[1:] + centers[:-1]) / 2
