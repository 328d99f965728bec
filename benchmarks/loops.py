"""How much faster scoring is than the loops of published code, on the same model, items and precision in one run.

    PYTHONPATH=. .venv/bin/python benchmarks/loops.py --masked FOLDER --crows-pairs CSV --stereoset JSON \\
        --nli FOLDER --word-lists FOLDER --causal FOLDER

Folders of models are checkpoints of a study (`results/baselines/…`). The loops do what the named programs do
(`published_loops.py`). Both sides take turns on one thread, and the medians of ratios of CPU time are printed, which
other work on the machine moves least.

Each row also says by how much the numbers of the two differ; which share of the rate of matrix products is reached by
useful work, the vocabulary's included (`useful_work.py`); and how many times faster fairshrink would be if it did its
useful work at that rate and nothing else: a goal beyond this limit is out of reach of this processor. The rate is that
of a 1024 x 1024 product and, in brackets, that of products of the sizes that the model's blocks have.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metrics import matmul_rate, product_rate
from published_loops import (
    Values,
    crows_pairs_script,
    each_bare,
    each_sentence,
    one_batch,
    padded,
    stereoset_of_bias_bench,
    unit,
)
from useful_work import Work, counted

from fairshrink.metrics._shared.association import read_tests
from fairshrink.metrics._shared.likelihood import after_start, tokenize
from fairshrink.metrics._shared.sentence_pairs import read
from fairshrink.metrics.bias_nli.pairs import sample_pairs
from fairshrink.metrics.crows_pairs import scores as crows_pairs
from fairshrink.metrics.seat import metric as seat
from fairshrink.metrics.stereoset import contexts, filling
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.classes import probabilities
from fairshrink.models.inference import batching, log_probs, outputs, packed_texts, shared_prefixes

Scores = Callable[[], Values]


@dataclass(frozen=True)
class Asked:
    """How often each side of a row runs, and which rows: those with the words ``only``."""

    repetitions: int
    only: str


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    for name in ("masked", "causal", "nli", "crows-pairs", "stereoset", "word-lists"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", default="", help="rows that have these words, such as 'published script'")
    given = parser.parse_args()
    asked = Asked(given.repetitions, given.only)
    torch.set_num_threads(1)
    if (given.masked or given.causal) and not (given.crows_pairs and given.stereoset):
        parser.error("--masked and --causal need --crows-pairs and --stereoset")
    if given.nli and not given.word_lists:
        parser.error("--nli needs --word-lists")
    print("| what | against | times faster | the machine's limit | numbers differ by | of the rate |")
    print("|---|---|---:|---:|---:|---:|")
    if given.masked or given.causal:
        pairs = _spread(read([given.crows_pairs]), given.items)
        sets = _spread(contexts.read([given.stereoset], "intrasentence"), given.items)
        for folder, rows in ((given.masked, _masked), (given.causal, _causal)):
            if folder:
                rows(checkpoints.load(folder), pairs, sets, asked)
    if given.masked:
        _sentences(checkpoints.load(given.masked), given.items, asked)
    if given.nli:
        _inferences(checkpoints.load(given.nli), given.word_lists, given.items, asked)


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    return [items[i] for i in np.linspace(0, len(items) - 1, count).astype(int)]


def _masked(cp: Checkpoint, pairs: list[Any], sets: list[Any], asked: Asked) -> None:
    tokens = tokenize(cp, [text for pair in pairs for text in (pair.more, pair.less)])
    sides = [side for both in zip(tokens[::2], tokens[1::2], strict=True) for side in crows_pairs.align(*both)]
    requests = [each for each in filling.masked_requests(cp, sets) if isinstance(each, list)]
    mask = cp.tokenizer.mask_token_id
    masked = [[crows_pairs._query(side.tokens.ids, [i], i, mask) for i in side.shared] for side in sides]

    def ours_in_sets() -> Values:
        return filling.masked_scores(cp, requests)

    def ours_in_pairs() -> Values:
        return [float(each.sum()) for each in crows_pairs.log_probabilities(cp, masked)]

    row = _rows(cp, asked)
    row("CrowS-Pairs, masked", "its published script", ours_in_pairs, lambda: crows_pairs_script(cp, masked))
    row("StereoSet, masked", "bias-bench", ours_in_sets, lambda: stereoset_of_bias_bench(cp, requests))
    row(
        "CrowS-Pairs, masked",
        "padded texts, every position of the last block",
        ours_in_pairs,
        _without(ours_in_pairs, packed_texts, "ALONE"),
    )
    row("CrowS-Pairs, masked", "as few batches as can be", ours_in_pairs, _in_few_batches(ours_in_pairs))
    row("StereoSet, masked", "as few batches as can be", ours_in_sets, _in_few_batches(ours_in_sets))
    for budget in (256, 2048):
        row("CrowS-Pairs, masked", f"batches of {budget} tokens", ours_in_pairs, _in_batches(ours_in_pairs, budget))


def _causal(cp: Checkpoint, pairs: list[Any], sets: list[Any], asked: Asked) -> None:
    sentences = [text for pair in pairs for text in (pair.more, pair.less)]
    of_pairs = [after_start(cp, each) for each in tokenize(cp, sentences)]
    of_sets = [each for each in filling.bare_requests(cp, sets) if isinstance(each, list)]

    def in_pairs() -> Values:
        return [float(each.sum()) for each in log_probs.causal_log_probs(cp, of_pairs)]

    def in_sets() -> Values:
        return filling.bare_scores(cp, of_sets)

    row = _rows(cp, asked)
    row("CrowS-Pairs, causal", "lm-evaluation-harness, batch 1", in_pairs, lambda: padded(cp, of_pairs, 1))
    row("CrowS-Pairs, causal", "lm-evaluation-harness, batch 32", in_pairs, lambda: padded(cp, of_pairs, 32))
    row("StereoSet, causal", "bias-bench", in_sets, lambda: each_bare(cp, of_sets))
    row("CrowS-Pairs, causal", "each text in a row of its own", in_pairs, _without(in_pairs, shared_prefixes, "EXACT"))
    row("StereoSet, causal", "each text in a row of its own", in_sets, _without(in_sets, shared_prefixes, "EXACT"))
    for budget in (256, 512, 2048):
        row("CrowS-Pairs, causal", f"batches of {budget} tokens", in_pairs, _in_batches(in_pairs, budget))


def _sentences(cp: Checkpoint, items: int, asked: Asked) -> None:
    """The tests about gender, whose lists of words bias-bench embeds anew in each test."""
    numbers, each = ("6", "6b", "7", "7b", "8", "8b"), max(1, items // 10)
    tests = read_tests("seat", numbers, lambda word: list(dict.fromkeys(_spread(seat.sentences(word), each))))
    texts = [target.text for test in tests for part in (test.x, test.y, test.a, test.b) for target in part]
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}

    def ours() -> Values:
        vectors = outputs.sentence_embeddings(cp, list(row_of), "mean_all")
        return unit(vectors[[row_of[text] for text in texts]])

    row = _rows(cp, asked)
    row("SEAT", "bias-bench", ours, lambda: each_sentence(cp, texts))
    row("SEAT", "as few batches as can be", ours, _in_few_batches(ours))


def _inferences(cp: Checkpoint, words: Path, items: int, asked: Asked) -> None:
    pairs = sample_pairs(words, min(2000, 10 * items), seed=0)
    premises, hypotheses = [pair.premise() for pair in pairs], [pair.hypothesis() for pair in pairs]

    def ours() -> Values:
        return list(probabilities(outputs.sequence_logits(cp, premises, hypotheses)).ravel())

    row = _rows(cp, asked)
    row("Bias-NLI", "one batch of at most 2,000", ours, lambda: one_batch(cp, premises, hypotheses))
    row("Bias-NLI", "as few batches as can be", ours, _in_few_batches(ours))


def _rows(cp: Checkpoint, asked: Asked) -> Callable[[str, str, Scores, Scores], None]:
    def row(what: str, against: str, ours: Scores, theirs: Scores) -> None:
        if asked.only not in f"| {what} | {against} |":
            return
        with counted(cp.model) as work:
            ours()
        ratios, limits, shares, apart = [], [], [], 0.0
        for _ in range(asked.repetitions):
            rates = np.array([matmul_rate("fp32", seconds=0.3, clock=time.process_time), _own_rate(work)])
            mine, one = _timed(ours)
            other, two = _timed(theirs)
            ratios.append(other / mine)
            limits.append(other / (work.flops / rates))
            shares.append(work.flops / mine / rates)
            apart = float(np.abs(np.subtract(one, two)).max())
        faster = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        limit = "{:.1f} ({:.1f})".format(*np.median(limits, axis=0))
        share = "{:.0%} ({:.0%})".format(*np.median(shares, axis=0))
        print(f"| {what} | {against} | {faster} | {limit} | {apart:.0e} | {share} |", flush=True)

    return row


def _own_rate(work: Work) -> float:
    """Operations per second of products of the sizes that the blocks have, with as many rows as a batch has tokens."""
    rows = batching.TOKENS_PER_BATCH["cpu"]
    seconds = sum(
        count * inputs * outputs / product_rate("fp32", (rows, inputs, outputs), 0.15, time.process_time)
        for (inputs, outputs), count in work.sizes.items()
    )
    return sum(count * inputs * outputs for (inputs, outputs), count in work.sizes.items()) / seconds


def _timed(call: Scores) -> tuple[float, Values]:
    began = time.process_time()
    values = call()
    return time.process_time() - began, values


def _without(call: Scores, module: Any, name: str) -> Scores:
    """The same without what these architectures allow."""
    return _with(call, module, name, set())


def _in_batches(call: Scores, budget: int) -> Scores:
    return _with(call, batching, "TOKENS_PER_BATCH", batching.TOKENS_PER_BATCH | {"cpu": budget})


def _in_few_batches(call: Scores) -> Scores:
    """The same with batches that are filled, whatever padding that takes."""
    return _with(call, batching, "START", 1e6)


def _with(call: Scores, module: Any, name: str, value: Any) -> Scores:
    def computed() -> Values:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            return call()
        finally:
            setattr(module, name, before)

    return computed


if __name__ == "__main__":
    main()
