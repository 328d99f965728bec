"""The loops of published programs, written anew: one text at a time, or batches that are padded to their longest.

They get the tokens that fairshrink has, except where whole texts are scored, which both sides tokenize; the vocabulary
is computed at every position, and gradients in the script of CrowS-Pairs alone, though others leave them on too.
"""

from __future__ import annotations

import numpy as np
import torch

from fairshrink.metrics._shared.likelihood import Query
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.sequences import start_token

Values = list[float]


def crows_pairs_script(cp: Checkpoint, groups: list[list[Query]]) -> Values:
    """Each masked text alone, the log-softmax of its mask; the script leaves gradients on."""
    found = []
    for queries in groups:
        total = 0.0
        for query in queries:
            with torch.enable_grad():
                logits = cp.model(input_ids=torch.tensor([query.sequence])).logits[0]
                total += logits[query.position].log_softmax(0)[query.target].item()
        found.append(total)
    return found


@torch.inference_mode()
def stereoset_of_bias_bench(cp: Checkpoint, groups: list[list[Query]]) -> Values:
    """Each masked text alone, the softmax at each of its positions."""
    found = []
    for queries in groups:
        every = [cp.model(input_ids=torch.tensor([query.sequence])).logits.softmax(-1)[0] for query in queries]
        values = [each[query.position, query.target].item() for each, query in zip(every, queries, strict=True)]
        found.append(float(np.mean(values)))
    return found


@torch.inference_mode()
def padded(cp: Checkpoint, texts: list[list[int]], size: int) -> Values:
    """Texts by length in batches of a size, without their last tokens: the vocabulary at each position and of padding.

    Whether each token is the likeliest is asked for too, as lm-evaluation-harness does.
    """
    order, found = sorted(range(len(texts)), key=lambda i: -len(texts[i])), [0.0] * len(texts)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        longest = max(len(texts[i]) for i in chosen)
        ids = torch.tensor([texts[i][:-1] + [0] * (longest - len(texts[i])) for i in chosen])
        logs = cp.model(input_ids=ids).logits.log_softmax(-1)
        for at, i in enumerate(chosen):
            targets = torch.tensor(texts[i][1:])
            mine = logs[at, : len(targets)]
            bool((mine.argmax(1) == targets).all())
            found[i] = float(mine.gather(1, targets[:, None]).sum())
    return found


@torch.inference_mode()
def each_bare(cp: Checkpoint, texts: list[list[int]]) -> Values:
    """Each text alone, only its first token given the start token: the mean of its tokens' log-probabilities."""
    start = torch.tensor([[start_token(cp.tokenizer)]])
    first, found = cp.model(input_ids=start).logits.softmax(-1)[0, -1], []
    for ids in texts:
        after = cp.model(input_ids=torch.tensor([ids])).logits.softmax(-1)[0]
        values = [first[ids[0]].item(), *(after[at, token].item() for at, token in enumerate(ids[1:]))]
        found.append(float(np.log(values).mean()))
    return found


@torch.inference_mode()
def each_sentence(cp: Checkpoint, texts: list[str]) -> Values:
    """Each text alone, as often as it occurs: the mean over its positions, of length 1."""
    found = []
    for text in texts:
        hidden = cp.model.base_model(**cp.tokenizer(text, return_tensors="pt")).last_hidden_state
        found.append(hidden.mean(1)[0].double().numpy())
    return unit(np.stack(found))


def unit(vectors: np.ndarray) -> Values:
    return list((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).ravel())


@torch.inference_mode()
def one_batch(cp: Checkpoint, premises: list[str], hypotheses: list[str]) -> Values:
    """All pairs in one batch, padded to the longest."""
    inputs = cp.tokenizer(premises, hypotheses, truncation=True, max_length=512, padding=True, return_tensors="pt")
    return cp.model(**inputs).logits.double().softmax(1).flatten().tolist()
