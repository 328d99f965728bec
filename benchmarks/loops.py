"""How much faster scoring is than the loops of published code, on the same model, items and precision in one run.

    PYTHONPATH=. .venv/bin/python benchmarks/loops.py --masked FOLDER --causal FOLDER --crows-pairs CSV --stereoset JSON

Folders are checkpoints of a study (`results/baselines/…`). The loops do what the named programs do, written anew: one
text at a time, or batches of 32 that are padded to their longest, and the whole vocabulary at every position. Both
sides take turns on one thread, and the medians of ratios of CPU time are printed, which other work on the machine moves
least.
Each row also says by how much the numbers of the two differ, and which share of the rate of a 1024 x 1024 matrix
product is reached by useful work, the vocabulary's included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metrics import matmul_rate
from useful_work import counted

from fairshrink.metrics._shared.likelihood import Query, after_start, tokenize
from fairshrink.metrics._shared.sentence_pairs import read
from fairshrink.metrics.crows_pairs import scores as crows_pairs
from fairshrink.metrics.stereoset import contexts, filling
from fairshrink.models import batching, inference, last_block, shared_prefixes
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint

Values = list[float]
Scores = Callable[[], Values]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    for name in ("masked", "causal", "crows-pairs", "stereoset"):
        parser.add_argument(f"--{name}", type=Path, required=name not in ("masked", "causal"))
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    pairs = _spread(read([given.crows_pairs]), given.items)
    sets = _spread(contexts.read([given.stereoset], "intrasentence"), given.items)
    print("| what | against | times faster | numbers differ by | of the rate |\n|---|---|---:|---:|---:|")
    for folder, rows in ((given.masked, _masked), (given.causal, _causal)):
        if folder:
            rows(checkpoints.load(folder), pairs, sets, given.repetitions)


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    return [items[i] for i in np.linspace(0, len(items) - 1, count).astype(int)]


def _masked(cp: Checkpoint, pairs: list[Any], sets: list[Any], repetitions: int) -> None:
    tokens = tokenize(cp, [text for pair in pairs for text in (pair.more, pair.less)])
    sides = [side for both in zip(tokens[::2], tokens[1::2], strict=True) for side in crows_pairs.align(*both)]
    requests = [each for each in filling.masked_requests(cp, sets) if isinstance(each, list)]
    mask = cp.tokenizer.mask_token_id
    masked = [[crows_pairs._query(side.tokens.ids, [i], i, mask) for i in side.shared] for side in sides]

    def ours_in_sets() -> Values:
        return filling.masked_scores(cp, requests)

    def ours_in_pairs() -> Values:
        return [float(each.sum()) for each in crows_pairs.log_probabilities(cp, masked)]

    row = _rows(cp, repetitions)
    row("CrowS-Pairs, masked", "its published script", ours_in_pairs, lambda: _one_by_one(cp, masked, False))
    row("StereoSet, masked", "bias-bench", ours_in_sets, lambda: _one_by_one(cp, requests, True))
    row(
        "CrowS-Pairs, masked",
        "every position of the last block",
        ours_in_pairs,
        _without(ours_in_pairs, last_block, "ALONE"),
    )
    for budget in (256, 512, 2048):
        row("CrowS-Pairs, masked", f"batches of {budget} tokens", ours_in_pairs, _in_batches(ours_in_pairs, budget))


def _causal(cp: Checkpoint, pairs: list[Any], sets: list[Any], repetitions: int) -> None:
    sentences = [text for pair in pairs for text in (pair.more, pair.less)]
    of_pairs = [after_start(cp, each) for each in tokenize(cp, sentences)]
    of_sets = [each for each in filling.causal_requests(cp, sets) if isinstance(each, list)]

    def sums(texts: list[list[int]]) -> Scores:
        return lambda: [float(each.sum()) for each in inference.causal_log_probs(cp, texts)]

    ours, theirs = sums(of_pairs), sums(of_sets)
    row = _rows(cp, repetitions)
    row("CrowS-Pairs, causal", "lm-evaluation-harness, batch 1", ours, lambda: _padded(cp, of_pairs, 1))
    row("CrowS-Pairs, causal", "lm-evaluation-harness, batch 32", ours, lambda: _padded(cp, of_pairs, 32))
    row("StereoSet, causal", "bias-bench", theirs, lambda: _padded(cp, of_sets, 1))
    row("CrowS-Pairs, causal", "each text in a row of its own", ours, _without(ours, shared_prefixes, "EXACT"))
    row("StereoSet, causal", "each text in a row of its own", theirs, _without(theirs, shared_prefixes, "EXACT"))
    for budget in (256, 512, 2048):
        row("StereoSet, causal", f"batches of {budget} tokens", theirs, _in_batches(theirs, budget))


def _rows(cp: Checkpoint, repetitions: int) -> Callable[[str, str, Scores, Scores], None]:
    def row(what: str, against: str, ours: Scores, theirs: Scores) -> None:
        with counted(cp.model) as work:
            ours()
        ratios, shares, apart = [], [], 0.0
        for _ in range(repetitions):
            rate = matmul_rate("fp32", seconds=0.3, clock=time.process_time)
            mine, one = _timed(ours)
            other, two = _timed(theirs)
            ratios.append(other / mine)
            shares.append(work.flops / mine / rate)
            apart = float(np.abs(np.subtract(one, two)).max())
        faster = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        print(f"| {what} | {against} | {faster} | {apart:.0e} | {statistics.median(shares):.0%} |", flush=True)

    return row


def _timed(call: Scores) -> tuple[float, Values]:
    began = time.process_time()
    values = call()
    return time.process_time() - began, values


@torch.inference_mode()
def _one_by_one(cp: Checkpoint, groups: list[list[Query]], probabilities: bool) -> Values:
    """Each masked text alone, the whole vocabulary at each of its positions."""
    found = []
    for queries in groups:
        values = []
        for query in queries:
            logits = cp.model(input_ids=torch.tensor([query.sequence])).logits
            chosen = logits.softmax(-1) if probabilities else logits.log_softmax(-1)
            values.append(chosen[0, query.position, query.target].item())
        found.append(float(np.mean(values) if probabilities else np.sum(values)))
    return found


@torch.inference_mode()
def _padded(cp: Checkpoint, texts: list[list[int]], size: int) -> Values:
    """Texts by length in batches of a size, the whole vocabulary at each position, padding included."""
    order, found = sorted(range(len(texts)), key=lambda i: -len(texts[i])), [0.0] * len(texts)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        longest = max(len(texts[i]) for i in chosen)
        ids = torch.tensor([texts[i] + [0] * (longest - len(texts[i])) for i in chosen])
        logs = cp.model(input_ids=ids).logits.log_softmax(-1)
        for at, i in enumerate(chosen):
            targets = torch.tensor(texts[i][1:])
            found[i] = float(logs[at, : len(targets)].gather(1, targets[:, None]).sum())
    return found


def _without(call: Scores, module: Any, name: str) -> Scores:
    """The same without what these architectures allow."""

    def computed() -> Values:
        before = getattr(module, name)
        setattr(module, name, set())
        try:
            return call()
        finally:
            setattr(module, name, before)

    return computed


def _in_batches(call: Scores, budget: int) -> Scores:
    def computed() -> Values:
        before = batching.TOKENS_PER_BATCH["cpu"]
        batching.TOKENS_PER_BATCH["cpu"] = budget
        try:
            return call()
        finally:
            batching.TOKENS_PER_BATCH["cpu"] = before

    return computed


if __name__ == "__main__":
    main()
