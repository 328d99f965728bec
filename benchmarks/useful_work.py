"""Floating-point operations that scoring has to do: real tokens once, and the vocabulary where it is asked for.

Padding does not count, nor what a text repeats of another in its row, or in an encoder's first block of another in its
batch. Matrix products of the blocks and of the output layer are counted, attention's own and elementwise operations are
not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from fairshrink.models.architecture.blocks import blocks, multiply_adds
from fairshrink.models.architecture.linear import sizes
from fairshrink.models.inference import log_probs, outputs, packed_rows, shared_prefixes
from fairshrink.models.inference.last_block import last_block


class Work:
    """``flops`` so far; ``sizes``: how many layers of the blocks multiply by a matrix of so many inputs and outputs."""

    def __init__(self, model: Any) -> None:
        self.flops = 0.0
        every = [sizes(model.get_submodule(name)) for block in blocks(model) for name in block.linears * block.uses]
        self.sizes = Counter(size for size in every if size)
        self.token = 2 * multiply_adds(model, outside=False)
        self.last, last = last_block(model), blocks(model)[-1]
        names = (last.output, *last.feed_forward) if self.last else ()
        self.after_attention = 2 * sum(_size(model, name) for name in names)
        self.attention = 2 * sum(_size(model, name) for name in last.attention_inputs)
        output = model.get_output_embeddings()
        self.state = 2 * output.weight.numel() if output is not None else 0

    def spare(self, tokens: int, places: Any, runs: Any) -> None:
        """The last block is asked for at these places alone, which take their keys and values with them if few."""
        few = runs and self.last and self.last.heads and self.last.heads.less_work(len(places), runs)
        self.flops -= (self.after_attention + (self.attention if few else 0)) * (tokens - len(places))


def _size(model: Any, name: str) -> int:
    size = sizes(model.get_submodule(name))
    return size[0] * size[1] if size else 0


@contextmanager
def counted(model: Any) -> Iterator[Work]:
    """Counts what is scored with the model meanwhile."""
    work = Work(model)
    collate, tree, packed = log_probs.collate, shared_prefixes.inputs, packed_rows.inputs
    logits, words = log_probs.token_logits, log_probs.output_inputs
    at, only_at, layout = log_probs.states_at, outputs.only_at, outputs.layout
    tokens = 0

    def of_texts(cp: Any, sequences: Any, *more: Any) -> Any:
        nonlocal tokens
        tokens = sum(map(len, sequences))
        work.flops += work.token * tokens
        return collate(cp, sequences, *more)

    def of_rows(own: Any, rows: Any) -> Any:
        work.flops += work.token * sum(len(row.ids) for row in rows)
        return tree(own, rows)

    def of_packed(rows: Any) -> Any:
        work.flops += work.token * sum(len(row.ids) for row in rows)
        return packed(rows)

    def of_states(own: Any, states: Any) -> Any:
        work.flops += work.state * len(states)
        return logits(own, states)

    def of_words(own: Any, states: Any) -> Any:
        work.flops += work.state * len(states)
        return words(own, states)

    def of_places(own: Any, last: Any, inputs: Any, texts: Any, places: Any, lying: Any = None) -> Any:
        work.spare(tokens, places, lying and lying.runs)
        return at(own, last, inputs, texts, places, lying)

    def of_first(last: Any, texts: Any, places: Any, runs: Any = ()) -> Any:
        work.spare(tokens, places, runs)
        return only_at(last, texts, places, runs)

    def of_layout(inputs: Any, pad: Any) -> Any:
        lying = layout(inputs, pad)
        work.flops -= work.attention * (tokens - len(lying.distinct[0])) if lying.distinct else 0
        return lying

    counting = (
        (log_probs, "collate", of_texts), (outputs, "collate", of_texts), (shared_prefixes, "inputs", of_rows),
        (packed_rows, "inputs", of_packed), (log_probs, "token_logits", of_states),
        (log_probs, "output_inputs", of_words), (log_probs, "states_at", of_places), (outputs, "only_at", of_first),
        (outputs, "layout", of_layout), (log_probs, "layout", of_layout),
    )  # fmt: skip
    with ExitStack() as patched:
        for module, name, function in counting:
            patched.enter_context(mock.patch.object(module, name, function))
        yield work
