"""One forward pass per token, with plain transformers: the reference for the batched scores."""

from __future__ import annotations

import numpy as np
import torch


def masked(model, ids, position, target, mask=None):
    """log p(target at position), with that position masked where a mask is given."""
    ids = list(ids)
    if mask is not None:
        ids[position] = mask
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits
    return float(logits[0, position].double().log_softmax(-1)[target])


def causal(model, ids):
    """log p of each token but the first given those before it, every prefix on its own."""
    with torch.no_grad():
        return np.array(
            [
                float(model(input_ids=torch.tensor([ids[:t]])).logits[0, -1].double().log_softmax(-1)[ids[t]])
                for t in range(1, len(ids))
            ]
        )


def fills(checkpoint, text, count):
    """The likeliest tokens for "[BLANK]" that are not special, sorted by Python, and their log-probabilities."""
    tokenizer = checkpoint.tokenizer
    if checkpoint.head == "causal_lm":
        before = text.split("[BLANK]")[0].rstrip()
        ids, at = [tokenizer.bos_token_id, *tokenizer(before, add_special_tokens=False)["input_ids"]], -1
    else:
        ids = tokenizer(text.replace("[BLANK]", tokenizer.mask_token))["input_ids"]
        at = ids.index(tokenizer.mask_token_id)
    with torch.no_grad():
        log_p = checkpoint.model(input_ids=torch.tensor([ids])).logits[0, at].double().log_softmax(-1).tolist()
    usable = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    best = sorted(usable, key=lambda i: (-log_p[i], i))[:count]
    return [tokenizer.decode([i]).strip() for i in best], [log_p[i] for i in best]


def silence(checkpoint):
    """Make a language model uniform: every token has probability 1 / vocabulary everywhere."""
    head = checkpoint.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(torch.zeros_like(head.weight))
    if head.bias is not None:
        head.bias = torch.nn.Parameter(torch.zeros_like(head.bias))
    return checkpoint


def forwarded(checkpoint):
    """A list that grows by the number of sequences in every forward pass of the transformer."""
    rows = []
    checkpoint.model.get_input_embeddings().register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    return rows
